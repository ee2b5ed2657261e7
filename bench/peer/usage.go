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
	cpu      time.Duration // since they were started, with that of their ended children
	resident int64         // bytes in memory now
}

// usage is that of the server and its plugins. They stay in its process group.
func (s *Server) usage() (usage, error) {
	u, err := group(s.process.PID())
	if err == nil && u.cpu == 0 && u.resident == 0 {
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
			sum.resident += u.resident
		}
	}
	return sum, nil
}

// parse reads a process' group and usage from its stat file as proc(5) describes it.
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
	u.resident = pages * int64(os.Getpagesize())
	return id, u, err
}
