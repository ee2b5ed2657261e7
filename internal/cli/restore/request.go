// SPDX-License-Identifier: Apache-2.0

package restore

import (
	"context"
	"fmt"

	velerov1 "hozon.dev/hozon/api/velero/v1"
	"hozon.dev/hozon/internal/cli/env"
	"hozon.dev/hozon/internal/fail"
	"hozon.dev/hozon/internal/velero"
)

// request has the server carry out the restore.
func (o *createOptions) request(ctx context.Context, e *env.Env, r *velerov1.Restore) error {
	if o.dryRun || o.failed || o.report != "" {
		return env.Usagef("--dry-run, --allow-failed and --report are for --store only")
	}
	server, err := e.OpenServer()
	if err != nil {
		return err
	}
	if err := o.source(ctx, server, r); err != nil {
		return err
	}
	if _, err := velero.Restores.Create(ctx, server, r); err != nil {
		return err
	}
	if _, err := fmt.Fprintf(e.Out, "Restore request %q submitted successfully.\n", r.Name); err != nil {
		return err
	}
	if o.wait {
		return env.Follow(ctx, e, server, velero.Restores, r.Name, look)
	}
	_, err = fmt.Fprintf(e.Out, "Run `%s restore describe %s` or `%s restore logs %s` for more details.\n", e.Name, r.Name, e.Name, r.Name)
	return err
}

// source finds the backup. A schedule stands for its newest one, unless the server is to choose, which takes none but completed ones.
func (o *createOptions) source(ctx context.Context, c velero.Client, r *velerov1.Restore) error {
	if r.Spec.BackupName != "" {
		_, err := velero.Backups.Get(ctx, c, r.Spec.BackupName)
		return err
	}
	name := r.Spec.ScheduleName
	backups, err := velero.Backups.List(ctx, c, velerov1.LabelScheduleName+"="+velerov1.LabelValue(name))
	if err != nil {
		return err
	}
	if len(backups) == 0 {
		return fail.Errorf(fail.NotFound, "No backups found for the schedule %q", name)
	}
	if !o.takesPartial() {
		return nil
	}
	best, err := newestOf(name, backups, true)
	if err == nil {
		r.Spec.ScheduleName, r.Spec.BackupName = "", best.Name
	}
	return err
}

func (o *createOptions) takesPartial() bool { return o.partially.Value != nil && *o.partially.Value }

// look reads how far the server has come.
func look(r *velerov1.Restore) env.Run {
	run := env.Run{Phase: string(r.Status.Phase)}
	if p := r.Status.Progress; p != nil {
		run.Done, run.Total = p.ItemsRestored, p.TotalItems
	}
	switch r.Status.Phase {
	case velerov1.RestorePhaseCompleted, velerov1.RestorePhasePartiallyFailed, velerov1.RestorePhaseFailed, velerov1.RestorePhaseFailedValidation:
		run.Ended = true
	}
	return run
}
