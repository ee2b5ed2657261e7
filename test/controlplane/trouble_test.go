// SPDX-License-Identifier: Apache-2.0

package controlplane

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"net/http/httputil"
	"net/url"
	"strings"
	"testing"
	"time"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/status"

	"hozon.dev/hozon/internal/cli/env"
	"hozon.dev/hozon/internal/dr"
	"hozon.dev/hozon/internal/host"
	"hozon.dev/hozon/internal/host/hosttest"
)

// found wants one finding.
func found(t *testing.T, all map[string]dr.Finding, check string, level dr.Level, text string) {
	t.Helper()
	if f := all[check]; f.Level != level || !strings.Contains(f.Text, text) {
		t.Errorf("%s: %+v, want %s with %q", check, f, level, text)
	}
}

// TestCheckMachine changes one thing of a machine after the other: its clock, its room, the times and addresses of its certificates.
func TestCheckMachine(t *testing.T) {
	t.Parallel()
	node := Start(t, "cp-1")
	look := func(want int) map[string]dr.Finding { t.Helper(); return checked(t, want, node.Spec) }
	all := look(env.ExitOK)
	found(t, all, "cp-1 clock", dr.OK, "agrees")
	found(t, all, "cp-1 certificate pairs", dr.Warning, "apiserver.crt is not for 192.0.2.1 (--advertise-address)")

	for skew, c := range map[string]struct {
		level dr.Level
		code  int
	}{"8 seconds": {dr.Warning, env.ExitOK}, "-90 seconds": {dr.Failed, env.ExitFailed}} {
		node.Write(t, "/usr/local/bin/date", "#!/bin/sh\nexec /bin/date -d '"+skew+"' \"$@\"\n", "0755")
		found(t, look(c.code), "cp-1 clock", c.level, "differs from this machine's by")
	}
	node.Sh(t, "rm /usr/local/bin/date")

	now := time.Now()
	for _, c := range []struct {
		begin, end time.Time
		level      dr.Level
		text       string
	}{
		{now.AddDate(-1, 0, 0), now.AddDate(0, 0, -1), dr.Failed, "apiserver.crt expired on " + now.AddDate(0, 0, -1).UTC().Format(time.DateOnly)},
		{now.AddDate(0, 0, 1), now.AddDate(1, 0, 0), dr.Failed, "apiserver.crt is not good before"},
		{now.AddDate(0, -11, 0), now.AddDate(0, 0, 20), dr.Warning, "apiserver.crt expires on " + now.AddDate(0, 0, 20).UTC().Format(time.DateOnly)},
		{time.Date(2020, 1, 2, 0, 0, 0, 0, time.UTC), now.AddDate(1, 0, 0), dr.OK, "the first ends on " + now.AddDate(1, 0, 0).UTC().Format(time.DateOnly)},
	} {
		_, cert, key := certificatesOf(t, c.begin, c.end)
		node.Write(t, "/etc/kubernetes/pki/apiserver.crt", cert, "0600")
		node.Write(t, "/etc/kubernetes/pki/apiserver.key", key, "0600")
		code := env.ExitOK
		if c.level == dr.Failed {
			code = env.ExitFailed
		}
		found(t, look(code), "cp-1 certificates", c.level, c.text)
	}

	// Another master, whose API server would sign with another key.
	other := hosttest.Start(t, "cp-2")
	_, _, key := certificates(t)
	WriteFile(t, other, "/etc/kubernetes/pki/sa.key", key, "0600")
	pretend(t, other, "kube-apiserver", "--service-account-signing-key-file=/etc/kubernetes/pki/sa.key")
	found(t, checked(t, env.ExitFailed, node.Spec, other.Spec), "service-account keys", dr.Failed, "sign with different keys")

	pretend(t, other, "etcd", "--data-dir=/var/lib/etcd --listen-client-urls=http://127.0.0.1:1")
	other.Sh(t, "mkdir -p /var/lib/etcd")
	for _, c := range []struct {
		size, text string
		level      dr.Level
	}{{"500m", "500 MiB left at /var/lib/etcd", dr.Warning}, {"10m", "Make room there", dr.Failed}} {
		other.Sh(t, "mount -t tmpfs -o size="+c.size+" tmpfs /var/lib/etcd")
		all := checked(t, env.ExitFailed, other.Spec)
		found(t, all, "cp-2 space", c.level, c.text)
		found(t, all, "cp-2 etcd answers", dr.Failed, "does not answer")
		other.Sh(t, "umount /var/lib/etcd")
	}
}

// pretend runs something that shows in the list of processes as a program with arguments.
func pretend(t *testing.T, h *hosttest.Host, program, args string) {
	t.Helper()
	h.Sh(t, fmt.Sprintf("(exec -a %s setsid bash -c 'exec -a %[1]s bash -c \"sleep infinity; :\" \"$@\"' sh %s) >/dev/null 2>&1 </dev/null & sleep 0.5", program, args))
}

