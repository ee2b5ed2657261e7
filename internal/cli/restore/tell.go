// SPDX-License-Identifier: Apache-2.0

package restore

import (
	"cmp"
	"fmt"
	"strings"
	"time"

	velerov1 "hozon.dev/hozon/api/velero/v1"
	"hozon.dev/hozon/internal/cli/env"
	"hozon.dev/hozon/internal/report"
	"hozon.dev/hozon/internal/restore"
)

// shown is how many warnings and errors are printed at the end of a run; describe has them all.
const shown = 20

// tell prints how a run, or a dry run, went, and turns its phase into an exit code.
func (o *createOptions) tell(e *env.Env, result restore.Result) error {
	if o.report == "json" {
		if err := result.Report.Write(e.Out, true); err != nil {
			return err
		}
	} else if o.dryRun {
		if err := outcomes(e, result.Report); err != nil {
			return err
		}
	}
	r := result.Restore
	if o.dryRun {
		e.Say("Nothing was changed. %s.", summary(result.Report))
		return nil
	}
	for _, line := range worst(result.Report) {
		e.Say("%s", line)
	}
	e.Say("Restore completed with status: %s. %s in %s.", r.Status.Phase, summary(result.Report),
		r.Status.CompletionTimestamp.Sub(r.Status.StartTimestamp.Time).Round(time.Millisecond))
	e.Say("You may check for more information using the commands `%s restore describe %s` and `%s restore logs %s`.", e.Name, r.Name, e.Name, r.Name)
	switch r.Status.Phase {
	case velerov1.RestorePhaseCompleted:
		return nil
	case velerov1.RestorePhasePartiallyFailed:
		return env.Ended{Code: env.ExitPartial}
	}
	return env.Ended{Code: env.ExitFailed}
}

// words say what a dry run found that would become of an object.
var words = map[report.Action]string{
	report.Created: "create", report.Updated: "update", report.Unchanged: "unchanged", report.Skipped: "skip", report.Failed: "fail",
}

// outcomes prints what would happen to each object, in the order in which it would.
func outcomes(e *env.Env, r *report.Report) error {
	return e.PrintRows([]string{"WOULD", "OBJECT", "BECAUSE"}, func(yield func([]string) bool) {
		for it := range r.Items.All() {
			if !yield([]string{words[it.Action], it.Ref.String(), cmp.Or(it.Reason, it.Warning)}) {
				return
			}
		}
	})
}

// progress turns what the engine tells into a progress display.
type progress struct {
	*env.Progress
	done, total int
}

func (p *progress) Stage(title string, objects int) {
	p.done, p.total = 0, objects
	p.Step("Restoring: " + title)
}

func (p *progress) Item(report.Item) {
	p.done++
	p.Items(p.done, p.total)
}

// summary is "12 created, 3 unchanged", in a fixed order.
func summary(r *report.Report) string {
	var parts []string
	for _, a := range []report.Action{report.Created, report.Updated, report.Unchanged, report.Skipped, report.Failed} {
		if n := r.Counts[a]; n > 0 {
			parts = append(parts, fmt.Sprintf("%d %s", n, a))
		}
	}
	if len(parts) == 0 {
		return "no objects"
	}
	return strings.Join(parts, ", ")
}

// worst are the first errors and warnings as lines.
func worst(r *report.Report) []string {
	var lines []string
	results := r.Results()
	for _, part := range []struct {
		word   string
		result report.Result
	}{{"error", results.Errors}, {"warning", results.Warnings}} {
		texts := append(append([]string{}, part.result.Velero...), part.result.Cluster...)
		for ns, more := range part.result.Namespaces {
			for _, text := range more {
				texts = append(texts, ns+": "+text)
			}
		}
		for i, text := range texts {
			if i == shown {
				lines = append(lines, fmt.Sprintf("… and %d more %ss", len(texts)-shown, part.word))
				break
			}
			lines = append(lines, part.word+": "+text)
		}
	}
	return lines
}
