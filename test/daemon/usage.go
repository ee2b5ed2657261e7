// SPDX-License-Identifier: Apache-2.0

package daemon

import (
	"fmt"
	"os"
	"strconv"
	"strings"
	"time"
)

// Usage is what a process has used since it started.
type Usage struct {
	CPU      time.Duration // user and system
	Resident int64         // bytes in memory now
	Peak     int64         // most bytes in memory so far
}

// Usage reads /proc; it fails where there is none, and after the process ended.
func (p *Process) Usage() (Usage, error) {
	var u Usage
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", p.pid))
	if err != nil {
		return u, fmt.Errorf("read usage of %s: %w", p.name, err)
	}
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", p.pid))
	if err != nil {
		return u, fmt.Errorf("read usage of %s: %w", p.name, err)
	}
	if u, err = parseUsage(string(stat), string(status)); err != nil {
		return u, fmt.Errorf("read usage of %s: %w", p.name, err)
	}
	return u, nil
}

// parseUsage reads the two files as proc(5) describes them.
func parseUsage(stat, status string) (Usage, error) {
	const tick = time.Second / 100 // USER_HZ is 100 on every Linux platform of Go
	var u Usage
	// The second field is the program's name in parentheses, which may hold
	// anything; utime and stime are fields 14 and 15.
	fields := strings.Fields(stat[strings.LastIndex(stat, ")")+1:])
	if len(fields) < 13 {
		return u, fmt.Errorf("stat has %d fields", len(fields))
	}
	for _, f := range fields[11:13] {
		n, err := strconv.ParseInt(f, 10, 64)
		if err != nil {
			return u, err
		}
		u.CPU += time.Duration(n) * tick
	}
	for line := range strings.Lines(status) {
		key, value, _ := strings.Cut(line, ":")
		kib, _ := strconv.ParseInt(strings.TrimSuffix(strings.TrimSpace(value), " kB"), 10, 64)
		switch key {
		case "VmRSS":
			u.Resident = kib << 10
		case "VmHWM":
			u.Peak = kib << 10
		}
	}
	return u, nil
}
