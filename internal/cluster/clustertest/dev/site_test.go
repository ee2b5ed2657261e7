// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"context"
	"crypto/rand"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"hozon.dev/hozon/test/daemon"
)

// TestMain lets `up` start this test binary as its supervisor.
func TestMain(m *testing.M) {
	if os.Args[len(os.Args)-1] == "run" {
		main()
		return
	}
	m.Run()
}

func testSite(t *testing.T) site {
	t.Helper()
	if testing.Short() {
		t.Skip("starts a control plane")
	}
	cache, err := daemon.Cache()
	if err != nil {
		t.Fatal(err)
	}
	name := "test-" + strings.ToLower(rand.Text()[:8])
	s := site{name: name, dir: filepath.Join(cache, "dev", name)}
	t.Cleanup(func() {
		// The test's own context has ended.
		if err := s.down(context.Background(), new(bytes.Buffer)); err != nil {
			t.Error(err)
		}
	})
	return s
}

func up(t *testing.T, s site) string {
	t.Helper()
	var out, talk bytes.Buffer
	if err := s.up(t.Context(), &out, &talk); err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(talk.String(), "make dev-down NAME="+s.name) {
		t.Errorf("it does not say how to stop it: %s", talk.String())
	}
	return out.String()
}

func answers(t *testing.T, s site) {
	t.Helper()
	kubectl := exec.CommandContext(t.Context(), filepath.Join(s.clusterDir(), "bin", "kubectl"), "get", "namespaces")
	kubectl.Env = append(os.Environ(), "KUBECONFIG="+filepath.Join(s.clusterDir(), "kubeconfig"), "KUBECACHEDIR="+t.TempDir())
	if out, err := kubectl.CombinedOutput(); err != nil || !strings.Contains(string(out), "kube-system") {
		t.Errorf("kubectl: %v\n%s", err, out)
	}
}

// Starts a cluster with controllers twice, 8 s.
func TestUpAndDown(t *testing.T) {
	s := testSite(t)
	line := up(t, s)
	if want := "export KUBECONFIG=" + filepath.Join(s.clusterDir(), "kubeconfig") + "\n"; line != want {
		t.Errorf("it prints %q, want %q", line, want)
	}
	answers(t, s)
	pid, err := s.running()
	if err != nil || pid == 0 {
		t.Fatalf("supervisor: %d, %v", pid, err)
	}
	if again := up(t, s); again != line {
		t.Errorf("the second time it prints %q", again)
	}
	if same, err := s.running(); same != pid || err != nil {
		t.Errorf("the second time started %d, %v", same, err)
	}

	// A supervisor that was killed has left its folder.
	if err := syscall.Kill(pid, syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	waitDead(t, s)
	up(t, s)
	answers(t, s)

	for _, want := range []string{"is gone", "is not running"} {
		var talk bytes.Buffer
		if err := s.down(t.Context(), &talk); err != nil {
			t.Fatal(err)
		}
		if !strings.Contains(talk.String(), want) {
			t.Errorf("down says %q, want %q", talk.String(), want)
		}
		if _, err := os.Stat(s.dir); !os.IsNotExist(err) {
			t.Errorf("folder: %v", err)
		}
	}
}

// waitDead returns when the killed supervisor's lock is free.
func waitDead(t *testing.T, s site) {
	t.Helper()
	deadline := time.After(20 * time.Second)
	for {
		pid, err := s.running()
		if err != nil {
			t.Fatal(err)
		}
		if pid == 0 {
			return
		}
		select {
		case <-deadline:
			t.Fatal("the killed supervisor is alive")
		case <-time.After(5 * time.Millisecond):
		}
	}
}

func TestBadArguments(t *testing.T) {
	for _, name := range []string{"", "A", "../x", "a b", "-a", "a-", strings.Repeat("a", 41)} {
		if err := run(t.Context(), site{name: name}, []string{"down"}); err == nil || !strings.Contains(err.Error(), "name") {
			t.Errorf("name %q: %v", name, err)
		}
	}
	for _, args := range [][]string{nil, {"sideways"}, {"up", "down"}} {
		if err := run(t.Context(), site{name: "x"}, args); err != errUsage {
			t.Errorf("arguments %q: %v", args, err)
		}
	}
}
