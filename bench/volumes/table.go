// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"slices"
	"syscall"
	"text/tabwriter"
	"time"
)

// table collects what steps cost.
type table struct {
	rows  []row
	group *group // in which steps run; nil: in none
}

// row is one step of one contender in one round.
type row struct {
	step, who string
	took      time.Duration
	processor time.Duration
	memory    int64 // largest resident set
	group     int64 // highest usage of the cgroup, with the pages of files
}

// step runs a command line and measures it.
func (t *table) step(ctx context.Context, what string, c contender, p place, args func(place) []string) error {
	line := args(p)
	if t.group != nil {
		line = t.group.command(line)
		t.group.peak()
	}
	drop()
	var out bytes.Buffer
	cmd := exec.CommandContext(ctx, line[0], line[1:]...)
	cmd.Env, cmd.Stdout, cmd.Stderr = environment(), &out, &out
	began := time.Now()
	if err := cmd.Run(); err != nil {
		return fmt.Errorf("%s, %s: %w\n%s", what, c.name(), err, out.String())
	}
	r := row{step: what, who: c.name(), took: time.Since(began)}
	u := cmd.ProcessState.SysUsage().(*syscall.Rusage)
	r.processor, r.memory = cmd.ProcessState.UserTime()+cmd.ProcessState.SystemTime(), u.Maxrss<<10
	if t.group != nil {
		r.group = t.group.peak()
	}
	t.rows = append(t.rows, r)
	fmt.Fprintf(os.Stderr, "%s, %s: %.2f s, %.2f s of processor, %d MiB\n", r.step, r.who, r.took.Seconds(), r.processor.Seconds(), r.memory>>20)
	return nil
}

// drop lets the disk's cache go, so that every contender reads what it saves from the disk. It needs root.
func drop() {
	syscall.Sync()
	_ = os.WriteFile("/proc/sys/vm/drop_caches", []byte("1"), 0o200)
}

// print prints the medians, and what ours are to kopia's.
func (t *table) print(out io.Writer) {
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	defer w.Flush()
	fmt.Fprintln(w, "STEP\tWHO\tSECONDS\tPROCESSOR\tMEMORY MiB\tCGROUP MiB\tTIMES AS FAST AS HOZON (CLOCK, PROCESSOR)")
	var seen []string
	for _, r := range t.rows {
		key := r.step + "\x00" + r.who
		if slices.Contains(seen, key) {
			continue
		}
		seen = append(seen, key)
		m := t.median(r.step, r.who)
		ours := t.median(r.step, "hozon")
		fmt.Fprintf(w, "%s\t%s\t%.2f\t%.2f\t%d\t%s\t%.2f, %.2f\n", r.step, r.who, m.took.Seconds(), m.processor.Seconds(), m.memory>>20,
			groupText(m.group), ours.took.Seconds()/m.took.Seconds(), ours.processor.Seconds()/m.processor.Seconds())
	}
}

func groupText(bytes int64) string {
	if bytes == 0 {
		return "-"
	}
	return fmt.Sprint(bytes >> 20)
}

func (t *table) median(step, who string) row {
	var all []row
	for _, r := range t.rows {
		if r.step == step && r.who == who {
			all = append(all, r)
		}
	}
	if len(all) == 0 {
		return row{}
	}
	slices.SortFunc(all, func(a, b row) int { return int(a.took - b.took) })
	return all[len(all)/2]
}
