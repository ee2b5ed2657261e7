// SPDX-License-Identifier: Apache-2.0

package restore

import (
	"time"

	velerov1 "hozon.dev/hozon/api/velero/v1"
	"hozon.dev/hozon/internal/cli/env"
	"hozon.dev/hozon/internal/report"
	"hozon.dev/hozon/internal/restore"
)

// tell prints how a run, or a dry run, went, and turns its phase into an exit code.
func (o *createOptions) tell(e *env.Env, result restore.Result) error {
	if o.report == "json" {
		if err := result.Report.Write(e.Out, true); err != nil {
			return err
		}
	} else if o.dryRun {
		if err := e.PrintOutcomes(result.Report); err != nil {
			return err
		}
	}
	r := result.Restore
	if o.dryRun {
		e.Say("Nothing was changed. %s.", env.Summary(result.Report))
		return nil
	}
	for _, line := range env.Worst(result.Report) {
		e.Say("%s", line)
	}
	e.Say("Restore completed with status: %s. %s in %s.", r.Status.Phase, env.Summary(result.Report),
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
