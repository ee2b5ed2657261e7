// SPDX-License-Identifier: Apache-2.0

package backup

import (
	"context"
	"fmt"

	velerov1 "hozon.dev/hozon/api/velero/v1"
	"hozon.dev/hozon/internal/cli/env"
	"hozon.dev/hozon/internal/schedule"
	"hozon.dev/hozon/internal/velero"
)

// request has the server make the backup.
func (o *createOptions) request(ctx context.Context, e *env.Env, b *velerov1.Backup) error {
	server, err := e.OpenServer()
	if err != nil {
		return err
	}
	if _, err := velero.Backups.Create(ctx, server, b); err != nil {
		return err
	}
	if _, err := fmt.Fprintf(e.Out, "Backup request %q submitted successfully.\n", b.Name); err != nil {
		return err
	}
	if o.wait {
		return env.Follow(ctx, e, server, velero.Backups, b.Name, look)
	}
	_, err = fmt.Fprintf(e.Out, "Run `%s backup describe %s` or `%s backup logs %s` for more details.\n", e.Name, b.Name, e.Name, b.Name)
	return err
}

// look reads how far the server has come.
func look(b *velerov1.Backup) env.Run {
	run := env.Run{Phase: string(b.Status.Phase), Reasons: env.Why(b.Status.FailureReason, b.Status.ValidationErrors)}
	if p := b.Status.Progress; p != nil {
		run.Done, run.Total = p.ItemsBackedUp, p.TotalItems
	}
	switch b.Status.Phase {
	case velerov1.BackupPhaseCompleted, velerov1.BackupPhasePartiallyFailed, velerov1.BackupPhaseFailed, velerov1.BackupPhaseFailedValidation:
		run.Ended = true
	}
	return run
}

// fromSchedule makes the Backup that a schedule asks for; of the other flags only its name counts.
func (o *createOptions) fromSchedule(ctx context.Context, e *env.Env) (*velerov1.Backup, error) {
	server, err := e.OpenServer()
	if err != nil {
		return nil, err
	}
	s, err := velero.Schedules.Get(ctx, server, o.schedule)
	if err != nil {
		return nil, err
	}
	e.Say("Creating backup from schedule, all other filters are ignored.")
	name := o.name
	if name == "" {
		name = schedule.Name(s.Name, e.Now())
	}
	return schedule.Backup(s, name), nil
}
