// SPDX-License-Identifier: Apache-2.0

package schedule

import (
	"cmp"

	"github.com/spf13/cobra"
	"k8s.io/apimachinery/pkg/util/duration"

	velerov1 "hozon.dev/hozon/api/velero/v1"
	"hozon.dev/hozon/internal/cli/env"
)

// NewGet is `hozon schedule get`, and `hozon get schedules` under the other name.
func NewGet(e *env.Env, use string) *cobra.Command {
	return noun.Get(e, use, "  hozon schedule get\n  hozon schedule get nightly -o yaml")
}

func table(e *env.Env, schedules []*velerov1.Schedule) env.Table {
	t := env.Table{Columns: []string{"NAME", "STATUS", "CREATED", "SCHEDULE", "BACKUP TTL", "LAST BACKUP", "SELECTOR", "PAUSED"}}
	for _, s := range schedules {
		last := "n/a"
		if s.Status.LastBackup != nil {
			last = duration.HumanDuration(e.Now().Sub(s.Status.LastBackup.Time)) + " ago"
		}
		t.Rows = append(t.Rows, []any{s.Name, cmp.Or(string(s.Status.Phase), string(velerov1.SchedulePhaseNew)),
			s.CreationTimestamp.Local().Format(env.TimeFormat), s.Spec.Schedule, s.Spec.Template.TTL.String(), last,
			env.Selector(s.Spec.Template.LabelSelector, s.Spec.Template.OrLabelSelectors), s.Spec.Paused})
	}
	return t
}
