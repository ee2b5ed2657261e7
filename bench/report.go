// SPDX-License-Identifier: Apache-2.0

package main

import (
	"encoding/json"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"text/tabwriter"
	"time"
)

// result is what is written as JSON. Durations are in nanoseconds, memory and archives in bytes.
type result struct {
	Started    time.Time
	Options    map[string]any
	Machine    machineFacts
	Corpus     corpusFacts
	LoadBefore string
	LoadAfter  string
	Exports    []sample `json:",omitempty"`
	Backups    []sample
	Restores   []sample
	Figures    []figure
}

type corpusFacts struct {
	Objects    int
	Bytes      int64
	Kinds      int // custom ones
	Namespaces int
}

func (o options) words() map[string]any {
	return map[string]any{"n": o.n, "restore": o.nRestore, "runs": o.runs, "only": o.only, "store": o.store}
}

// figure is what several runs say about one thing.
type figure struct {
	What, Unit       string
	Median, Min, Max float64
	Floor, Goal      float64 // 0: none
	Verdict          string  // "goal", "floor", "missed"; "": there is no floor, or the corpus is not the one that it is for
	more             bool    // more is better
	digits           int
}

// aim is a floor and a goal.
type aim struct{ floor, goal float64 }

// theCorpus is how many objects the floors are for.
const theCorpus = 10000

// theProject is the same for exports: of so many objects about 5,000 are not made by controllers.
const theProject = 7000

func (b *bench) figures() []figure {
	var out []figure
	add := func(runs []sample, f figure, a aim, value func(sample) float64) {
		if len(runs) == 0 {
			return
		}
		var all []float64
		for _, s := range runs {
			all = append(all, value(s))
		}
		slices.Sort(all)
		f.Min, f.Max, f.Median = all[0], all[len(all)-1], median(all)
		f.Floor, f.Goal = a.floor, a.goal
		if b.o.n == theCorpus && b.o.store == "s3" || b.o.only == "project" && b.o.n == theProject {
			f.Verdict = f.judge()
		}
		out = append(out, f)
	}
	s := func(t time.Duration) float64 { return t.Seconds() }
	rate := func(s sample) float64 { return float64(s.Objects) / s.Wall.Seconds() }
	x := b.result.Backups
	add(x, figure{What: "backup: time", Unit: "s", digits: 2}, aim{2, 0.9}, func(r sample) float64 { return s(r.Wall) })
	add(x, figure{What: "backup: rate", Unit: "objects/s", more: true}, aim{}, rate)
	add(x, figure{What: "backup: own CPU", Unit: "s", digits: 2}, aim{1, 0.45}, func(r sample) float64 { return s(r.CPU) })
	add(x, figure{What: "backup: CPU of the control plane", Unit: "s", digits: 2}, aim{}, func(r sample) float64 { return s(r.Peers.total()) })
	add(x, figure{What: "backup: peak memory", Unit: "MiB", digits: 1}, aim{80, 64}, func(r sample) float64 { return mib(r.Peak) })
	add(x, figure{What: "backup: API calls", Unit: ""}, aim{}, func(r sample) float64 { return float64(r.calls()) })
	add(x, figure{What: "backup: archive", Unit: "MB", digits: 2}, aim{}, func(r sample) float64 { return float64(r.Bytes) / 1e6 })
	y := b.result.Restores
	z := b.result.Exports
	add(z, figure{What: "project export: time", Unit: "s", digits: 2}, aim{2, 0.8}, func(r sample) float64 { return s(r.Wall) })
	add(z, figure{What: "project export: objects", Unit: ""}, aim{}, func(r sample) float64 { return float64(r.Objects) })
	add(z, figure{What: "project export: own CPU", Unit: "s", digits: 2}, aim{}, func(r sample) float64 { return s(r.CPU) })
	add(z, figure{What: "project export: peak memory", Unit: "MiB", digits: 1}, aim{100, 64}, func(r sample) float64 { return mib(r.Peak) })
	add(y, figure{What: "restore: time", Unit: "s", digits: 2}, aim{}, func(r sample) float64 { return s(r.Wall) })
	add(y, figure{What: "restore: rate", Unit: "objects/s", more: true}, aim{300, 480}, rate)
	add(y, figure{What: "restore: own CPU", Unit: "s", digits: 2}, aim{}, func(r sample) float64 { return s(r.CPU) })
	add(y, figure{What: "restore: CPU of the control plane", Unit: "s", digits: 2}, aim{}, func(r sample) float64 { return s(r.Peers.total()) })
	add(y, figure{What: "restore: peak memory", Unit: "MiB", digits: 1}, aim{}, func(r sample) float64 { return mib(r.Peak) })
	add(y, figure{What: "restore: API calls per object", Unit: "", digits: 3}, aim{2.05, 2.01}, func(r sample) float64 { return float64(r.calls()) / float64(r.Objects) })
	return out
}

func median(sorted []float64) float64 {
	n := len(sorted)
	return (sorted[(n-1)/2] + sorted[n/2]) / 2
}

func (f figure) judge() string {
	reaches := func(aim float64) bool { return f.Median <= aim }
	if f.more {
		reaches = func(aim float64) bool { return f.Median >= aim }
	}
	switch {
	case f.Floor == 0:
		return ""
	case reaches(f.Goal):
		return "goal"
	case reaches(f.Floor):
		return "floor"
	}
	return "missed"
}

// report prints the table and writes the JSON.
func (b *bench) report(w io.Writer) error {
	r := &b.result
	r.LoadAfter, r.Figures = load(), b.figures()
	m := r.Machine
	fmt.Fprintf(w, "\n%s, %d cores, %s, Linux %s, %s, commit %s; load %s before, %s after\n", m.CPU, m.Cores, m.Memory, m.Kernel, m.Go, m.Commit, r.LoadBefore, r.LoadAfter)
	fmt.Fprintf(w, "%d objects (%.1f MB as JSON) in %d namespaces, %d custom kinds; store %s; %d runs after a warm-up\n\n",
		r.Corpus.Objects, float64(r.Corpus.Bytes)/1e6, r.Corpus.Namespaces, r.Corpus.Kinds, b.o.store, b.o.runs)
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(t, "\tmedian\tmin\tmax\t\tfloor\tgoal\treached\t")
	for _, f := range r.Figures {
		fmt.Fprintf(t, "%s\t%s\t%s\t%s\t%s\t%s\t%s\t%s\t\n", f.What, f.show(f.Median), f.show(f.Min), f.show(f.Max), f.Unit, f.aim(f.Floor), f.aim(f.Goal), f.Verdict)
	}
	if err := t.Flush(); err != nil {
		return err
	}
	return b.write(w)
}

func (f figure) show(v float64) string { return fmt.Sprintf("%.*f", f.digits, v) }

func (f figure) aim(v float64) string {
	if v == 0 {
		return ""
	}
	return fmt.Sprint(v)
}

func (b *bench) write(w io.Writer) error {
	dir := filepath.Join(b.root, "bench", "out")
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	text, err := json.MarshalIndent(b.result, "", "  ")
	if err != nil {
		return err
	}
	name := b.result.Started.Format("20060102-150405") + ".json"
	if err := os.WriteFile(filepath.Join(dir, name), append(text, '\n'), 0o644); err != nil {
		return err
	}
	_, err = fmt.Fprintf(w, "\nwritten to bench/out/%s\n", name)
	return err
}