// TestCheckEtcd raises etcd's alarms, and asks one that is too old to tell a hash: the first fails, the second is said. What has no room can still be saved, what is corrupt not.
func TestCheckEtcd(t *testing.T) {
	node, address := plainEtcd(t, current(t), "")
	old := hosttest.Start(t, "cp-2")
	put(t, address, "/registry/namespaces/default", "{}")
	c := client(t, address)
	st, err := c.Status(t.Context(), address)
	if err != nil {
		t.Fatal(err)
	}
	alarm := func(action pb.AlarmRequest_AlarmAction, kind pb.AlarmType) {
		t.Helper()
		if _, err := pb.NewMaintenanceClient(c.ActiveConnection()).Alarm(t.Context(), &pb.AlarmRequest{Action: action, MemberID: st.Header.MemberId, Alarm: kind}); err != nil {
			t.Fatal(err)
		}
	}
	t.Chdir(t.TempDir())
	backup := func(name string, h host.Spec) (string, int) {
		t.Helper()
		out, talk, code := hozon(t, "backup", "cluster", "-c", "prod", "--inventory", inventory(t, h), "--backup-file", name)
		return out + talk, code
	}
	found(t, checked(t, env.ExitOK, node.Spec), "etcd healthy", dr.OK, "no alarms")
	alarm(pb.AlarmRequest_ACTIVATE, pb.AlarmType_NOSPACE)
	found(t, checked(t, env.ExitFailed, node.Spec), "cp-1 etcd alarms", dr.Failed, "NOSPACE")
	if said, code := backup("full.tar.gz", node.Spec); code != env.ExitOK || !strings.Contains(said, "raises an alarm") {
		t.Errorf("exit code %d: %s", code, said)
	}
	alarm(pb.AlarmRequest_DEACTIVATE, pb.AlarmType_NOSPACE)
	alarm(pb.AlarmRequest_ACTIVATE, pb.AlarmType_CORRUPT)
	all := checked(t, env.ExitFailed, node.Spec)
	found(t, all, "cp-1 etcd alarms", dr.Failed, "CORRUPT")
	found(t, all, "etcd healthy", dr.Failed, "host cp-1: it raises an alarm")
	if said, code := backup("corrupt.tar.gz", node.Spec); code != env.ExitFailed || !strings.Contains(said, "--from HOST") {
		t.Errorf("exit code %d: %s", code, said)
	}
	alarm(pb.AlarmRequest_DEACTIVATE, pb.AlarmType_CORRUPT)

	old.Sh(t, "mkdir -p /var/lib/etcd")
	pretend(t, old, "etcd", "--name=cp-1 --data-dir=/var/lib/etcd --listen-client-urls=http://"+without(t, "/etcdserverpb.Maintenance/HashKV", strings.TrimPrefix(address, "http://")))
	found(t, checked(t, env.ExitOK, old.Spec), "etcd agrees", dr.Warning, "unknown method")
	if said, code := backup("old.tar.gz", old.Spec); code != env.ExitOK || !strings.Contains(said, "whether etcd's members hold the same data is not known") {
		t.Errorf("exit code %d: %s", code, said)
	}
}

// without serves what an etcd does, but for one method, which it does not know: as an older one does not.
func without(t *testing.T, method, address string) string {
	t.Helper()
	behind, err := grpc.NewClient(address, grpc.WithTransportCredentials(insecure.NewCredentials()), grpc.WithDefaultCallOptions(grpc.ForceCodec(asIsCodec{})))
	if err != nil {
		t.Fatal(err)
	}
	pass := func(_ any, in grpc.ServerStream) error {
		asked, _ := grpc.MethodFromServerStream(in)
		if asked == method {
			return status.Error(codes.Unimplemented, "unknown method")
		}
		ctx, cancel := context.WithCancel(in.Context())
		defer cancel()
		out, err := behind.NewStream(ctx, &grpc.StreamDesc{ServerStreams: true, ClientStreams: true}, asked)
		if err != nil {
			return err
		}
		go func() {
			for {
				var m []byte
				if in.RecvMsg(&m) != nil {
					_ = out.CloseSend()
					return
				}
				if out.SendMsg(&m) != nil {
					return
				}
			}
		}()
		for {
			var m []byte
			if err := out.RecvMsg(&m); err != nil {
				if err.Error() == "EOF" {
					return nil
				}
				return err
			}
			if err := in.SendMsg(&m); err != nil {
				return err
			}
		}
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s := grpc.NewServer(grpc.ForceServerCodec(asIsCodec{}), grpc.UnknownServiceHandler(pass))
	web := &http.Server{Protocols: &http.Protocols{}, Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.ProtoMajor == 2 {
			s.ServeHTTP(w, r)
			return
		}
		httputil.NewSingleHostReverseProxy(&url.URL{Scheme: "http", Host: address}).ServeHTTP(w, r)
	})}
	web.Protocols.SetHTTP1(true)
	web.Protocols.SetUnencryptedHTTP2(true)
	go func() { _ = web.Serve(l) }()
	t.Cleanup(func() { web.Close(); behind.Close() })
	return l.Addr().String()
}

// asIsCodec passes messages on.
type asIsCodec struct{}

func (asIsCodec) Marshal(v any) ([]byte, error) { return *v.(*[]byte), nil }
func (asIsCodec) Unmarshal(text []byte, v any) error {
	*v.(*[]byte) = append([]byte{}, text...)
	return nil
}
func (asIsCodec) Name() string { return "proto" }
