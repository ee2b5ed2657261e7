// SPDX-License-Identifier: Apache-2.0

package backup

import (
	"cmp"
	"strconv"

	"github.com/spf13/cobra"
	"k8s.io/apimachinery/pkg/util/duration"

	velerov1 "hozon.dev/hozon/api/velero/v1"
	"hozon.dev/hozon/internal/cli/env"
)

// NewGet is `hozon backup get`, and `hozon get backups` under the other name.
func NewGet(e *env.Env, use string) *cobra.Command {
	return noun.Get(e, use, `  # All backups of a folder
  hozon backup get --store /srv/backups

  # One, as JSON
  hozon backup get monday -o json`)
}

func table(e *env.Env, backups []*velerov1.Backup) env.Table {
	t := env.Table{Columns: []string{"NAME", "STATUS", "ERRORS", "WARNINGS", "CREATED", "EXPIRES", "STORAGE LOCATION", "QUEUE POSITION", "SELECTOR"}}
	for _, b := range backups {
		expires := "n/a"
		if b.Status.Expiration != nil {
			expires = duration.ShortHumanDuration(b.Status.Expiration.Sub(e.Now()))
		}
		created := b.CreationTimestamp.Time
		if b.Status.StartTimestamp != nil {
			created = b.Status.StartTimestamp.Time
		}
		t.Rows = append(t.Rows, []any{b.Name, phase(b), b.Status.Errors, b.Status.Warnings,
			created.Local().Format(env.TimeFormat), expires, b.Spec.StorageLocation, queued(b), env.Selector(b.Spec.LabelSelector, b.Spec.OrLabelSelectors)})
	}
	return t
}

// phase is the phase as Velero lists it.
func phase(b *velerov1.Backup) string {
	if b.DeletionTimestamp != nil {
		return "Deleting"
	}
	return cmp.Or(string(b.Status.Phase), string(velerov1.BackupPhaseNew))
}

func queued(b *velerov1.Backup) string {
	if b.Status.QueuePosition == 0 {
		return ""
	}
	return strconv.Itoa(b.Status.QueuePosition)
}
