// SPDX-License-Identifier: Apache-2.0

package friendly

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/sync/errgroup"

	"hozon.dev/hozon/internal/cluster"
	"hozon.dev/hozon/internal/cluster/clustertest"
)

func TestMain(m *testing.M) { clustertest.Main(m) }

const (
	objects = 2000
	phase   = 4 * time.Second // at least; 400 calls
	rounds  = 3               // a machine that is busy with other things can spoil one
)

// allowance is what the neighbour may wait for beyond twice its time alone, in a test in which both clients and both servers share all
// cores: about a time slice of the kernel's scheduler.
const allowance = 8 * time.Millisecond

func open(t *testing.T, c *clustertest.Cluster) *cluster.Client {
	t.Helper()
	client, err := cluster.Open(cluster.Options{Kubeconfig: c.Kubeconfig()})
	if err != nil {
		t.Fatal(err)
	}
	return client
}

// fill makes a namespace with objects of about 4 KiB.
func fill(t *testing.T, c *clustertest.Cluster) (namespace string) {
	t.Helper()
	client, namespace := open(t, c), c.Namespace(t)
	g, ctx := errgroup.WithContext(t.Context())
	g.SetLimit(8)
	for i := range objects {
		g.Go(func() error {
			body := fmt.Appendf(nil, `{"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":"o%05d"},"data":{"text":%q}}`, i, strings.Repeat("some text ", 400))
			_, err := client.Create(ctx, configMaps, namespace, body, cluster.WriteOptions{})
			return err
		})
	}
	if err := g.Wait(); err != nil {
		t.Fatal(err)
	}
	return namespace
}

// builder runs the real program, so that its garbage collector and its goroutines are not those of the neighbour.
func builder(t *testing.T, c *clustertest.Cluster) func(args ...string) {
	t.Helper()
	program, store := filepath.Join(t.TempDir(), "hozon"), t.TempDir()
	if out, err := exec.Command("go", "build", "-o", program, "hozon.dev/hozon/cmd/hozon").CombinedOutput(); err != nil {
		t.Fatal(string(out))
	}
	return func(args ...string) {
		t.Helper()
		cmd := exec.Command(program, append(args, "--kubeconfig", c.Kubeconfig(), "--store", store)...)
		cmd.Env = append(os.Environ(), "HOME="+store)
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("%v: %s", err, out)
		}
	}
}

// starved is what no call of the neighbour may take, whatever else the machine does.
const starved = 2 * time.Second

// strict says that the machine does nothing else, so that a promise in milliseconds can be held against it.
func strict() bool { return os.Getenv("HOZON_FRIENDLY") != "" }

// TestNeighbour measures a small client alone, during backups and during restores. It takes twenty seconds and more: a 99th percentile
// needs some hundred calls. Beside other tests it only finds starvation; `make crash` sets HOZON_FRIENDLY and has it hold the promise.
func TestNeighbour(t *testing.T) {
	if testing.Short() {
		t.Skip("starts servers")
	}
	c := clustertest.Shared(t)
	hozon, namespace := builder(t, c), fill(t, c)
	hozon("backup", "create", "saved", "--include-namespaces", namespace)
	n := newNeighbour(t, c)
	last := func() { <-time.After(phase) }
	number := 0
	repeat := func(work func(name string)) func() {
		return func() {
			for began := time.Now(); time.Since(began) < phase; {
				number++
				work(fmt.Sprintf("n%d", number))
			}
		}
	}
	backups := repeat(func(name string) { hozon("backup", "create", name, "--include-namespaces", namespace) })
	restores := repeat(func(name string) {
		hozon("restore", "create", name, "--from-backup", "saved", "--namespace-mappings", namespace+":"+namespace+"-"+name)
	})
	for round := 1; ; round++ {
		before := n.during(t, last)
		backup := n.during(t, backups)
		between := n.during(t, last)
		restore := n.during(t, restores)
		t.Logf("alone    %s", before)
		t.Logf("backups  %s", backup)
		t.Logf("alone    %s", between)
		t.Logf("restores %s", restore)
		bound := starved
		if strict() {
			bound = 2*max(before.p99, between.p99) + allowance
		}
		if backup.p99 <= bound && restore.p99 <= bound {
			return
		}
		if round == rounds {
			t.Fatalf("the 99th percentile was above %s in each of %d rounds", bound, rounds)
		}
	}
}
