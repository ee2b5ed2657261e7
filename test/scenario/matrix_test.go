// SPDX-License-Identifier: Apache-2.0

package scenario

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"errors"
	"fmt"
	"net"
	"strings"
	"testing"
	"time"

	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	clientv3 "go.etcd.io/etcd/client/v3"
	"go.uber.org/zap"
	"google.golang.org/grpc"

	"hozon.dev/hozon/internal/host/hosttest"
	"hozon.dev/hozon/test/daemon"
)

// etcd is a client of one host's member.
func (c *Cluster) etcd(t *testing.T, h *hosttest.Host) *clientv3.Client {
	t.Helper()
	cert, key := c.etcdCA.sign(t, pkix.Name{CommonName: "root"}, nil, "127.0.0.1")
	pair, err := tls.X509KeyPair([]byte(cert), []byte(key))
	check(t, err)
	pool := x509.NewCertPool()
	pool.AddCert(c.etcdCA.cert)
	client, err := clientv3.New(clientv3.Config{
		Endpoints: []string{"https://" + h.Spec.Address + ":2379"}, TLS: &tls.Config{RootCAs: pool, Certificates: []tls.Certificate{pair}, MinVersion: tls.VersionTLS12}, Logger: zap.NewNop(),
		DialOptions: []grpc.DialOption{grpc.WithContextDialer(func(ctx context.Context, address string) (net.Conn, error) { return c.Site.Dial(ctx, "tcp", address) })},
	})
	check(t, err)
	t.Cleanup(func() { client.Close() })
	return client
}

// put writes keys, and waits for etcd to take them.
func put(t *testing.T, client *clientv3.Client, kvs ...string) {
	t.Helper()
	for i := 0; i < len(kvs); i += 2 {
		ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
		for {
			_, err := client.Put(ctx, kvs[i], kvs[i+1])
			if err == nil {
				break
			}
			if ctx.Err() != nil {
				t.Fatalf("put %s: %v", kvs[i], err)
			}
			time.Sleep(200 * time.Millisecond) // it has no leader yet
		}
		cancel()
	}
}

// get reads keys, and waits for etcd to answer. What was compacted away is an answer.
func get(t *testing.T, client *clientv3.Client, key string, options ...clientv3.OpOption) (*clientv3.GetResponse, error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	for {
		r, err := client.Get(ctx, key, options...)
		if err == nil || errors.Is(err, rpctypes.ErrCompacted) || ctx.Err() != nil {
			return r, err
		}
		time.Sleep(200 * time.Millisecond) // it has no leader, or a disk that stands still
	}
}

const object = `{"apiVersion":"v1","kind":"Namespace","metadata":{"name":"%s","uid":"1"}}`

// TestMatrix restores etcd of each minor version: three members of it start on what the restore makes, agree, serve the old data at a higher revision, have
// nothing older to show, and take new data. Without HOZON_SCENARIO=1 there is one member of the oldest only.
func TestMatrix(t *testing.T) {
	t.Parallel()
	n, versions := 1, []string{"3.4"}
	if whole() {
		n, versions = 3, []string{"3.4", "3.5", "3.6", "3.7"}
	}
	for _, version := range versions {
		t.Run(version, func(t *testing.T) {
			t.Parallel()
			hosttest.NewSite(t) // skips where there is none
			var path string
			var err error
			switch version {
			case "3.4":
				path, err = daemon.Build(t.Context(), "tools/etcd-3.4/install")
			case "3.6":
				path, err = daemon.Build(t.Context(), "devcluster/build")
			default:
				path, err = daemon.Build(t.Context(), "tools/build", "tools/etcd-"+version, "go.etcd.io/etcd/server/v3", "etcd")
			}
			check(t, err)
			c := Start(t, Setup{Hosts: n, Units: true, Etcd: path})
			s := NewStation(t, c)
			client := c.etcd(t, c.Hosts[0])
			put(t, client, "/registry/namespaces/default", fmt.Sprintf(object, "default"), "/registry/namespaces/shop", fmt.Sprintf(object, "shop"))
			archive := s.Backup(t, "prod.tar.gz.age")
			put(t, client, "/registry/namespaces/newer", fmt.Sprintf(object, "newer"))
			before, err := get(t, client, "/registry/namespaces/newer")
			check(t, err)
			out := s.Must(t, s.restore("--backup-file", archive, "--use-disk")...)
			if !strings.Contains(out, "etcd "+version+".") {
				t.Errorf("not etcd %s:\n%s", version, out)
			}
			for _, h := range c.Hosts {
				restored(t, c.etcd(t, h), before.Header.Revision, n)
			}
		})
	}
}

