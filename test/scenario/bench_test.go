// SPDX-License-Identifier: Apache-2.0

package scenario

import (
	"bytes"
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"strconv"
	"strings"
	"testing"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"
	"golang.org/x/sync/errgroup"

	"hozon.dev/hozon/internal/host/hosttest"
	"hozon.dev/hozon/test/daemon"
)

// number reads a setting of a benchmark.
func number(name string, otherwise int) int {
	if n, err := strconv.Atoi(os.Getenv(name)); err == nil && n > 0 {
		return n
	}
	return otherwise
}

// usage is what one run took.
type usage struct {
	took time.Duration
	cpu  float64 // seconds of processor time, but for the last moments
	peak int64   // MiB
}

// watched runs a program and prints at the end the most memory that it had. What the kernel reports of an ended child counts its parent's memory, too, from before it
// became the program.
const watched = `"$@" & p=$!; m=0; c=0
while h=$(sed -n 's/^VmHWM:[^0-9]*\([0-9]*\).*/\1/p' /proc/$p/status 2>/dev/null) && [ -n "$h" ]; do
	m=$h; c=$(sed 's/.*) //' /proc/$p/stat | cut -d ' ' -f 12,13) || :; sleep 0.05
done
wait $p; r=$?; echo "peak-kib $m $c"; exit $r`

// timed runs a program on a host.
func timed(t *testing.T, h *hosttest.Host, env []string, args ...string) (u usage, said string) {
	t.Helper()
	c := h.Inside(context.WithoutCancel(t.Context()), "bash", append([]string{"-c", watched, "sh"}, args...)...)
	c.Env = append(os.Environ(), env...)
	began := time.Now()
	out, err := c.CombinedOutput()
	u.took = time.Since(began)
	if err != nil {
		t.Fatalf("%v: %v\n%s", args, err, out)
	}
	said, peak, _ := strings.Cut(string(out), "peak-kib ")
	var user, system int64 // in hundredths
	_, err = fmt.Sscan(peak, &u.peak, &user, &system)
	check(t, err)
	u.peak >>= 10
	u.cpu = float64(user+system) / 100
	return u, said
}

// TestBenchEtcd measures `hozon backup cluster`, sealed, against `etcdctl snapshot save`, on a machine with an etcd of HOZON_BENCH_MIB (make bench-etcd), in turns, and
// `hozon cluster extract` of HOZON_BENCH_OBJECTS objects.
func TestBenchEtcd(t *testing.T) {
	if os.Getenv("HOZON_BENCH_MIB") == "" {
		t.Skip("make bench-etcd")
	}
	mib, objects, runs := number("HOZON_BENCH_MIB", 2048), number("HOZON_BENCH_OBJECTS", 100_000), number("RUNS", 3)
	kube, err := daemon.Build(t.Context(), "devcluster/build")
	check(t, err)
	etcdctl, err := daemon.Build(t.Context(), "tools/build", "tools/etcd-3.7", "go.etcd.io/etcd/etcdctl/v3", "etcdctl")
	check(t, err)
	c := Start(t, Setup{Hosts: 1, Units: true, Etcd: kube, Flags: []string{"--quota-backend-bytes=8589934592"}})
	s, h := NewStation(t, c), c.Hosts[0]
	client := c.etcd(t, h)
	fill(t, client, mib, objects)
	t.Logf("etcd's database: %s", h.Sh(t, "du -m /var/lib/etcd/member/snap/db | cut -f 1"))
	const pki = "/etc/kubernetes/pki/etcd/"
	for run := range runs {
		h.Sh(t, "rm -rf /srv/*")
		ctl, _ := timed(t, h, nil, etcdctl, "--endpoints=https://127.0.0.1:2379", "--cacert="+pki+"ca.crt", "--cert="+pki+"server.crt", "--key="+pki+"server.key", "--command-timeout=10m", "snapshot", "save", "/srv/ctl.db")
		h.Sh(t, "rm -rf /srv/*")
		own, said := timed(t, h, []string{"HOME=/root"}, s.program, "backup", "cluster", "-c", "prod", "--recipient", s.recipient, "--backup-file", "/srv/own.age")
		t.Logf("run %d: etcdctl snapshot save %.2f s (own processor time %.2f s), %d MiB; hozon backup cluster %.2f s (%.2f s), %d MiB: %.2f of its speed\n%s",
			run+1, ctl.took.Seconds(), ctl.cpu, ctl.peak, own.took.Seconds(), own.cpu, own.peak, ctl.took.Seconds()/own.took.Seconds(), said)
	}
	h.Sh(t, "mkdir -p /srv/store")
	c.write(t, h, map[string]string{"/root/key.txt": readFile(t, s.identity)})
	u, _ := timed(t, h, []string{"HOME=/root"}, s.program, "cluster", "extract", "/srv/own.age", "--identity", "/root/key.txt", "--as", "all", "--store", "/srv/store")
	t.Logf("extract of %d objects out of it: %.2f s (own processor time %.2f s), %d MiB", objects, u.took.Seconds(), u.cpu, u.peak)
}

func readFile(t *testing.T, name string) string {
	t.Helper()
	text, err := os.ReadFile(name)
	check(t, err)
	return string(text)
}

// fill writes objects, and as much else as makes the database that large: values that do not compress, as Secrets do not.
func fill(t *testing.T, client *clientv3.Client, mib, objects int) {
	t.Helper()
	put(t, client, "/registry/namespaces/default", fmt.Sprintf(object, "default"))
	g, ctx := errgroup.WithContext(t.Context())
	g.SetLimit(32)
	const together = 100
	for from := 0; from < objects; from += together {
		g.Go(func() error {
			var ops []clientv3.Op
			for i := from; i < min(from+together, objects); i++ {
				name := fmt.Sprintf("settings-%06d", i)
				body := fmt.Sprintf(`{"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":%q,"namespace":"default","uid":"%d","creationTimestamp":"2026-01-01T00:00:00Z"},"data":{"text":%q}}`,
					name, i, strings.Repeat("some text ", 40))
				ops = append(ops, clientv3.OpPut("/registry/configmaps/default/"+name, body))
			}
			_, err := client.Txn(ctx).Then(ops...).Commit()
			return err
		})
	}
	check(t, g.Wait())
	g, ctx = errgroup.WithContext(t.Context())
	g.SetLimit(8)
	const size = 512 << 10
	for i := range mib * 2 {
		g.Go(func() error {
			random := rand.NewChaCha8([32]byte{byte(i), byte(i >> 8)})
			var b bytes.Buffer
			b.Grow(size)
			chunk := make([]byte, 4096)
			for b.Len() < size {
				_, _ = random.Read(chunk)
				b.Write(chunk)
			}
			_, err := client.Put(ctx, fmt.Sprintf("/other/%06d", i), b.String())
			return err
		})
	}
	check(t, g.Wait())
}
