// SPDX-License-Identifier: Apache-2.0

package repo

import (
	"cmp"
	"context"
	"fmt"
	"time"

	velerov1 "hozon.dev/hozon/api/velero/v1"
	"hozon.dev/hozon/internal/cli/env"
)

// description is a repository; all there is to say is in its object.
type description struct{ *velerov1.BackupRepository }

func describe(_ context.Context, _ env.Place, r *velerov1.BackupRepository, _ bool) (env.Description, error) {
	return description{r}, nil
}

// Text has no model of Velero's, which has no such command.
func (d description) Text(bool) string {
	r, out := d.BackupRepository, env.NewDescriber()
	out.Head(r)
	out.Line(0, "Phase:", phase(r))
	if r.Status.Message != "" {
		out.Line(0, "Message:", r.Status.Message)
	}
	out.Gap()
	out.Line(0, "Volumes of namespace:", r.Spec.VolumeNamespace)
	out.Line(0, "Storage Location:", r.Spec.BackupStorageLocation)
	out.Line(0, "Format:", cmp.Or(r.Spec.RepositoryType, velerov1.RepositoryTypeKopia))
	out.Map("Settings:", r.Spec.RepositoryConfig)
	out.Gap()
	cells := usage(r)
	for i, key := range []string{"Logical:", "Stored:", "Reclaimable:", "Counted:"} {
		out.Line(0, key, cells[i])
	}
	out.Gap()
	out.Line(0, "Maintained every:", r.Spec.MaintenanceFrequency)
	out.Line(0, "Last success:", last(r))
	for _, m := range r.Status.RecentMaintenance {
		text := fmt.Sprintf("%s %s", env.TimeText(m.StartTimestamp), m.Result)
		if m.StartTimestamp != nil && m.CompleteTimestamp != nil {
			text += " after " + m.CompleteTimestamp.Sub(m.StartTimestamp.Time).Round(time.Second).String()
		}
		out.Line(1, text, m.Message)
	}
	return out.String()
}

// trouble is what keeps a repository from being used or maintained; empty: nothing.
func trouble(r *velerov1.BackupRepository) string {
	if r.Status.Phase == velerov1.BackupRepositoryPhaseNotReady {
		return cmp.Or(r.Status.Message, "nobody says why it is not ready")
	}
	if n := len(r.Status.RecentMaintenance); n > 0 && r.Status.RecentMaintenance[n-1].Result == velerov1.BackupRepositoryMaintenanceFailed {
		return "it was not maintained: " + r.Status.RecentMaintenance[n-1].Message
	}
	return ""
}

func phase(r *velerov1.BackupRepository) velerov1.BackupRepositoryPhase {
	return cmp.Or(r.Status.Phase, velerov1.BackupRepositoryPhaseNew)
}

func last(r *velerov1.BackupRepository) string {
	if r.Status.LastMaintenanceTime == nil {
		return "<never>"
	}
	return env.TimeText(r.Status.LastMaintenanceTime)
}
