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

// beParent launches a cluster, tells its process ids, and waits to be killed.
func beParent(dir string) {
	c, err := Launch(context.Background(), dir, Options{Controllers: true, UnsafeNoFsync: true})
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
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), parentEnv+"="+dir)
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
	sweep(temp, time.Now())
	if _, err := os.Stat(dir); err != nil {
		t.Errorf("a folder that may have no owner yet: %v", err)
	}
	sweep(temp, later)
	if _, err := os.Stat(dir); !os.IsNotExist(err) {
		t.Errorf("the folder of the dead owner: %v", err)
	}
}

// gone reports whether a process has ended; one that nobody has reaped yet has.
func gone(pid int) bool {
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	return err != nil || strings.Contains(string(stat), ") Z ")
}
