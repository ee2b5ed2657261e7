// SPDX-License-Identifier: Apache-2.0

package restore

import (
	"github.com/spf13/cobra"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	velerov1 "hozon.dev/hozon/api/velero/v1"
	"hozon.dev/hozon/internal/cli/env"
)

// NewGet is `hozon restore get`, and `hozon get restores` under the other name.
func NewGet(e *env.Env, use string) *cobra.Command {
	return noun.Get(e, use, "  hozon restore get --store /srv/backups")
}

func table(_ *env.Env, restores []*velerov1.Restore) env.Table {
	t := env.Table{Columns: []string{"NAME", "BACKUP", "STATUS", "STARTED", "COMPLETED", "ERRORS", "WARNINGS", "CREATED", "SELECTOR"}}
	for _, r := range restores {
		t.Rows = append(t.Rows, []any{r.Name, r.Spec.BackupName, string(r.Status.Phase),
			stamp(r.Status.StartTimestamp), stamp(r.Status.CompletionTimestamp), r.Status.Errors, r.Status.Warnings,
			r.CreationTimestamp.Local().Format(env.TimeFormat), env.Selector(r.Spec.LabelSelector, r.Spec.OrLabelSelectors)})
	}
	return t
}

// stamp is a time as Velero's table has it.
func stamp(t *metav1.Time) string {
	if t == nil {
		return "<nil>"
	}
	return env.TimeText(t)
}
