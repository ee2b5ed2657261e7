// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"os"
	"path/filepath"
	"runtime/debug"
	"strconv"
	"strings"
)

// collectAt makes the collector start when the heap has grown by half, not when it has doubled: most of ours are buffers without
// pointers, which cost nothing to pass over, so that the smaller peak is nearly free.
const collectAt = 50

// tuneMemory sets the collector to what suits this program, unless the environment (GOGC, GOMEMLIMIT) says otherwise: a
// container's limit is kept by collecting more often near to it, and not found out by being killed.
func tuneMemory() {
	if os.Getenv("GOGC") == "" {
		debug.SetGCPercent(collectAt)
	}
	if os.Getenv("GOMEMLIMIT") != "" {
		return
	}
	if limit := groupLimit("/"); limit > 0 {
		debug.SetMemoryLimit(limit / 10 * 9) // the rest is for what the collector does not count: the program itself, and the kernel's buffers
	}
}

// groupLimit is the memory limit in bytes of the cgroup that this process is in, of version 1 or 2; 0: there is none. root is "/",
// but for tests.
func groupLimit(root string) int64 {
	lines, err := os.ReadFile(filepath.Join(root, "proc/self/cgroup"))
	if err != nil {
		return 0
	}
	for line := range strings.Lines(string(lines)) {
		_, rest, _ := strings.Cut(strings.TrimSpace(line), ":")
		controllers, path, _ := strings.Cut(rest, ":")
		mount, file := "sys/fs/cgroup", "memory.max"
		switch controllers {
		case "":
		case "memory":
			mount, file = "sys/fs/cgroup/memory", "memory.limit_in_bytes"
		default:
			continue
		}
		// In a container the path may be that of the host, where the mount shows only our own cgroup.
		for _, dir := range []string{filepath.Join(mount, path), mount} {
			if limit := readLimit(filepath.Join(root, dir, file)); limit > 0 {
				return limit
			}
		}
	}
	return 0
}

// readLimit reads a limit; "max", and the huge number that version 1 says instead, are none.
func readLimit(file string) int64 {
	const none = 1 << 50
	text, err := os.ReadFile(file)
	if err != nil {
		return 0
	}
	limit, err := strconv.ParseInt(string(bytes.TrimSpace(text)), 10, 64)
	if err != nil || limit >= none {
		return 0
	}
	return limit
}
