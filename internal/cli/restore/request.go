// SPDX-License-Identifier: Apache-2.0

package restore

import (
	"context"
	"fmt"
	"maps"

	velerov1 "hozon.dev/hozon/api/velero/v1"
	"hozon.dev/hozon/internal/cli/env"
	"hozon.dev/hozon/internal/fail"
	"hozon.dev/hozon/internal/restore"
	"hozon.dev/hozon/internal/velero"
	"hozon.dev/hozon/internal/volume/fill"
	"hozon.dev/hozon/internal/volume/order"
)

// request has the server carry out the restore.
func (o *createOptions) request(ctx context.Context, e *env.Env, r *velerov1.Restore) error {
	if o.report != "" && !o.dryRun {
		return env.Usagef("--report needs --dry-run or --store: see `%s restore describe --details` for what the server has done", e.Name)
	}
	server, err := e.OpenServer()
	if err != nil {
		return err
	}
	if err := o.source(ctx, server, r); err != nil {
		return err
	}
	if o.dryRun {
		return o.foresee(ctx, e, server, r)
	}
	if o.failed {
		r.Annotations = maps.Clone(r.Annotations)
		if r.Annotations == nil {
			r.Annotations = map[string]string{}
		}
		r.Annotations[velerov1.AnnotationAllowFailed] = "true"
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

// foresee says what the server would do: the backup is read by the server's leave, and compared with the cluster in this process and with this user's rights.
func (o *createOptions) foresee(ctx context.Context, e *env.Env, server velero.Client, r *velerov1.Restore) error {
	if r.Spec.BackupName == "" {
		all, err := velero.Backups.List(ctx, server, velerov1.LabelScheduleName+"="+velerov1.LabelValue(r.Spec.ScheduleName))
		if err != nil {
			return err
		}
		best, err := newestOf(r.Spec.ScheduleName, all, false)
		if err != nil {
			return err
		}
		r.Spec.ScheduleName, r.Spec.BackupName = "", best.Name
	}
	s, err := e.ServedStore(ctx, server)
	if err != nil {
		return err
	}
	bar := &progress{Progress: e.NewProgress()}
	engine := restore.Engine{
		Target: server.Cluster, Store: s, Now: e.Now, Observe: bar, ByTarget: e.Feature(env.AllVersions),
		Files: &fill.Filler{Desk: order.Desk[velerov1.PodVolumeRestore]{Server: server}},
	}
	result, err := engine.Run(ctx, r, restore.Options{DryRun: true, AllowFailed: o.failed})
	bar.Close()
	if err != nil {
		return fmt.Errorf("restore %s: %w", r.Name, err)
	}
	return o.tell(e, result)
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
	run := env.Run{Phase: string(r.Status.Phase), Reasons: env.Why(r.Status.FailureReason, r.Status.ValidationErrors)}
	if p := r.Status.Progress; p != nil {
		run.Done, run.Total = p.ItemsRestored, p.TotalItems
	}
	switch r.Status.Phase {
	case velerov1.RestorePhaseCompleted, velerov1.RestorePhasePartiallyFailed, velerov1.RestorePhaseFailed, velerov1.RestorePhaseFailedValidation:
		run.Ended = true
	}
	return run
}
