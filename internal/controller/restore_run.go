// SPDX-License-Identifier: Apache-2.0

package controller

import (
	"context"
	"errors"
	"fmt"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/controller/controllerutil"

	velerov1 "hozon.dev/hozon/api/velero/v1"
	"hozon.dev/hozon/internal/fail"
	"hozon.dev/hozon/internal/plan"
	"hozon.dev/hozon/internal/report"
	"hozon.dev/hozon/internal/restore"
	"hozon.dev/hozon/internal/store"
	"hozon.dev/hozon/internal/velero"
)

// carryOut runs the attempts at a Restore that this process has claimed, and writes down what became of it. A second attempt finds what the
// first has created, and leaves it as it is.
func (r *Restores) carryOut(ctx context.Context, o *velerov1.Restore) {
	for {
		result, err := r.once(ctx, o)
		switch {
		case err == nil:
			r.conclude(ctx, o, result.Restore)
			return
		case errors.Is(err, errNotOurs), errors.Is(context.Cause(ctx), errDeleted):
			r.Log.Warn("restore was taken away", "restore", o.Name, "run", run(o), "error", err)
			return
		case errors.Is(context.Cause(ctx), errCancelled):
			r.fail(ctx, o, errCancelled)
			return
		case ctx.Err() != nil: // this process ends: the next one goes on
			return
		}
		committed, settleErr := r.settle(ctx, o)
		switch {
		case committed != nil:
			r.conclude(ctx, o, committed)
			return
		case settleErr == nil && (!again(err) || velero.Attempts(o) >= velero.MaxAttempts):
			r.fail(ctx, o, err)
			return
		case settleErr != nil:
			if errors.Is(context.Cause(ctx), errCancelled) {
				r.fail(ctx, o, errCancelled)
			}
			return
		}
		r.Log.Warn("restore begins again", "restore", o.Name, "attempt", velero.Attempts(o), "error", err)
		r.warning(o, "Retrying", "Restore", err.Error())
		if o, err = r.reclaim(ctx, o.Name, run(o), pause(velero.Attempts(o))); err != nil {
			r.Log.Warn("restore was taken away", "restore", o.Name, "error", err)
			return
		}
	}
}

// once is one attempt.
func (r *Restores) once(ctx context.Context, o *velerov1.Restore) (restore.Result, error) {
	st, location, err := r.store(ctx, o)
	if err != nil {
		return restore.Result{}, err
	}
	filling := r.filler(o)
	if velero.Attempts(o) > 1 {
		r.sweepVolumes(ctx, o)
	}
	seen := r.follow(ctx, o, func(total, done int) any {
		return velerov1.RestoreProgress{TotalItems: max(total, done), ItemsRestored: done}
	})
	defer seen.stop()
	asked := o.DeepCopy()
	if asked.Spec.BackupName != "" {
		asked.Spec.ScheduleName = "" // it stood for the newest backup, or was filled in
	}
	making := r.Stores.snapshots()
	defer making.close()
	engine := restore.Engine{Target: r.Cluster, Store: st, Now: r.Now, Observe: counting{seen}, Volumes: making, Files: filling, ByTarget: r.ByTarget}
	return engine.Run(ctx, asked, restore.Options{
		Run: run(o), Notes: leftOut(o), Location: location, Terminating: r.Terminating, Priorities: plan.ParsePriorities(r.Priorities), Again: velero.Attempts(o) > 1, HookWait: r.ResourceTimeout, VolumeWait: r.ResourceTimeout, AllowFailed: o.Annotations[velerov1.AnnotationAllowFailed] == "true",
		Check: func(ctx context.Context) error { return r.ours(ctx, o) },
	})
}

// store is where the Backup is that a Restore restores from, and the name of its location.
func (r *Restores) store(ctx context.Context, o *velerov1.Restore) (*store.Store, string, error) {
	var b velerov1.Backup
	if err := r.Live.Get(ctx, r.key(o.Spec.BackupName), &b); apierrors.IsNotFound(err) {
		return nil, "", fail.Errorf(fail.NotFound, "Error retrieving backup: %w", err)
	} else if err != nil {
		return nil, "", fail.Errorf(fail.Transient, "read backup %s: %w", o.Spec.BackupName, err)
	}
	_, st, err := r.Stores.at(ctx, b.Spec.StorageLocation)
	return st, b.Spec.StorageLocation, err
}

