// SPDX-License-Identifier: Apache-2.0

package controller

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"strconv"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	velerov1 "hozon.dev/hozon/api/velero/v1"
	"hozon.dev/hozon/internal/backup"
	"hozon.dev/hozon/internal/fail"
	"hozon.dev/hozon/internal/store"
	"hozon.dev/hozon/internal/velero"
)

// errNotOurs ends a run that another process has taken over.
var errNotOurs = errors.New("another process has taken the run over")

// carryOut runs the attempts at a Backup that this process has claimed, and writes down what became of it.
func (r *Backups) carryOut(ctx context.Context, b *velerov1.Backup) {
	for {
		result, err := r.once(ctx, b)
		switch {
		case err == nil:
			if archive, ok := result.Manifest.File(store.Archive.Of(b.Name)); ok {
				velero.Annotate(result.Backup, velerov1.AnnotationArchiveBytes, strconv.FormatInt(archive.Size, 10))
			}
			r.conclude(ctx, b, result.Backup)
			return
		case errors.Is(err, errNotOurs), errors.Is(context.Cause(ctx), errDeleted):
			r.Log.Warn("backup was taken away", "backup", b.Name, "run", run(b), "error", err)
			return
		case errors.Is(context.Cause(ctx), errCancelled):
			r.fail(context.WithoutCancel(ctx), b, errCancelled)
			return
		case ctx.Err() != nil: // this process ends: the next one goes on
			return
		}
		committed, settleErr := r.settle(ctx, b) // the answer to the commit may have been lost
		switch {
		case committed != nil:
			r.conclude(ctx, b, committed)
			return
		case settleErr == nil && (!again(err) || velero.Attempts(b) >= velero.MaxAttempts):
			r.fail(ctx, b, err)
			return
		case settleErr != nil: // cancelled, or this process ends
			if errors.Is(context.Cause(ctx), errCancelled) {
				r.fail(ctx, b, errCancelled)
			}
			return
		}
		r.Log.Warn("backup begins again", "backup", b.Name, "attempt", velero.Attempts(b), "error", err)
		r.warning(b, "Retrying", "Backup", err.Error())
		if b, err = r.reclaim(ctx, b.Name, run(b), pause(velero.Attempts(b))); err != nil {
			r.Log.Warn("backup was taken away", "backup", b.Name, "error", err)
			return
		}
	}
}

// again says whether another attempt may help.
func again(err error) bool {
	switch fail.Of(err) {
	case fail.Transient, fail.Busy, fail.Unknown:
		return true
	}
	return false
}

// pause is the time between attempts: a store or an API server that restarts is back after the second.
func pause(attempt int) time.Duration { return time.Duration(attempt*attempt) * 4 * time.Second }

// once is one attempt.
func (r *Backups) once(ctx context.Context, b *velerov1.Backup) (backup.Result, error) {
	_, st, err := r.Stores.at(ctx, b.Spec.StorageLocation)
	if err != nil {
		return backup.Result{}, err
	}
	seen := r.watch(ctx, b)
	defer seen.stop()
	engine := backup.Engine{
		Cluster: r.Cluster, Store: st, Now: r.Now, Tool: r.Tool, Observe: seen, GlobalPolicy: r.GlobalPolicy, AllVersions: r.AllVersions,
	}
	if velero.Attempts(b) > 1 {
		r.sweepVolumes(ctx, b, nil)
	}
	options := backup.Options{Run: run(b), Notes: undone(b), Files: r.saver(b), Check: func(ctx context.Context) error { return r.ours(ctx, b) }}
	if len(b.Spec.VolumeSnapshotLocations) > 0 {
		taking := r.Stores.snapshots(b.Spec.VolumeSnapshotLocations...)
		defer taking.close()
		taking.asked = is(b.Spec.SnapshotVolumes)
		options.Snapshots = taking
	}
	return engine.Run(ctx, b, options)
}

