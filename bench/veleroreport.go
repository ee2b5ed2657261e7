// SPDX-License-Identifier: Apache-2.0

package main

import (
	"encoding/json"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"hozon.dev/hozon/bench/peer"
)

// duelResult is what is written as JSON. Durations are in nanoseconds, memory and archives in bytes.
type duelResult struct {
	Started       time.Time
	Machine       machineFacts
	Velero        string
	Tuned         []string // the flags
	Runs          int
	LoadBefore    string
	LoadAfter     string
	BackupCorpus  corpusFacts
	RestoreCorpus corpusFacts
	Archives      *peer.Comparison // of the first pair; nil: none was made
	Backups       []pair
	Restores      []pair
	Small         []pair `json:",omitempty"` // backups of one object
	Schedules     []pair `json:",omitempty"` // Wall is how late a backup came
	Rows          []row
}

// spread is the median of some values and their range.
type spread struct{ Median, Min, Max float64 }

// row is what the pairs of one way say about one thing.
type row struct {
	Job, Way, What, Unit  string
	Hozon, Velero, Ratios spread // a ratio is Velero's value divided by hozon's in the same pair
	digits                int
}

func spreadOf(values []float64) spread {
	slices.Sort(values)
	return spread{Median: median(values), Min: values[0], Max: values[len(values)-1]}
}

// kinds of things that are compared.
var compared = []struct {
	what, unit string
	digits     int
	value      func(turn) float64
}{
	{"time", "s", 2, func(t turn) float64 { return t.Wall.Seconds() }},
	{"own CPU", "s", 2, func(t turn) float64 { return t.CPU.Seconds() }},
	{"CPU of the control plane", "s", 2, func(t turn) float64 { return t.Peers.total().Seconds() }},
	{"peak memory", "MiB", 0, func(t turn) float64 { return mib(t.Peak) }},
	{"API calls", "", 0, func(t turn) float64 { return float64(t.calls()) }},
}

func (d *duel) rows(job string, pairs []pair) []row {
	var rows []row
	for _, w := range d.ways {
		for _, c := range compared {
			if job == "schedule" && c.what != "time" { // its time is how late it was
				continue
			}
			var h, v, ratios []float64
			for _, p := range pairs {
				if p.Way != w.name {
					continue
				}
				x, y := c.value(p.Hozon), c.value(p.Velero)
				h, v, ratios = append(h, x), append(v, y), append(ratios, y/x)
			}
			if len(h) > 0 {
				rows = append(rows, row{Job: job, Way: w.text, What: c.what, Unit: c.unit, digits: c.digits,
					Hozon: spreadOf(h), Velero: spreadOf(v), Ratios: spreadOf(ratios)})
			}
		}
	}
	return rows
}

// tellAll prints the table, as Markdown, and writes the JSON.
func (d *duel) tellAll(w io.Writer) error {
	l := &d.log
	l.LoadAfter = load()
	l.Rows = slices.Concat(d.rows("backup", l.Backups), d.rows("restore", l.Restores), d.rows("backup of one object", l.Small), d.rows("schedule", l.Schedules))
	m := l.Machine
	fmt.Fprintf(w, "\n%s, %d cores, %s, Linux %s, %s, commit %s; Velero %s; load %s before, %s after\n",
		m.CPU, m.Cores, m.Memory, m.Kernel, m.Go, m.Commit, l.Velero, l.LoadBefore, l.LoadAfter)
	for _, c := range []struct {
		what   string
		corpus corpusFacts
		pairs  []pair
	}{{"backup", l.BackupCorpus, l.Backups}, {"restore", l.RestoreCorpus, l.Restores}} {
		if len(c.pairs) > 0 {
			fmt.Fprintf(w, "%s of %d objects (%.1f MB as JSON); %d rounds; others used %s of the machine meanwhile\n",
				c.what, c.corpus.Objects, float64(c.corpus.Bytes)/1e6, d.o.runs, others(c.pairs))
		}
	}
	if l.Archives != nil {
		fmt.Fprintf(w, "archives: %d files hold the same objects in both, %d were changed in the cluster in between, none else\n", l.Archives.Same, len(l.Archives.Moved))
	}
	fmt.Fprintf(w, "\n| | | Hozon | Velero | Velero / Hozon |\n|---|---|---|---|---|\n")
	last := ""
	for _, r := range l.Rows {
		title := r.Job + ", against " + r.Way
		if title == last {
			title = ""
		} else {
			last = title
		}
		fmt.Fprintf(w, "| %s | %s | %s | %s | **%.1f** (%.1f to %.1f) |\n", title, strings.TrimSuffix(r.What+", "+r.Unit, ", "),
			r.show(r.Hozon), r.show(r.Velero), r.Ratios.Median, r.Ratios.Min, r.Ratios.Max)
	}
	return d.write(w)
}

func (r row) show(s spread) string {
	return fmt.Sprintf("%.*f (%.*f to %.*f)", r.digits, s.Median, r.digits, s.Min, r.digits, s.Max)
}

// others is the range of what others used during the runs.
func others(pairs []pair) string {
	var all []float64
	for _, p := range pairs {
		all = append(all, 100*p.Hozon.Others, 100*p.Velero.Others)
	}
	s := spreadOf(all)
	return fmt.Sprintf("%.0f%% (%.0f to %.0f%%)", s.Median, s.Min, s.Max)
}

func (d *duel) write(w io.Writer) error {
	dir := filepath.Join(d.root, "bench", "out")
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	text, err := json.MarshalIndent(d.log, "", "  ")
	if err != nil {
		return err
	}
	kind := "velero-"
	if d.servers {
		kind = "server-"
	}
	name := kind + d.log.Started.Format("20060102-150405") + ".json"
	if err := os.WriteFile(filepath.Join(dir, name), append(text, '\n'), 0o644); err != nil {
		return err
	}
	_, err = fmt.Fprintf(w, "\nwritten to bench/out/%s\n", name)
	return err
}