// counting turns what the engine tells into numbers.
type counting struct{ *progress }

// Stage implements restore.Observer.
func (c counting) Stage(_ string, objects int) { c.total.Add(int64(objects)) }

// Item implements restore.Observer.
func (c counting) Item(i report.Item) {
	if i.Action != report.Failed {
		c.done.Add(1)
	}
}

// ours checks that a Restore is still carried out by the run that o names.
func (r *Restores) ours(ctx context.Context, o *velerov1.Restore) error {
	var live velerov1.Restore
	if err := r.Live.Get(ctx, r.key(o.Name), &live); err != nil {
		return fail.Errorf(fail.Transient, "check that restore %s is still ours: %w", o.Name, err)
	}
	if live.UID != o.UID || run(&live) != run(o) || live.Status.Phase != velerov1.RestorePhaseInProgress {
		return errNotOurs
	}
	return nil
}

// reclaim waits, and takes the next attempt at a Restore that is carried out by the given run.
func (r *Restores) reclaim(ctx context.Context, name, from string, wait time.Duration) (*velerov1.Restore, error) {
	o := &velerov1.Restore{ObjectMeta: metav1.ObjectMeta{Namespace: r.Namespace, Name: name}}
	select {
	case <-ctx.Done():
		if !errors.Is(context.Cause(ctx), errCancelled) {
			return o, context.Cause(ctx)
		}
	case <-time.After(wait):
	}
	ours := false
	err := r.change(ctx, o, func() bool {
		if ours = o.Status.Phase == velerov1.RestorePhaseInProgress && run(o) == from; ours {
			nextRun(o)
			o.Status.Progress = nil
		}
		return ours
	})
	if err == nil && !ours {
		err = errNotOurs
	}
	return o, err
}

// resume goes on with a Restore that a process left in the middle.
func (r *Restores) resume(ctx context.Context, name, from string) {
	var o velerov1.Restore
	if err := r.Live.Get(ctx, r.key(name), &o); err != nil || o.Status.Phase != velerov1.RestorePhaseInProgress || run(&o) != from {
		return // it is over, and the cache did not know
	}
	committed, err := r.settle(ctx, &o)
	switch {
	case errors.Is(context.Cause(ctx), errCancelled), err == nil && committed == nil && cancelled(&o):
		r.fail(ctx, &o, errCancelled)
	case err != nil: // this process ends, too
	case committed != nil:
		r.Log.Info("restore was recorded by a process that is gone", "restore", name, "run", from)
		r.conclude(ctx, &o, committed)
	case velero.Attempts(&o) >= velero.MaxAttempts:
		r.fail(ctx, &o, fmt.Errorf("%d runs did not come to their end: the server was stopped or killed each time", velero.MaxAttempts))
	default:
		r.Log.Info("restore begins again: the process that ran it is gone", "restore", name, "attempt", velero.Attempts(&o))
		r.warning(&o, "Retrying", "Restore", "the server was stopped or killed during the run")
		if next, err := r.reclaim(ctx, name, from, 0); err == nil {
			r.carryOut(ctx, next)
		}
	}
}

// settle looks for what the last run has left in the bucket: its record, which is returned, or a draft, which is removed. It waits for a
// store that does not answer; the error is that of ctx.
func (r *Restores) settle(ctx context.Context, o *velerov1.Restore) (*velerov1.Restore, error) {
	for n := 1; ; n++ {
		recorded, err := r.leftOf(ctx, o)
		if err == nil || !again(err) {
			return recorded, nil // what is wrong with the store shows again when it is used
		}
		r.Log.Warn("look again later for what a run has left", "restore", o.Name, "error", err)
		select {
		case <-ctx.Done():
			return nil, context.Cause(ctx)
		case <-time.After(min(pause(n)/2, 10*time.Second)):
		}
	}
}

func (r *Restores) leftOf(ctx context.Context, o *velerov1.Restore) (*velerov1.Restore, error) {
	st, _, err := r.store(ctx, o)
	if err != nil {
		return nil, err
	}
	record, err := st.Restore(ctx, o.Name)
	if err == nil && record.UID == o.UID {
		return record, nil
	}
	if err != nil && !fail.Is(err, fail.NotFound) {
		return nil, err
	}
	return nil, st.Disown(ctx, store.Restore, o.Name, run(o))
}