// ours checks that a Backup is still carried out by the run that b names.
func (r *Backups) ours(ctx context.Context, b *velerov1.Backup) error {
	var live velerov1.Backup
	if err := r.Live.Get(ctx, r.key(b.Name), &live); err != nil {
		return fail.Errorf(fail.Transient, "check that backup %s is still ours: %w", b.Name, err)
	}
	if live.UID != b.UID || run(&live) != run(b) || live.Status.Phase != velerov1.BackupPhaseInProgress {
		return errNotOurs
	}
	return nil
}

// reclaim waits, and takes the next attempt at a Backup that is carried out by the given run.
func (r *Backups) reclaim(ctx context.Context, name, from string, wait time.Duration) (*velerov1.Backup, error) {
	b := &velerov1.Backup{ObjectMeta: metav1.ObjectMeta{Namespace: r.Namespace, Name: name}}
	select {
	case <-ctx.Done():
		if !errors.Is(context.Cause(ctx), errCancelled) {
			return b, context.Cause(ctx)
		}
	case <-time.After(wait):
	}
	ours := false
	err := r.change(ctx, b, func() bool {
		if ours = b.Status.Phase == velerov1.BackupPhaseInProgress && run(b) == from; ours {
			nextRun(b)
			b.Status.Progress = nil
		}
		return ours
	})
	if err == nil && !ours {
		err = errNotOurs
	}
	return b, err
}

// resume goes on with a Backup that a process left in the middle. What it committed to the bucket counts; else it is done again.
func (r *Backups) resume(ctx context.Context, name, from string) {
	var b velerov1.Backup
	if err := r.Live.Get(ctx, r.key(name), &b); err != nil || b.Status.Phase != velerov1.BackupPhaseInProgress || run(&b) != from {
		return // it is over, and the cache did not know
	}
	committed, err := r.settle(ctx, &b)
	switch {
	case errors.Is(context.Cause(ctx), errCancelled), err == nil && committed == nil && cancelled(&b):
		r.fail(ctx, &b, errCancelled)
	case err != nil: // this process ends, too
	case committed != nil:
		r.Log.Info("backup was committed by a process that is gone", "backup", name, "run", from)
		r.conclude(ctx, &b, committed)
	case velero.Attempts(&b) >= velero.MaxAttempts:
		r.fail(ctx, &b, fmt.Errorf("%d runs did not come to their end: the server was stopped or killed each time", velero.MaxAttempts))
	default:
		r.Log.Info("backup begins again: the process that ran it is gone", "backup", name, "attempt", velero.Attempts(&b))
		r.warning(&b, "Retrying", "Backup", "the server was stopped or killed during the run")
		if next, err := r.reclaim(ctx, name, from, 0); err == nil {
			r.carryOut(ctx, next)
		}
	}
}

// settle looks for what the last run has left in the bucket: its commit, which is returned, or a draft, which is removed. It waits for a store
// that does not answer, since nobody else knows; the error is that of ctx.
func (r *Backups) settle(ctx context.Context, b *velerov1.Backup) (*velerov1.Backup, error) {
	for n := 1; ; n++ {
		committed, err := r.leftOf(ctx, b)
		if err == nil || !again(err) {
			return committed, nil // what is wrong with the store shows again when it is used
		}
		r.Log.Warn("look again later for what a run has left", "backup", b.Name, "error", err)
		select {
		case <-ctx.Done():
			return nil, context.Cause(ctx)
		case <-time.After(min(pause(n)/2, 10*time.Second)):
		}
	}
}

func (r *Backups) leftOf(ctx context.Context, b *velerov1.Backup) (*velerov1.Backup, error) {
	_, st, err := r.Stores.at(ctx, b.Spec.StorageLocation)
	if err != nil {
		return nil, err
	}
	record, err := st.Backup(ctx, b.Name)
	if err == nil && record.UID == b.UID {
		return record, nil
	}
	if err != nil && !fail.Is(err, fail.NotFound) {
		return nil, err
	}
	return nil, st.Disown(ctx, store.Backup, b.Name, run(b))
}

