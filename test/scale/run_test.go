// SPDX-License-Identifier: Apache-2.0

package scale

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"testing"
	"time"
)

// usage is what one run of hozon used. Memory is in bytes.
type usage struct {
	wall, cpu time.Duration
	peak      int64 // of the resident set
	own       int64 // of what is not pages of files, sampled
	group     int64 // of the cgroup, page cache included
}

const mib = 1 << 20

func (u usage) String() string {
	return fmt.Sprintf("%6.2f s, cpu %6.2f s, peak %5.1f MiB (own %5.1f, cgroup %5.1f)",
		u.wall.Seconds(), u.cpu.Seconds(), float64(u.peak)/mib, float64(u.own)/mib, float64(u.group)/mib)
}

// shell runs hozon in the cgroup against one cluster.
type shell struct {
	program string
	env     []string
	group   group
}

// run runs hozon to its end, which must be a good one, and returns what it printed on standard output; "" if it failed.
func (s *shell) run(t *testing.T, args ...string) (usage, string) {
	t.Helper()
	line := s.group.command(append([]string{s.program}, args...))
	cmd := exec.CommandContext(t.Context(), line[0], line[1:]...)
	var out, talk bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &talk
	cmd.Env = append(os.Environ(), s.env...)
	began := time.Now()
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	done, sampled := make(chan struct{}), make(chan usage)
	go func() { sampled <- sample(cmd.Process.Pid, done) }()
	err := cmd.Wait()
	close(done)
	u := <-sampled
	u.wall, u.group = time.Since(began), s.group.peak()
	u.cpu = cmd.ProcessState.UserTime() + cmd.ProcessState.SystemTime()
	if err != nil {
		t.Errorf("hozon %s: %v after %s\n%s%s", short(args), err, u, tail(out.String()), tail(talk.String()))
		return u, ""
	}
	return u, out.String()
}

// sample watches the memory of a process until done. The last moments before its end go unseen.
func sample(pid int, done <-chan struct{}) usage {
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	var u usage
	for {
		text, _ := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid)) // none: it has ended
		for line := range strings.Lines(string(text)) {
			key, value, _ := strings.Cut(line, ":")
			kib, _ := strconv.ParseInt(strings.TrimSuffix(strings.TrimSpace(value), " kB"), 10, 64)
			switch key {
			case "VmHWM":
				u.peak = max(u.peak, kib<<10)
			case "RssAnon":
				u.own = max(u.own, kib<<10)
			}
		}
		select {
		case <-done:
			return u
		case <-tick.C:
		}
	}
}

func short(args []string) string {
	text := strings.Join(args, " ")
	return text[:min(len(text), 200)]
}

func tail(text string) string {
	const most = 4000
	return text[max(0, len(text)-most):]
}

// load is the machine's load over one minute.
func load() string {
	text, _ := os.ReadFile("/proc/loadavg") // where there is none there is nothing to say
	first, _, _ := strings.Cut(string(text), " ")
	return first
}
