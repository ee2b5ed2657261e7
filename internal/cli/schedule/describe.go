// SPDX-License-Identifier: Apache-2.0

package schedule

import (
	"cmp"
	"context"

	"github.com/spf13/cobra"

	velerov1 "hozon.dev/hozon/api/velero/v1"
	"hozon.dev/hozon/internal/cli/backup"
	"hozon.dev/hozon/internal/cli/env"
)

// NewDescribe is `hozon schedule describe`, and `hozon describe schedules` under the other name.
func NewDescribe(e *env.Env, use string) *cobra.Command {
	return noun.Description(e, use, "Say what schedules ask for and when they last did", "  hozon schedule describe nightly")
}

// description is a schedule; it has no files.
type description struct{ *velerov1.Schedule }

func describe(_ context.Context, _ env.Place, s *velerov1.Schedule, _ bool) (env.Description, error) {
	return description{s}, nil
}

// Text is Velero's layout (contract: describe, schedule order).
func (d description) Text(bool) string {
	s, out := d.Schedule, env.NewDescriber()
	out.Head(s)
	out.Line(0, "Phase:", cmp.Or(string(s.Status.Phase), string(velerov1.SchedulePhaseNew)))
	out.Gap()
	out.Refusal("", s.Status.ValidationErrors)
	out.Line(0, "Paused:", s.Spec.Paused)
	out.Gap()
	out.Line(0, "Schedule:", s.Spec.Schedule)
	out.Gap()
	out.Text(0, "Backup Template:")
	out.Depth = 1
	backup.DescribeSpec(out, s.Spec.Template)
	out.Depth = 0
	last := "<never>"
	if s.Status.LastBackup != nil {
		last = env.TimeText(s.Status.LastBackup)
	}
	out.Line(0, "Last Backup:", last)
	return out.String()
}