// conclude writes down a Restore that was carried out.
func (r *Restores) conclude(ctx context.Context, o, made *velerov1.Restore) {
	if !r.end(ctx, o, func(live *velerov1.Restore) { live.Status = made.Status }) {
		return
	}
	s := made.Status
	r.Log.Info("restore ended", "restore", o.Name, "phase", s.Phase, "errors", s.Errors, "warnings", s.Warnings)
	text := fmt.Sprintf("%d errors, %d warnings", s.Errors, s.Warnings)
	if s.Progress != nil {
		text = fmt.Sprintf("%d of %d objects, ", s.Progress.ItemsRestored, s.Progress.TotalItems) + text
	}
	if s.Phase == velerov1.RestorePhaseCompleted {
		r.normal(o, string(s.Phase), "Restore", text)
		return
	}
	r.warning(o, string(s.Phase), "Restore", text)
}

// fail writes down a Restore that was not carried out, or not to its end.
func (r *Restores) fail(ctx context.Context, o *velerov1.Restore, cause error) {
	defer r.sweepVolumes(ctx, o)
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Minute)
	defer cancel()
	phase := velerov1.RestorePhaseFailed
	if fail.Is(cause, fail.Invalid) {
		phase = velerov1.RestorePhaseFailedValidation
	}
	ok := r.end(ctx, o, func(live *velerov1.Restore) {
		now := metav1.NewTime(r.Now())
		live.Status.Phase, live.Status.CompletionTimestamp = phase, &now
		if phase == velerov1.RestorePhaseFailedValidation {
			live.Status.ValidationErrors = []string{cause.Error()}
		} else {
			live.Status.FailureReason = cause.Error()
		}
	})
	if ok {
		r.Log.Warn("restore ended", "restore", o.Name, "phase", phase, "error", cause)
		r.warning(o, string(phase), "Restore", cause.Error())
	}
}

// end writes the status of a run's end, unless the run is no longer ours.
func (r *Restores) end(ctx context.Context, o *velerov1.Restore, edit func(*velerov1.Restore)) bool {
	live := &velerov1.Restore{ObjectMeta: metav1.ObjectMeta{Namespace: o.Namespace, Name: o.Name}}
	ours := false
	err := r.change(ctx, live, func() bool {
		ours = live.UID == o.UID && run(live) == run(o) && live.Status.Phase == velerov1.RestorePhaseInProgress
		if ours {
			edit(live)
		}
		return ours
	})
	if err != nil || !ours {
		r.Log.Warn("the end of a restore was not written down", "restore", o.Name, "run", run(o), "error", err)
		r.rest(ctx, err)
		return false
	}
	return true
}

// clear removes the files of a Restore that is being deleted, and lets it go. It returns the time to wait when the bucket cannot be reached.
func (r *Restores) clear(ctx context.Context, o *velerov1.Restore) (time.Duration, error) {
	if !controllerutil.ContainsFinalizer(o, velerov1.FinalizerRestore) {
		return 0, nil
	}
	err := r.removeFiles(ctx, o)
	switch {
	case again(err) && err != nil:
		r.warning(o, "NotDeleted", "Delete", err.Error())
		return soon, nil
	case err != nil:
		r.Log.Warn("files of a restore stay in the bucket", "restore", o.Name, "error", err)
	}
	o = o.DeepCopy()
	controllerutil.RemoveFinalizer(o, velerov1.FinalizerRestore)
	return 0, r.Client.Update(ctx, o)
}

// removeFiles removes the files of a Restore. Where its Backup, or the location, is gone, or may only be read, there is nothing to do.
func (r *Restores) removeFiles(ctx context.Context, o *velerov1.Restore) error {
	var b velerov1.Backup
	if err := r.Client.Get(ctx, r.key(o.Spec.BackupName), &b); apierrors.IsNotFound(err) {
		return nil
	} else if err != nil {
		return err
	}
	l, st, err := r.Stores.at(ctx, b.Spec.StorageLocation)
	if err != nil {
		return err
	}
	if l.Spec.AccessMode == velerov1.BackupStorageLocationAccessModeReadOnly {
		return nil
	}
	if id := run(o); id != "" {
		if err := st.Disown(ctx, store.Restore, o.Name, id); err != nil {
			return err
		}
	}
	if err := st.Delete(ctx, store.Restore, o.Name); !fail.Is(err, fail.NotFound) {
		return err
	}
	return nil
}
