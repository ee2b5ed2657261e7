// SPDX-License-Identifier: Apache-2.0

package controller

import (
	"context"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/handler"
	"sigs.k8s.io/controller-runtime/pkg/manager"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"
	"sigs.k8s.io/controller-runtime/pkg/source"

	velerov1 "hozon.dev/hozon/api/velero/v1"
	"hozon.dev/hozon/internal/cluster"
	"hozon.dev/hozon/internal/velero"
)

// leftBehind is Velero's text for a run that its server did not survive.
const leftBehind = `found a backup with status "InProgress" during the server starting, mark it as "Failed"`

// Backups makes Backups: it queues them, starts them when their turn has come, and sees to those that a dead process left.
type Backups struct {
	*Site
	Stores  *Stores
	Flights *Flights
	Cluster *cluster.Client
	Tool    string // for the manifest

	Concurrent      int // how many run at the same time
	DefaultLocation string
	Defaults        Defaults
	GlobalPolicy    string // ConfigMap with volume policies for all backups; "": none
	AllVersions     bool   // backups hold objects in all versions that are served
}

// Defaults fill what a Backup leaves open.
type Defaults struct {
	TTL              time.Duration
	ItemTimeout      time.Duration
	ResourceTimeout  time.Duration
	GroupLabel       string
	FSBackup         bool
	VolumeTimeout    time.Duration // of the work on one volume
	MoveData         bool
	SnapshotLocation map[string]string // by provider
}

// Add hands the controller to a manager.
func (r *Backups) Add(m manager.Manager) error {
	ended := source.Channel(r.Flights.Ended, &handler.EnqueueRequestForObject{})
	return build(m, "backup").For(&velerov1.Backup{}).WatchesRawSource(ended).Complete(r)
}

// Reconcile moves a Backup on by one step, and, since any Backup that ends or comes may be what others wait for, the queue.
func (r *Backups) Reconcile(ctx context.Context, req reconcile.Request) (reconcile.Result, error) {
	var b velerov1.Backup
	err := r.Client.Get(ctx, req.NamespacedName, &b)
	if client.IgnoreNotFound(err) != nil {
		return reconcile.Result{}, err
	}
	if err == nil {
		if err := r.attend(ctx, &b); err != nil {
			return stale(err)
		}
	}
	if err := r.dispatch(ctx); err != nil {
		return stale(err)
	}
	return reconcile.Result{}, nil
}

// attend looks after a Backup that is under way, or should be.
func (r *Backups) attend(ctx context.Context, b *velerov1.Backup) error {
	switch {
	case b.DeletionTimestamp != nil:
		r.Flights.cancel(b, errDeleted)
		return nil
	case waits(b) && cancelled(b):
		return r.refuse(ctx, b, velerov1.BackupPhaseFailed, errCancelled.Error())
	case foreign(b.Status.Phase):
		r.Flights.launch(ctx, b, func(ctx context.Context) { r.adopt(ctx, b.Name) })
		return nil
	case b.Status.Phase != velerov1.BackupPhaseInProgress:
		return nil
	case r.Flights.has(b):
		if cancelled(b) {
			r.Flights.cancel(b, errCancelled)
		}
		return nil
	case run(b) == "": // a real Velero's, which did not survive
		return r.refuse(ctx, b, velerov1.BackupPhaseFailed, leftBehind)
	}
	r.Flights.launch(ctx, b, func(ctx context.Context) { r.resume(ctx, b.Name, run(b)) })
	return nil
}

// waits says that a Backup has not been started.
func waits(b *velerov1.Backup) bool {
	switch b.Status.Phase {
	case "", velerov1.BackupPhaseNew, velerov1.BackupPhaseQueued, velerov1.BackupPhaseReadyToStart:
		return true
	}
	return false
}

// done says that a phase is final.
func done(p velerov1.BackupPhase) bool {
	switch p {
	case velerov1.BackupPhaseFailedValidation, velerov1.BackupPhaseCompleted, velerov1.BackupPhasePartiallyFailed,
		velerov1.BackupPhaseFailed, velerov1.BackupPhaseDeleting:
		return true
	}
	return false
}

// refuse ends a Backup that does not run, or will not run any more.
func (r *Backups) refuse(ctx context.Context, b *velerov1.Backup, phase velerov1.BackupPhase, texts ...string) error {
	b = b.DeepCopy()
	now := metav1.NewTime(r.Now())
	b.Status.Phase, b.Status.CompletionTimestamp, b.Status.QueuePosition = phase, &now, 0
	if phase == velerov1.BackupPhaseFailedValidation {
		b.Status.ValidationErrors = texts
	} else {
		b.Status.FailureReason = join(texts)
	}
	if err := r.Client.Update(ctx, b); err != nil {
		return err
	}
	r.Log.Warn("backup ended", "backup", b.Name, "phase", phase, "error", join(texts))
	r.warning(b, string(phase), "Backup", join(texts))
	return nil
}

// start claims a Backup whose turn has come, and begins its run.
func (r *Backups) start(ctx context.Context, b *velerov1.Backup) error {
	b = b.DeepCopy()
	problems, err := r.complete(ctx, b)
	if err != nil {
		return err
	}
	if velero.Attempts(b) == 0 {
		nextRun(b)
	}
	now := metav1.NewTime(r.Now())
	expires := metav1.NewTime(now.Add(max(b.Spec.TTL.Duration, time.Hour)))
	if len(problems) > 0 {
		b.Status.Expiration = &expires
		return r.refuse(ctx, b, velerov1.BackupPhaseFailedValidation, problems...)
	}
	expires = metav1.NewTime(now.Add(b.Spec.TTL.Duration))
	b.Status = velerov1.BackupStatus{
		Version: 1, FormatVersion: velerov1.FormatVersion, Phase: velerov1.BackupPhaseInProgress, StartTimestamp: &now, Expiration: &expires,
	}
	if err := r.Client.Update(ctx, b); err != nil {
		return err
	}
	r.Log.Info("backup begins", "backup", b.Name, "run", run(b))
	r.normal(b, "Started", "Backup", "the backup begins")
	r.Flights.launch(ctx, b, func(ctx context.Context) { r.carryOut(ctx, b) })
	return nil
}
