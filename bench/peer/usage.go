// SPDX-License-Identifier: Apache-2.0

package peer

import (
	"fmt"
	"os"
	"strconv"
	"strings"
	"time"
)

// usage is what a group of processes uses.
type usage struct {
	cpu    time.Duration // since they were started, with that of their ended children
	memory int64         // bytes now
}

// usage is that of the server and its plugins. They stay in its process group.
func (s *Server) usage() (usage, error) {
	u, err := group(s.process.PID())
	if err == nil && u == (usage{}) {
		err = fmt.Errorf("read what velero uses: no such process")
	}
	return u, err
}

// group sums up a process group.
func group(id int) (usage, error) {
	entries, err := os.ReadDir("/proc")
	if err != nil {
		return usage{}, err
	}
	var sum usage
	for _, e := range entries {
		if c := e.Name()[0]; c < '0' || c > '9' {
			continue
		}
		stat, err := os.ReadFile("/proc/" + e.Name() + "/stat")
		if err != nil { // it has ended meanwhile
			continue
		}
		of, u, err := parse(string(stat))
		if err != nil {
			return sum, fmt.Errorf("read /proc/%s/stat: %w", e.Name(), err)
		}
		if of == id {
			sum.cpu += u.cpu
			sum.memory += share(e.Name(), u.memory)
		}
	}
	return sum, nil
}

// share is what a process has in memory, where pages that several have (the program itself, above all: most plugins are
// Velero's own binary) count only once over all of them. Where the kernel does not tell, it is resident.
func share(pid string, resident int64) int64 {
	text, err := os.ReadFile("/proc/" + pid + "/smaps_rollup")
	if err != nil { // it has ended meanwhile, or is another user's
		return resident
	}
	for line := range strings.Lines(string(text)) {
		if rest, ok := strings.CutPrefix(line, "Pss:"); ok {
			if kib, err := strconv.ParseInt(strings.TrimSuffix(strings.TrimSpace(rest), " kB"), 10, 64); err == nil {
				return kib << 10
			}
		}
	}
	return resident
}

// parse reads a process' group and usage (its memory with all that it shares) from its stat file as proc(5) describes it.
func parse(stat string) (int, usage, error) {
	const tick = time.Second / 100 // USER_HZ is 100 on every Linux platform of Go
	// The second field is the program's name in parentheses, which may hold anything; the next is the third.
	fields := strings.Fields(stat[strings.LastIndex(stat, ")")+1:])
	const group, utime, cstime, rss = 5 - 3, 14 - 3, 17 - 3, 24 - 3
	if len(fields) <= rss {
		return 0, usage{}, fmt.Errorf("%d fields", len(fields))
	}
	id, err := strconv.Atoi(fields[group])
	if err != nil {
		return 0, usage{}, err
	}
	var u usage
	for _, f := range fields[utime : cstime+1] {
		n, err := strconv.ParseInt(f, 10, 64)
		if err != nil {
			return 0, usage{}, err
		}
		u.cpu += time.Duration(n) * tick
	}
	pages, err := strconv.ParseInt(fields[rss], 10, 64)
	u.memory = pages * int64(os.Getpagesize())
	return id, u, err
}
