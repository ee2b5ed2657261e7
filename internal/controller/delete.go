// SPDX-License-Identifier: Apache-2.0

package controller

import (
	"context"
	"fmt"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/manager"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	velerov1 "hozon.dev/hozon/api/velero/v1"
	"hozon.dev/hozon/internal/fail"
	"hozon.dev/hozon/internal/store"
	"hozon.dev/hozon/internal/volume"
)

// requestLife is how long a request to delete a backup is kept after it was processed.
const requestLife = 24 * time.Hour

// deletionTimeout is how long a deletion is tried that meets passing faults, such as the claim of a server that was killed.
const deletionTimeout = 10 * time.Minute

// Deletions carries out DeleteBackupRequests: files first, then the objects in the cluster.
type Deletions struct {
	*Site
	Stores  *Stores
	Tallies *Tallies
}

// Add hands the controller to a manager.
func (r *Deletions) Add(m manager.Manager) error {
	return build(m, "deletion").For(&velerov1.DeleteBackupRequest{}).Complete(r)
}

// Reconcile carries out a request, or removes one that is old.
func (r *Deletions) Reconcile(ctx context.Context, req reconcile.Request) (reconcile.Result, error) {
	var d velerov1.DeleteBackupRequest
	if err := r.Client.Get(ctx, req.NamespacedName, &d); err != nil {
		return reconcile.Result{}, client.IgnoreNotFound(err)
	}
	if d.DeletionTimestamp != nil {
		return reconcile.Result{}, nil
	}
	if d.Status.Phase == velerov1.DeleteBackupRequestPhaseProcessed {
		if wait := d.CreationTimestamp.Add(requestLife).Sub(r.Now()); wait > 0 {
			return after(wait), nil
		}
		return stale(r.Client.Delete(ctx, &d))
	}
	b, problem, err := r.check(ctx, &d)
	if err != nil {
		return reconcile.Result{}, err
	}
	if problem == backupNotFound && d.Status.Phase == velerov1.DeleteBackupRequestPhaseInProgress { // the Backup goes last: a process that is gone was nearly done
		return stale(r.forget(ctx, d.Spec.BackupName))
	}
	if problem == "" {
		bounded, cancel := context.WithTimeout(ctx, deletionTimeout)
		problem, err = r.carryOut(bounded, &d, b)
		cancel()
		if problem != "" {
			r.Tallies.add(ctx, "backup_deletion_failure_total", b.Labels[velerov1.LabelScheduleName])
		}
	}
	if err != nil {
		return stale(err)
	}
	if problem == "" {
		return stale(r.clean(ctx, b))
	}
	return stale(r.processed(ctx, &d, problem))
}

const backupNotFound = "backup not found"

// check finds the Backup, or the reason, in Velero's words, why it cannot be deleted.
func (r *Deletions) check(ctx context.Context, d *velerov1.DeleteBackupRequest) (*velerov1.Backup, string, error) {
	if d.Spec.BackupName == "" {
		return nil, "spec.backupName is required", nil
	}
	var b velerov1.Backup
	if err := r.Live.Get(ctx, r.key(d.Spec.BackupName), &b); apierrors.IsNotFound(err) {
		return nil, backupNotFound, nil
	} else if err != nil {
		return nil, "", err
	}
	if !done(b.Status.Phase) {
		return nil, "backup is still in progress", nil
	}
	var l velerov1.BackupStorageLocation
	if err := r.Client.Get(ctx, r.key(b.Spec.StorageLocation), &l); apierrors.IsNotFound(err) {
		return nil, fmt.Sprintf("backup storage location %s not found", b.Spec.StorageLocation), nil
	} else if err != nil {
		return nil, "", err
	}
	switch {
	case l.Spec.AccessMode == velerov1.BackupStorageLocationAccessModeReadOnly:
		return nil, fmt.Sprintf("cannot delete backup because backup storage location %s is currently in read-only mode", l.Name), nil
	case l.Status.Phase == velerov1.BackupStorageLocationPhaseUnavailable:
		return nil, fmt.Sprintf("cannot delete backup because backup storage location %s is currently in Unavailable status", l.Name), nil
	}
	return &b, "", nil
}

// carryOut removes the files and the objects. What it returns as a text ends up in the request.
func (r *Deletions) carryOut(ctx context.Context, d *velerov1.DeleteBackupRequest, b *velerov1.Backup) (string, error) {
	schedule := b.Labels[velerov1.LabelScheduleName]
	if d.Status.Phase != velerov1.DeleteBackupRequestPhaseInProgress { // else a process that is gone has counted it
		r.Tallies.add(ctx, "backup_deletion_attempt_total", schedule)
	}
	before := d.DeepCopy()
	d.Status.Phase = velerov1.DeleteBackupRequestPhaseInProgress
	label(d, velerov1.LabelBackupName, velerov1.LabelValue(b.Name))
	label(d, velerov1.LabelBackupUID, string(b.UID))
	if err := r.Client.Patch(ctx, d, client.MergeFrom(before)); err != nil {
		return "", err
	}
	if b.Status.Phase != velerov1.BackupPhaseDeleting {
		b.Status.Phase = velerov1.BackupPhaseDeleting
		if err := r.Client.Update(ctx, b); err != nil {
			return "", err
		}
	}
	_, st, err := r.Stores.at(ctx, b.Spec.StorageLocation)
	if err != nil {
		return r.later(d, err)
	}
	if text, err := r.volumes(ctx, st, b); err != nil {
		return r.later(d, err)
	} else if text != "" {
		return text, nil
	}
	if err := st.Delete(ctx, store.Backup, b.Name); err != nil && !fail.Is(err, fail.NotFound) {
		return r.later(d, err)
	}
	return r.restores(ctx, b)
}

