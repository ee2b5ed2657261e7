// SPDX-License-Identifier: Apache-2.0

package scale

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"
)

const (
	limit      = 256 << 20
	unifiedDir = "/sys/fs/cgroup"
	memoryDir  = "/sys/fs/cgroup/memory" // of version 1
)

// group is a memory cgroup, of version 1 or 2.
type group struct {
	dir string // "": there is none
	v2  bool
}

// newGroup makes a cgroup with the limit for t. Where that is not allowed, processes run without one.
func newGroup(t *testing.T) group {
	t.Helper()
	g := group{dir: filepath.Join(memoryDir, fmt.Sprintf("hozon-scale-%d", os.Getpid()))}
	if _, err := os.Stat(filepath.Join(unifiedDir, "cgroup.controllers")); err == nil {
		g.v2, g.dir = true, filepath.Join(unifiedDir, filepath.Base(g.dir))
	}
	if err := os.Mkdir(g.dir, 0o755); err != nil {
		t.Logf("no memory cgroup can be made, so that only the resident set is looked at: %v", err)
		return group{}
	}
	t.Cleanup(g.remove)
	names := []string{"memory.limit_in_bytes", "memory.memsw.limit_in_bytes"}
	if g.v2 {
		names = []string{"memory.max", "memory.swap.max"}
	}
	if err := g.write(names[0], limit); err != nil {
		t.Logf("the memory cgroup takes no limit, so that only the resident set is looked at: %v", err)
		return group{}
	}
	swap := int64(limit) // version 1 counts memory and swap together
	if g.v2 {
		swap = 0
	}
	if err := g.write(names[1], swap); err != nil {
		t.Logf("swap is not limited: %v", err)
	}
	return g
}

func (g group) write(name string, value int64) error {
	return os.WriteFile(filepath.Join(g.dir, name), []byte(strconv.FormatInt(value, 10)), 0o644)
}

// remove takes the cgroup away as soon as the kernel has let go of its last process.
func (g group) remove() {
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for range 200 {
		if os.Remove(g.dir) == nil {
			return
		}
		<-tick.C
	}
}

// command is the shell's way to run args in the cgroup.
func (g group) command(args []string) []string {
	if g.dir == "" {
		return args
	}
	return append([]string{"/bin/sh", "-c", `echo $$ > "$0" && exec "$@"`, filepath.Join(g.dir, "cgroup.procs")}, args...)
}

// peak forgets the highest usage so far and returns it, page cache included; 0 where the kernel does not say.
func (g group) peak() int64 {
	name := "memory.max_usage_in_bytes"
	if g.v2 {
		name = "memory.peak"
	}
	text, err := os.ReadFile(filepath.Join(g.dir, name))
	if err != nil {
		return 0
	}
	_ = g.write(name, 0) // old kernels of version 2 cannot: the highest usage of all runs then
	n, _ := strconv.ParseInt(strings.TrimSpace(string(text)), 10, 64)
	return n
}
