// SPDX-License-Identifier: Apache-2.0

package controller

import (
	"context"
	"fmt"
	"time"

	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/manager"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	velerov1 "hozon.dev/hozon/api/velero/v1"
	"hozon.dev/hozon/internal/velero"
)

// settleTime is how old a backup has to be before it is read again: others may still be made.
const settleTime = 10 * time.Minute

// Verifications reads, from time to time, every byte of the newest backup of each schedule and location, and writes down on it what it found.
type Verifications struct {
	*Site
	Stores *Stores
	Period time.Duration // between two looks; 0: never
}

// Add hands the controller to a manager.
func (r *Verifications) Add(m manager.Manager) error {
	if r.Period <= 0 {
		return nil
	}
	return build(m, "verification").For(&velerov1.Backup{}).Complete(r)
}

// Reconcile verifies a Backup if it is the newest of its kind, and its time has come.
func (r *Verifications) Reconcile(ctx context.Context, req reconcile.Request) (reconcile.Result, error) {
	var b velerov1.Backup
	if err := r.Client.Get(ctx, req.NamespacedName, &b); err != nil {
		return reconcile.Result{}, client.IgnoreNotFound(err)
	}
	newest, err := r.newest(ctx, &b)
	if err != nil || newest == nil || newest.UID != b.UID {
		return reconcile.Result{}, err
	}
	due := b.Status.CompletionTimestamp.Add(min(settleTime, r.Period))
	if at, ok := verifiedAt(&b); ok {
		due = at.Add(r.Period)
	}
	if wait := due.Sub(r.Now()); wait > 0 {
		return after(wait), nil
	}
	return r.verify(ctx, &b)
}

// verifiable says that a Backup has an archive to be read.
func verifiable(b *velerov1.Backup) bool {
	ended := b.Status.Phase == velerov1.BackupPhaseCompleted || b.Status.Phase == velerov1.BackupPhasePartiallyFailed
	return ended && b.DeletionTimestamp == nil && b.Status.CompletionTimestamp != nil
}

// newest is the newest backup of b's schedule at b's location.
func (r *Verifications) newest(ctx context.Context, b *velerov1.Backup) (*velerov1.Backup, error) {
	var all velerov1.BackupList
	if err := r.Client.List(ctx, &all, client.InNamespace(r.Namespace), client.UnsafeDisableDeepCopy); err != nil {
		return nil, err
	}
	var newest *velerov1.Backup
	for i := range all.Items {
		o := &all.Items[i]
		same := o.Labels[velerov1.LabelScheduleName] == b.Labels[velerov1.LabelScheduleName] && o.Spec.StorageLocation == b.Spec.StorageLocation
		if same && verifiable(o) && (newest == nil || newest.Status.CompletionTimestamp.Before(o.Status.CompletionTimestamp)) {
			newest = o
		}
	}
	return newest, nil
}

// verifiedAt is when a Backup was read last.
func verifiedAt(b *velerov1.Backup) (time.Time, bool) {
	at, err := time.Parse(time.RFC3339, b.Annotations[velerov1.AnnotationVerified])
	return at, err == nil
}

func (r *Verifications) verify(ctx context.Context, b *velerov1.Backup) (reconcile.Result, error) {
	_, st, err := r.Stores.at(ctx, b.Spec.StorageLocation)
	if err != nil {
		r.Log.Warn("backup is verified later", "backup", b.Name, "error", err)
		return after(r.again()), nil
	}
	found, err := st.Verify(ctx, b.Name, func(int) {})
	if ctx.Err() != nil {
		return reconcile.Result{}, nil
	}
	if err != nil {
		r.Log.Warn("backup is verified later", "backup", b.Name, "error", err)
		return after(r.again()), nil
	}
	before := b.DeepCopy()
	velero.Annotate(b, velerov1.AnnotationVerified, r.Now().UTC().Format(time.RFC3339))
	delete(b.Annotations, velerov1.AnnotationDamage)
	if !found.Intact() {
		text := fmt.Sprintf("%d damages, the first: %s %s", len(found.Damages)+found.More, found.Damages[0].File, found.Damages[0].What)
		velero.Annotate(b, velerov1.AnnotationDamage, text)
		r.Log.Error("backup is damaged", "backup", b.Name, "error", text)
		r.warning(b, "Damaged", "Verify", text)
	} else {
		r.Log.Info("backup is intact", "backup", b.Name, "items", found.Items)
	}
	if err := r.Client.Patch(ctx, b, client.MergeFrom(before)); err != nil {
		return stale(err)
	}
	return after(r.Period), nil
}

// again is when a verification that could not be done is tried again.
func (r *Verifications) again() time.Duration { return min(r.Period, settleTime) }