// conclude writes down a Backup that exists.
func (r *Backups) conclude(ctx context.Context, b, made *velerov1.Backup) {
	ok := r.end(ctx, b, func(b *velerov1.Backup) {
		b.Spec, b.Status = made.Spec, made.Status
		if b.Annotations == nil {
			b.Annotations = map[string]string{}
		}
		for key, value := range made.Annotations {
			if _, set := b.Annotations[key]; !set {
				b.Annotations[key] = value
			}
		}
		if b.Labels == nil {
			b.Labels = map[string]string{}
		}
		maps.Copy(b.Labels, made.Labels)
	})
	if !ok {
		return
	}
	if velero.Attempts(b) > 1 {
		r.sweepUnrecorded(ctx, b)
	}
	s := made.Status
	r.Log.Info("backup ended", "backup", b.Name, "phase", s.Phase, "errors", s.Errors, "warnings", s.Warnings)
	text := fmt.Sprintf("%d errors, %d warnings", s.Errors, s.Warnings)
	if s.Progress != nil {
		text = fmt.Sprintf("%d objects, ", s.Progress.ItemsBackedUp) + text
	}
	if s.Phase == velerov1.BackupPhaseCompleted {
		r.normal(b, string(s.Phase), "Backup", text)
		return
	}
	r.warning(b, string(s.Phase), "Backup", text)
}

// fail writes down a Backup of which nothing is in the bucket.
func (r *Backups) fail(ctx context.Context, b *velerov1.Backup, cause error) {
	defer r.pay(ctx, b) // a store that hangs must not hold up the end
	defer r.sweepVolumes(ctx, b, nil)
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Minute)
	defer cancel()
	phase, text := velerov1.BackupPhaseFailed, cause.Error()
	switch fail.Of(cause) {
	case fail.Exists:
		text = "backup already exists in object storage: " + text
	case fail.Invalid:
		phase = velerov1.BackupPhaseFailedValidation
	}
	ok := r.end(ctx, b, func(b *velerov1.Backup) {
		now := metav1.NewTime(r.Now())
		b.Status.Phase, b.Status.CompletionTimestamp = phase, &now
		if phase == velerov1.BackupPhaseFailedValidation {
			b.Status.ValidationErrors = []string{text}
		} else {
			b.Status.FailureReason = text
		}
	})
	if ok {
		r.Log.Warn("backup ended", "backup", b.Name, "phase", phase, "error", cause)
		r.warning(b, string(phase), "Backup", text)
	}
}

// payTime bounds the post hooks that a run has left undone.
const payTime = 2 * time.Minute

// pay runs the post hooks that the runs of a Backup, which are over, have left undone. What is not paid is paid when the bucket is next synchronised.
func (r *Backups) pay(ctx context.Context, b *velerov1.Backup) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), payTime)
	defer cancel()
	_, st, err := r.Stores.at(ctx, b.Spec.StorageLocation)
	if err != nil {
		return // what is wrong with the store is said elsewhere
	}
	engine := backup.Engine{Cluster: r.Cluster, Store: st, Now: r.Now}
	hooks, err := engine.Pay(ctx, b)
	for _, h := range hooks {
		r.Log.Info("post hook was run for a run that has died", "backup", b.Name, "object", h.Namespace+"/"+h.Pod, "phase", h.Outcome, "reason", h.Reason)
	}
	if err != nil {
		r.Log.Warn("post hooks were not run", "backup", b.Name, "error", err)
		r.warning(b, "PostHooksOwed", "Backup", err.Error())
	}
}

// end writes the status of a run's end, unless the run is no longer ours.
func (r *Backups) end(ctx context.Context, b *velerov1.Backup, edit func(*velerov1.Backup)) bool {
	live := &velerov1.Backup{ObjectMeta: metav1.ObjectMeta{Namespace: b.Namespace, Name: b.Name}}
	ours := false
	err := r.change(ctx, live, func() bool {
		ours = live.UID == b.UID && run(live) == run(b) && live.Status.Phase == velerov1.BackupPhaseInProgress
		if ours {
			edit(live)
		}
		return ours
	})
	if err != nil || !ours {
		r.Log.Warn("the end of a backup was not written down", "backup", b.Name, "run", run(b), "error", err)
		r.rest(ctx, err)
		return false
	}
	return true
}
