// SPDX-License-Identifier: Apache-2.0

package controller

import (
	"context"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/manager"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	velerov1 "hozon.dev/hozon/api/velero/v1"
)

// Expiries asks for the deletion of Backups whose time is up.
type Expiries struct {
	*Site
	Period time.Duration // after which a deletion that was not possible is asked for again
}

// Add hands the controller to a manager.
func (r *Expiries) Add(m manager.Manager) error {
	return build(m, "expiry").For(&velerov1.Backup{}).Complete(r)
}

// Reconcile asks for the deletion of a Backup at the end of its life.
func (r *Expiries) Reconcile(ctx context.Context, req reconcile.Request) (reconcile.Result, error) {
	var b velerov1.Backup
	if err := r.Client.Get(ctx, req.NamespacedName, &b); err != nil {
		return reconcile.Result{}, client.IgnoreNotFound(err)
	}
	if b.DeletionTimestamp != nil || !done(b.Status.Phase) || b.Status.Expiration == nil {
		return reconcile.Result{}, nil
	}
	if wait := b.Status.Expiration.Sub(r.Now()); wait > 0 {
		return after(wait + time.Millisecond), nil
	}
	reason, err := r.obstacle(ctx, &b)
	if err != nil {
		return reconcile.Result{}, err
	}
	if err := r.mark(ctx, &b, reason); err != nil {
		return stale(err)
	}
	if reason != "" {
		return after(r.Period), nil
	}
	if err := r.ask(ctx, &b); err != nil {
		return stale(err)
	}
	return after(r.Period), nil
}

// obstacle is why a Backup cannot be deleted; "": it can.
func (r *Expiries) obstacle(ctx context.Context, b *velerov1.Backup) (string, error) {
	var l velerov1.BackupStorageLocation
	err := r.Client.Get(ctx, r.key(b.Spec.StorageLocation), &l)
	switch {
	case apierrors.IsNotFound(err):
		return velerov1.GCFailureNotFound, nil
	case err != nil:
		return velerov1.GCFailureCannotGet, nil
	case l.Spec.AccessMode == velerov1.BackupStorageLocationAccessModeReadOnly:
		return velerov1.GCFailureReadOnly, nil
	case l.Status.Phase == velerov1.BackupStorageLocationPhaseUnavailable:
		return velerov1.GCFailureUnavailable, nil
	}
	return "", nil
}

// mark labels a Backup with the obstacle, or takes the label away.
func (r *Expiries) mark(ctx context.Context, b *velerov1.Backup, reason string) error {
	if b.Labels[velerov1.LabelGCFailure] == reason {
		return nil
	}
	before := b.DeepCopy()
	if reason == "" {
		delete(b.Labels, velerov1.LabelGCFailure)
	} else {
		label(b, velerov1.LabelGCFailure, reason)
		r.warning(b, "NotExpired", "Expire", "the backup has expired and cannot be deleted: "+reason)
	}
	return r.Client.Patch(ctx, b, client.MergeFrom(before))
}

// ask makes a request for the deletion, unless there is one that has not been processed.
func (r *Expiries) ask(ctx context.Context, b *velerov1.Backup) error {
	var all velerov1.DeleteBackupRequestList
	if err := r.Live.List(ctx, &all, client.InNamespace(r.Namespace), client.MatchingLabels{velerov1.LabelBackupUID: string(b.UID)}); err != nil {
		return err
	}
	for _, d := range all.Items {
		if d.Status.Phase != velerov1.DeleteBackupRequestPhaseProcessed || d.CreationTimestamp.Add(r.Period).After(r.Now()) {
			return nil
		}
	}
	r.Log.Info("backup has expired", "backup", b.Name)
	return r.Client.Create(ctx, &velerov1.DeleteBackupRequest{
		ObjectMeta: metav1.ObjectMeta{
			Namespace: b.Namespace, GenerateName: b.Name + "-",
			Labels: map[string]string{velerov1.LabelBackupName: velerov1.LabelValue(b.Name), velerov1.LabelBackupUID: string(b.UID)},
		},
		Spec: velerov1.DeleteBackupRequestSpec{BackupName: b.Name},
	})
}