// later makes an error that passes one after which the request is tried again, for a while.
func (r *Deletions) later(d *velerov1.DeleteBackupRequest, err error) (string, error) {
	if again(err) && r.Now().Sub(d.CreationTimestamp.Time) < deletionTimeout {
		return "", err
	}
	return err.Error(), nil
}

// volumes removes what a backup has saved of volumes. The backup itself stays until all of it is gone: nothing else knows of it.
func (r *Deletions) volumes(ctx context.Context, st *store.Store, b *velerov1.Backup) (string, error) {
	saved, err := r.saved(ctx, st, b)
	if err != nil {
		return "", err
	}
	if err := r.Stores.forget(ctx, b.Spec.StorageLocation, saved); err != nil {
		return "", err
	}
	var all []store.Snapshot
	err = st.ReadJSON(ctx, store.Backup, b.Name, store.VolumeSnapshots, &all)
	if err != nil && !fail.Is(err, fail.NotFound) {
		return "", err
	}
	dropping := r.Stores.snapshots()
	defer dropping.close()
	var problems []string
	for _, s := range all {
		if s.Status.ID == "" {
			continue
		}
		if err := dropping.Drop(ctx, s); err != nil {
			problems = append(problems, fmt.Sprintf("delete snapshot %s of volume %s: %v", s.Status.ID, s.Spec.Volume, err))
		}
	}
	return join(problems), nil
}

// saved are the volumes of a backup that repositories have data of, as the bucket and the cluster know them: what a run left that came to nothing is in the cluster only.
func (r *Deletions) saved(ctx context.Context, st *store.Store, b *velerov1.Backup) ([]volume.Volume, error) {
	var live velerov1.PodVolumeBackupList
	if err := r.Live.List(ctx, &live, client.InNamespace(r.Namespace), client.MatchingLabels{velerov1.LabelBackupName: velerov1.LabelValue(b.Name)}); err != nil {
		return nil, err
	}
	all, err := volume.List(ctx, st, b.Name)
	if err != nil && !fail.Is(err, fail.NotFound) && !fail.Is(err, fail.Corrupt) {
		return nil, err
	}
	for i := range live.Items {
		all = append(all, volume.Of(&live.Items[i]))
	}
	return all, nil
}

// restores removes the Restores of a Backup. Their finalizer would look for the Backup, so their files are removed here.
func (r *Deletions) restores(ctx context.Context, b *velerov1.Backup) (string, error) {
	var all velerov1.RestoreList
	if err := r.Client.List(ctx, &all, client.InNamespace(r.Namespace)); err != nil {
		return "", err
	}
	_, st, err := r.Stores.at(ctx, b.Spec.StorageLocation)
	if err != nil {
		return err.Error(), nil
	}
	for i := range all.Items {
		o := &all.Items[i]
		if o.Spec.BackupName != b.Name {
			continue
		}
		if o.Status.Phase == velerov1.RestorePhaseInProgress {
			return fmt.Sprintf("restore %s of the backup is in progress", o.Name), nil
		}
		if err := st.Delete(ctx, store.Restore, o.Name); err != nil && !fail.Is(err, fail.NotFound) {
			return err.Error(), nil
		}
		if err := r.Client.Delete(ctx, o); client.IgnoreNotFound(err) != nil {
			return "", err
		}
	}
	return "", nil
}

// clean removes the Backup, and all requests to delete it, this one included.
func (r *Deletions) clean(ctx context.Context, b *velerov1.Backup) error {
	if err := r.Client.Delete(ctx, b); client.IgnoreNotFound(err) != nil {
		return err
	}
	r.Tallies.add(ctx, "backup_deletion_success_total", b.Labels[velerov1.LabelScheduleName])
	r.Log.Info("backup was deleted", "backup", b.Name)
	r.normal(b, "Deleted", "Delete", "the backup and its files were deleted")
	return r.forget(ctx, b.Name)
}

// forget removes all requests to delete a Backup that is gone.
func (r *Deletions) forget(ctx context.Context, backup string) error {
	var all velerov1.DeleteBackupRequestList
	if err := r.Live.List(ctx, &all, client.InNamespace(r.Namespace)); err != nil {
		return err
	}
	for i := range all.Items {
		d := &all.Items[i]
		if d.Spec.BackupName != backup {
			continue
		}
		if err := r.Client.Delete(ctx, d); client.IgnoreNotFound(err) != nil {
			return err
		}
	}
	return nil
}

func (r *Deletions) processed(ctx context.Context, d *velerov1.DeleteBackupRequest, problem string) error {
	before := d.DeepCopy()
	d.Status.Phase, d.Status.Errors = velerov1.DeleteBackupRequestPhaseProcessed, []string{problem}
	if err := r.Client.Patch(ctx, d, client.MergeFrom(before)); err != nil {
		return err
	}
	r.Log.Warn("backup was not deleted", "backup", d.Spec.BackupName, "error", problem)
	r.warning(d, "NotDeleted", "Delete", "backup deletion failed: "+problem)
	return nil
}
