// SPDX-License-Identifier: Apache-2.0

package clustertest

import (
	"encoding/json"
	"os"
	"strings"
	"syscall"
	"testing"
	"time"
)

func TestMain(m *testing.M) {
	if dir := os.Getenv(parentEnv); dir != "" {
		beParent(dir)
	}
	Main(m)
}

// Starts a cluster with controllers, 3 to 5 s.
func TestControllers(t *testing.T) {
	c := Start(t, Options{Controllers: true, UnsafeNoFsync: true})
	var version struct{ GitVersion string }
	body, err := c.get(t.Context(), "/version")
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(body, &version); err != nil {
		t.Fatal(err)
	}
	if version.GitVersion != Version {
		t.Errorf("version is %q", version.GitVersion)
	}

	// The deployment and replica set controllers make a pod of it, which
	// needs the service account and its signing key too.
	kubectl(t, c, "create", "deployment", "web", "--image=web")
	kubectl(t, c, "wait", "--timeout=60s", "--for=create", "pod", "-l", "app=web")
	// The scheduler has seen it, and found no node.
	kubectl(t, c, "wait", "--timeout=60s", "--for=condition=PodScheduled=false", "pod", "-l", "app=web")

	usage, err := c.Usage()
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"etcd", "kube-apiserver", "kube-controller-manager", "kube-scheduler"} {
		if u := usage[name]; u.CPU <= 0 || u.Peak < 10<<20 {
			t.Errorf("%s uses %+v", name, u)
		}
	}
}

// Starts two clusters, 3 to 5 s.
func TestSideBySide(t *testing.T) {
	first := Shared(t)
	if again := Shared(t); again != first {
		t.Error("Shared started a second cluster")
	}
	second := Start(t, Options{UnsafeNoFsync: true})
	ns := first.Namespace(t)
	if _, err := first.get(t.Context(), "/api/v1/namespaces/"+ns); err != nil {
		t.Error(err)
	}
	_, err := second.get(t.Context(), "/api/v1/namespaces/"+ns)
	if err == nil || !strings.Contains(err.Error(), "404") {
		t.Errorf("the namespace of one cluster in the other: %v", err)
	}
	// Pods can be created though nobody makes service accounts.
	kubectl(t, first, "-n", ns, "run", "web", "--image=web")
}

// Starts a cluster, 3 s.
func TestCloseLeavesNothing(t *testing.T) {
	skipShort(t)
	dir := t.TempDir() + "/cluster"
	c, err := Launch(t.Context(), dir, Options{UnsafeNoFsync: true})
	if err != nil {
		t.Fatal(err)
	}
	info, err := os.Stat(c.Kubeconfig())
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("kubeconfig: %v, %v", info, err)
	}
	if _, err := Launch(t.Context(), dir, Options{}); err == nil {
		t.Error("a second cluster was launched in the same folder")
	}
	pids := c.PIDs()
	if len(pids) != 2 {
		t.Errorf("processes: %v", pids)
	}
	for range 2 {
		if err := c.Close(); err != nil {
			t.Fatal(err)
		}
	}
	for name, pid := range pids {
		if err := syscall.Kill(pid, 0); err != syscall.ESRCH {
			t.Errorf("%s is still there: %v", name, err)
		}
	}
	if _, err := os.Stat(dir); !os.IsNotExist(err) {
		t.Errorf("folder: %v", err)
	}
}

// Starts a cluster, with fsync, and its API server three times: 8 s.
func TestRestartAPIServer(t *testing.T) {
	c := Start(t, Options{})
	ns := c.Namespace(t)
	down := map[string]func(){"stop": c.StopAPIServer, "kill": c.KillAPIServer}
	for how, end := range down {
		end()
		if _, err := c.get(t.Context(), "/readyz"); err == nil {
			t.Fatalf("it answers after %s", how)
		}
		if _, ok := c.PIDs()[apiServer]; ok {
			t.Errorf("it has a process after %s", how)
		}
		url := c.URL
		if err := c.StartAPIServer(t.Context()); err != nil {
			t.Fatal(err)
		}
		if c.URL != url {
			t.Errorf("URL changed from %s to %s", url, c.URL)
		}
		if _, err := c.get(t.Context(), "/api/v1/namespaces/"+ns); err != nil {
			t.Errorf("after %s: %v", how, err)
		}
	}
	if err := c.StartAPIServer(t.Context()); err == nil {
		t.Error("a second API server was started")
	}
}

// A component that ends at once must be an error at once, with its words.
func TestStartFails(t *testing.T) {
	skipShort(t)
	began := time.Now()
	_, err := Launch(t.Context(), t.TempDir()+"/cluster", Options{APIServerFlags: []string{"--no-such-flag"}})
	if err == nil || !strings.Contains(err.Error(), "no-such-flag") {
		t.Errorf("error is %v", err)
	}
	if took := time.Since(began); took > startTimeout/2 {
		t.Errorf("took %s", took)
	}
}

func kubectl(t *testing.T, c *Cluster, args ...string) string {
	t.Helper()
	out, err := c.Kubectl(t.Context(), args...).CombinedOutput()
	if err != nil {
		t.Fatalf("kubectl %q: %v\n%s", args, err, out)
	}
	return string(out)
}
