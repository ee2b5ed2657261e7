// SPDX-License-Identifier: Apache-2.0

package pod

import (
	"context"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Root returns a folder under which a helper finds the file system of a container in its own process namespace, by way of one of its
// processes: the first that belongs to the container with this id, or the first of all, which is the container's own unless the
// pod shares its processes.
func Root(containerID string) string {
	if containerID == "" {
		return "/"
	}
	for _, pid := range processes() {
		group, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/cgroup")
		if err == nil && strings.Contains(string(group), containerID) {
			return "/proc/" + strconv.Itoa(pid) + "/root"
		}
	}
	return "/proc/1/root"
}

func processes() []int {
	dirs, _ := filepath.Glob("/proc/[0-9]*")
	var pids []int
	for _, dir := range dirs {
		if pid, err := strconv.Atoi(filepath.Base(dir)); err == nil {
			pids = append(pids, pid)
		}
	}
	slices.Sort(pids)
	return pids
}

// Wait keeps a helper's container alive until no helper has served for the time idle.
func Wait(ctx context.Context, idle time.Duration) {
	const every = 5 * time.Second
	tick := time.NewTicker(every)
	defer tick.Stop()
	for quiet := time.Duration(0); quiet < idle; quiet += every {
		if serving() {
			quiet = 0
		}
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}

// serving reports whether a helper serves in this process namespace.
func serving() bool {
	for _, pid := range processes() {
		line, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/cmdline")
		if err == nil && strings.Contains(string(line), "volume\x00helper\x00serve") {
			return true
		}
	}
	return false
}
