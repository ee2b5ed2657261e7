// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

// group is a memory cgroup, of version 1 or 2.
type group struct {
	dir string
	v2  bool
}

// newGroup makes a cgroup with a limit. It needs root.
func newGroup(limit int64) (*group, error) {
	g := &group{dir: fmt.Sprintf("/sys/fs/cgroup/memory/hozon-bench-%d", os.Getpid())}
	limits := []string{"memory.limit_in_bytes"}
	if _, err := os.Stat("/sys/fs/cgroup/cgroup.controllers"); err == nil {
		g.v2, g.dir, limits = true, "/sys/fs/cgroup/"+filepath.Base(g.dir), []string{"memory.max"}
	}
	if err := os.Mkdir(g.dir, 0o755); err != nil {
		return nil, fmt.Errorf("make a memory cgroup (as root): %w", err)
	}
	for _, name := range limits {
		if err := g.write(name, limit); err != nil {
			return nil, err
		}
	}
	return g, nil
}

func (g *group) write(name string, value int64) error {
	return os.WriteFile(filepath.Join(g.dir, name), []byte(strconv.FormatInt(value, 10)), 0o644)
}

// command is the shell's way to run args in the cgroup.
func (g *group) command(args []string) []string {
	return append([]string{"/bin/sh", "-c", `echo $$ > "$0" && exec "$@"`, filepath.Join(g.dir, "cgroup.procs")}, args...)
}

// peak forgets the highest usage so far and returns it; 0 where the kernel does not say.
func (g *group) peak() int64 {
	name := "memory.max_usage_in_bytes"
	if g.v2 {
		name = "memory.peak"
	}
	text, err := os.ReadFile(filepath.Join(g.dir, name))
	if err != nil {
		return 0
	}
	_ = g.write(name, 0) // old kernels of version 2 cannot: the highest usage of all steps then
	n, _ := strconv.ParseInt(strings.TrimSpace(string(text)), 10, 64)
	return n
}

// remove takes the cgroup away as soon as the kernel has let go of its last process.
func (g *group) remove() {
	for range 200 {
		if os.Remove(g.dir) == nil {
			return
		}
		time.Sleep(10 * time.Millisecond) // no event tells when the last process has left
	}
}
