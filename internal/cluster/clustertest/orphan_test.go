// SPDX-License-Identifier: Apache-2.0

package clustertest

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"
)

// parentEnv makes this test binary the owner of a cluster in the folder that
// it names, instead of running tests.
const parentEnv = "CLUSTERTEST_PARENT"

// nodeEnv, if it is set, gives the parent's cluster a node.
const nodeEnv = "CLUSTERTEST_NODE"

// beParent launches a cluster, tells its process ids, and waits to be killed.
func beParent(dir string) {
	c, err := Launch(context.Background(), dir, Options{Controllers: true, Node: os.Getenv(nodeEnv) != "", UnsafeNoFsync: true})
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	_ = json.NewEncoder(os.Stdout).Encode(c.PIDs())
	<-c.process(apiServer).Done()
	os.Exit(1)
}

// Starts a cluster with controllers, 3 to 5 s.
func TestKilledParentLeavesNoOrphans(t *testing.T) {
	skipShort(t)
	if runtime.GOOS != "linux" {
		t.Skip("only Linux tells a child that its parent died")
	}
	temp := t.TempDir()
	dir := filepath.Join(temp, tempPrefix+"x")
	cmd, pids := startParent(t, dir)
	if len(pids) != 4 {
		t.Errorf("processes: %v", pids)
	}

	// The folder of a living owner is left alone, whatever its age.
	later := time.Now().Add(time.Hour)
	sweep(temp, later)
	if _, err := os.Stat(dir); err != nil {
		t.Fatal(err)
	}
	if err := cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = cmd.Wait()
	awaitGone(t, pids)
	sweep(temp, time.Now())
	if _, err := os.Stat(dir); err != nil {
		t.Errorf("a folder that may have no owner yet: %v", err)
	}
	sweep(temp, later)
	if _, err := os.Stat(dir); !os.IsNotExist(err) {
		t.Errorf("the folder of the dead owner: %v", err)
	}
}

// startParent runs this test binary as the owner of a cluster in dir, and
// returns when that is up, with the ids of its processes.
func startParent(t *testing.T, dir string, env ...string) (*exec.Cmd, map[string]int) {
	t.Helper()
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(append(os.Environ(), parentEnv+"="+dir), env...)
	cmd.Stderr = os.Stderr
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	var pids map[string]int
	if err := json.NewDecoder(out).Decode(&pids); err != nil {
		t.Fatal(err)
	}
	return cmd, pids
}

func awaitGone(t *testing.T, pids map[string]int) {
	t.Helper()
	deadline := time.After(20 * time.Second)
	for name, pid := range pids {
		for !gone(pid) {
			select {
			case <-deadline:
				t.Fatalf("%s outlives its parent", name)
			case <-time.After(5 * time.Millisecond):
			}
		}
	}
}

// gone reports whether a process has ended; one that nobody has reaped yet has.
func gone(pid int) bool {
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	return err != nil || strings.Contains(string(stat), ") Z ")
}
