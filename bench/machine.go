// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"os"
	"os/exec"
	"runtime"
	"strings"
)

// machineFacts is where figures come from.
type machineFacts struct {
	CPU    string
	Cores  int
	Memory string
	Kernel string
	Go     string
	Commit string // with "+" if the tree differs from it
}

func machine(ctx context.Context, root string) machineFacts {
	m := machineFacts{Cores: runtime.NumCPU(), Go: runtime.Version()}
	m.CPU = field("/proc/cpuinfo", "model name")
	m.Memory = field("/proc/meminfo", "MemTotal")
	m.Kernel = firstLine("/proc/sys/kernel/osrelease")
	m.Commit = git(ctx, root, "rev-parse", "--short=12", "HEAD")
	if git(ctx, root, "status", "--porcelain", "--untracked-files=no") != "" {
		m.Commit += "+"
	}
	return m
}

func git(ctx context.Context, root string, args ...string) string {
	out, err := exec.CommandContext(ctx, "git", append([]string{"-C", root}, args...)...).Output()
	if err != nil { // not a clone: the figures have no commit then
		return ""
	}
	return strings.TrimSpace(string(out))
}

// load is the machine's load over one, five and fifteen minutes.
func load() string {
	f := strings.Fields(firstLine("/proc/loadavg"))
	return strings.Join(f[:min(len(f), 3)], " ")
}

func firstLine(path string) string {
	text, _ := os.ReadFile(path) // where there is no such file there is nothing to say
	line, _, _ := strings.Cut(string(text), "\n")
	return line
}

// field is the value of the first line "key : value" of a file.
func field(path, key string) string {
	text, _ := os.ReadFile(path)
	for line := range strings.Lines(string(text)) {
		k, v, ok := strings.Cut(line, ":")
		if ok && strings.TrimSpace(k) == key {
			return strings.TrimSpace(v)
		}
	}
	return ""
}