// restored asks one member.
func restored(t *testing.T, client *clientv3.Client, before int64, members int) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Minute)
	defer cancel()
	r, err := get(t, client, "/registry/namespaces/", clientv3.WithPrefix(), clientv3.WithKeysOnly())
	check(t, err)
	if len(r.Kvs) != 2 || r.Header.Revision < 1_000_000_000 {
		t.Errorf("revision %d: %v", r.Header.Revision, r.Kvs)
	}
	if _, err := get(t, client, "/registry/namespaces/shop", clientv3.WithRev(before)); !errors.Is(err, rpctypes.ErrCompacted) {
		t.Errorf("a read at a revision from before: %v", err)
	}
	w := <-client.Watch(ctx, "/registry/", clientv3.WithPrefix(), clientv3.WithRev(before+1))
	if !errors.Is(w.Err(), rpctypes.ErrCompacted) {
		t.Errorf("a watch from a revision from before: %v, %v", w.Err(), w.Events)
	}
	list, err := client.MemberList(ctx)
	check(t, err)
	if len(list.Members) != members {
		t.Errorf("%d members: %v", len(list.Members), list.Members)
	}
	put(t, client, "/registry/configmaps/a/b", "1")
}

// TestOwnTools has the machine's own etcdctl make the data, as it does for an etcd that the library does not write for: it is said that an old one cannot raise the revision.
func TestOwnTools(t *testing.T) {
	t.Parallel()
	hosttest.NewSite(t) // skips where there is none
	path, err := daemon.Build(t.Context(), "tools/etcd-3.4/install")
	check(t, err)
	c := Start(t, Setup{Hosts: 1, Units: true, Etcd: path})
	s := NewStation(t, c)
	client := c.etcd(t, c.Hosts[0])
	put(t, client, "/registry/namespaces/default", fmt.Sprintf(object, "default"))
	archive := s.Backup(t, "prod.tar.gz.age")
	put(t, client, "/registry/namespaces/newer", fmt.Sprintf(object, "newer"))
	out := s.Must(t, s.restore("--backup-file", archive, "--own-tools")...)
	if !strings.Contains(out, "its etcdctl cannot raise the revision: restart every kubelet") || !strings.Contains(out, "at the snapshot's revision") {
		t.Errorf("%s", out)
	}
	r, err := get(t, c.etcd(t, c.Hosts[0]), "/registry/namespaces/", clientv3.WithPrefix(), clientv3.WithKeysOnly())
	check(t, err)
	if len(r.Kvs) != 1 || r.Header.Revision > 100 {
		t.Errorf("revision %d: %v", r.Header.Revision, r.Kvs)
	}
	if got := c.Hosts[0].Sh(t, "stat -c %U /var/lib/etcd/member/snap/db; ls /var/lib | grep etcd | wc -l"); got != "etcd\n2\n" {
		t.Errorf("etcd's data, and what is beside it: %s", got)
	}
	s.Must(t, s.restore("--rollback")...)
	r, err = get(t, c.etcd(t, c.Hosts[0]), "/registry/namespaces/newer")
	check(t, err)
	if len(r.Kvs) != 1 {
		t.Error("what was there before did not come back")
	}
}
