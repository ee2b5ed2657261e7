// SPDX-License-Identifier: Apache-2.0

package controller

import (
	"cmp"
	"context"
	"slices"
	"strings"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/controller/controllerutil"
	"sigs.k8s.io/controller-runtime/pkg/handler"
	"sigs.k8s.io/controller-runtime/pkg/manager"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"
	"sigs.k8s.io/controller-runtime/pkg/source"

	velerov1 "hozon.dev/hozon/api/velero/v1"
	"hozon.dev/hozon/internal/cluster"
	"hozon.dev/hozon/internal/velero"
)

// leftBehindRestore is Velero's text for a run that its server did not survive.
const leftBehindRestore = `found a restore with status "InProgress" during the server starting, mark it as "Failed"`

// Restores carries out Restores, several at a time where they do not take in the same namespaces.
type Restores struct {
	*Site
	Stores  *Stores
	Flights *Flights
	Cluster *cluster.Client

	Concurrent  int
	ItemTimeout time.Duration
	Terminating time.Duration // how long namespaces that are being deleted are waited for
	Priorities  string        // resources that come first, "-", and last
	// ResourceTimeout bounds the wait for hooks that name no bound, after everything else is restored, and for volumes that are made anew.
	ResourceTimeout time.Duration
	VolumeTimeout   time.Duration // of the work on one volume
	ByTarget        bool          // objects that were saved in several versions are restored in the target's
}

// Add hands the controller to a manager.
func (r *Restores) Add(m manager.Manager) error {
	ended := source.Channel(r.Flights.Ended, &handler.EnqueueRequestForObject{})
	return build(m, "restore").For(&velerov1.Restore{}).WatchesRawSource(ended).Complete(r)
}

// Reconcile moves a Restore on by one step, and starts those whose turn has come.
func (r *Restores) Reconcile(ctx context.Context, req reconcile.Request) (reconcile.Result, error) {
	var o velerov1.Restore
	err := r.Client.Get(ctx, req.NamespacedName, &o)
	if client.IgnoreNotFound(err) != nil {
		return reconcile.Result{}, err
	}
	if err == nil {
		if wait, err := r.attend(ctx, &o); err != nil || wait > 0 {
			if err != nil {
				return stale(err)
			}
			return after(wait), nil
		}
	}
	return stale(r.dispatch(ctx))
}

// attend looks after a Restore that is under way, or should be, or is being deleted.
func (r *Restores) attend(ctx context.Context, o *velerov1.Restore) (time.Duration, error) {
	switch {
	case o.DeletionTimestamp != nil && r.Flights.has(o):
		r.Flights.cancel(o, errDeleted)
		return 0, nil
	case o.DeletionTimestamp != nil:
		return r.clear(ctx, o)
	case awaits(o) && cancelled(o):
		return 0, r.refuse(ctx, o, velerov1.RestorePhaseFailed, errCancelled.Error())
	case o.Status.Phase != velerov1.RestorePhaseInProgress:
		return 0, nil
	case r.Flights.has(o):
		if cancelled(o) {
			r.Flights.cancel(o, errCancelled)
		}
		return 0, nil
	case run(o) == "": // a real Velero's, which did not survive
		return 0, r.refuse(ctx, o, velerov1.RestorePhaseFailed, leftBehindRestore)
	}
	r.Flights.launch(ctx, o, func(ctx context.Context) { r.resume(ctx, o.Name, run(o)) })
	return 0, nil
}

// awaits says that a Restore has not been started.
func awaits(o *velerov1.Restore) bool {
	return o.Status.Phase == "" || o.Status.Phase == velerov1.RestorePhaseNew
}

// dispatch starts what waits and may start, the oldest first.
func (r *Restores) dispatch(ctx context.Context) error {
	var all velerov1.RestoreList
	if err := r.Client.List(ctx, &all, client.InNamespace(r.Namespace), client.UnsafeDisableDeepCopy); err != nil {
		return err
	}
	var busy, waiting []*velerov1.Restore
	for i := range all.Items {
		o := &all.Items[i]
		switch {
		case r.Flights.has(o), o.Status.Phase == velerov1.RestorePhaseInProgress:
			busy = append(busy, o)
		case awaits(o) && o.DeletionTimestamp == nil && !cancelled(o):
			waiting = append(waiting, o)
		}
	}
	slices.SortFunc(waiting, func(a, b *velerov1.Restore) int {
		return cmp.Or(a.CreationTimestamp.Compare(b.CreationTimestamp.Time), strings.Compare(a.Name, b.Name))
	})
	running := len(busy)
	for _, o := range waiting {
		free := running < r.Concurrent && !slices.ContainsFunc(busy, func(b *velerov1.Restore) bool { return meet(targets(o), targets(b)) })
		busy = append(busy, o)
		if !free {
			continue
		}
		running++
		if err := r.start(ctx, o); err != nil && !apierrors.IsConflict(err) && !apierrors.IsNotFound(err) {
			return err
		}
	}
	return nil
}

// targets are the namespaces that a Restore writes to.
func targets(o *velerov1.Restore) []string {
	var out []string
	for _, ns := range o.Spec.IncludedNamespaces {
		out = append(out, cmp.Or(o.Spec.NamespaceMapping[ns], ns))
	}
	return out
}

// start claims a Restore whose turn has come, and begins its run.
func (r *Restores) start(ctx context.Context, o *velerov1.Restore) error {
	o = o.DeepCopy()
	problems, err := r.complete(ctx, o)
	if err != nil {
		return err
	}
	if velero.Attempts(o) == 0 {
		nextRun(o)
	}
	if len(problems) > 0 {
		return r.refuse(ctx, o, velerov1.RestorePhaseFailedValidation, problems...)
	}
	now := metav1.NewTime(r.Now())
	controllerutil.AddFinalizer(o, velerov1.FinalizerRestore)
	o.Status = velerov1.RestoreStatus{Phase: velerov1.RestorePhaseInProgress, StartTimestamp: &now}
	if err := r.Client.Update(ctx, o); err != nil {
		return err
	}
	r.Log.Info("restore begins", "restore", o.Name, "backup", o.Spec.BackupName, "run", run(o))
	r.normal(o, "Started", "Restore", "the restore begins")
	r.Flights.launch(ctx, o, func(ctx context.Context) { r.carryOut(ctx, o) })
	return nil
}

// refuse ends a Restore that does not run, or will not run any more.
func (r *Restores) refuse(ctx context.Context, o *velerov1.Restore, phase velerov1.RestorePhase, texts ...string) error {
	o = o.DeepCopy()
	now := metav1.NewTime(r.Now())
	o.Status.Phase, o.Status.CompletionTimestamp = phase, &now
	if phase == velerov1.RestorePhaseFailedValidation {
		o.Status.ValidationErrors = texts
	} else {
		o.Status.FailureReason = join(texts)
	}
	if err := r.Client.Update(ctx, o); err != nil {
		return err
	}
	r.Log.Warn("restore ended", "restore", o.Name, "phase", phase, "error", join(texts))
	r.warning(o, string(phase), "Restore", join(texts))
	return nil
}
