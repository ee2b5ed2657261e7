// SPDX-License-Identifier: Apache-2.0

package controller

import (
	"context"
	"fmt"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/manager"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	velerov1 "hozon.dev/hozon/api/velero/v1"
	"hozon.dev/hozon/internal/fail"
	"hozon.dev/hozon/internal/store"
	"hozon.dev/hozon/internal/velero"
)

// downloadLife is how long a signed URL is good, and its request is kept.
const downloadLife = 10 * time.Minute

// Downloads answers DownloadRequests with signed URLs: the store's, or else ours.
type Downloads struct {
	*Site
	Stores  *Stores
	Streams *Streams // for stores that give no URLs
}

// Add hands the controller to a manager.
func (r *Downloads) Add(m manager.Manager) error {
	return several(m, "download", lookers).For(&velerov1.DownloadRequest{}).Complete(r)
}

// targets of DownloadRequests.
var downloads = map[velerov1.DownloadTargetKind]struct {
	sort store.Sort
	file store.File
}{
	velerov1.DownloadTargetKindBackupLog:                       {store.Backup, store.Logs},
	velerov1.DownloadTargetKindBackupContents:                  {store.Backup, store.Archive},
	velerov1.DownloadTargetKindBackupVolumeSnapshots:           {store.Backup, store.VolumeSnapshots},
	velerov1.DownloadTargetKindBackupItemOperations:            {store.Backup, store.ItemOperations},
	velerov1.DownloadTargetKindBackupResourceList:              {store.Backup, store.ResourceList},
	velerov1.DownloadTargetKindBackupResults:                   {store.Backup, store.Results},
	velerov1.DownloadTargetKindCSIBackupVolumeSnapshots:        {store.Backup, "*-csi-volumesnapshots.json.gz"},
	velerov1.DownloadTargetKindCSIBackupVolumeSnapshotContents: {store.Backup, "*-csi-volumesnapshotcontents.json.gz"},
	velerov1.DownloadTargetKindBackupVolumeInfos:               {store.Backup, store.VolumeInfo},
	velerov1.DownloadTargetKindRestoreLog:                      {store.Restore, store.RestoreLogs},
	velerov1.DownloadTargetKindRestoreResults:                  {store.Restore, store.RestoreResults},
	velerov1.DownloadTargetKindRestoreResourceList:             {store.Restore, store.RestoreResourceList},
	velerov1.DownloadTargetKindRestoreItemOperations:           {store.Restore, store.RestoreItemOperations},
	velerov1.DownloadTargetKindRestoreVolumeInfo:               {store.Restore, store.RestoreVolumeInfo},
}

// Reconcile answers a request, or removes one that is old.
func (r *Downloads) Reconcile(ctx context.Context, req reconcile.Request) (reconcile.Result, error) {
	var d velerov1.DownloadRequest
	if err := r.Client.Get(ctx, req.NamespacedName, &d); err != nil {
		return reconcile.Result{}, client.IgnoreNotFound(err)
	}
	if d.DeletionTimestamp != nil {
		return reconcile.Result{}, nil
	}
	ends := d.CreationTimestamp.Time
	if d.Status.Expiration != nil {
		ends = d.Status.Expiration.Time
	} else {
		ends = ends.Add(downloadLife)
	}
	wait := ends.Sub(r.Now())
	if wait <= 0 {
		return stale(r.Client.Delete(ctx, &d))
	}
	if d.Status.Phase == velerov1.DownloadRequestPhaseProcessed {
		return after(wait), nil
	}
	looking, cancel := context.WithTimeout(ctx, lookTimeout)
	url, what, err := r.sign(looking, d.Spec.Target)
	cancel()
	if err != nil {
		r.Log.Warn("download was not prepared", "kind", d.Spec.Target.Kind, "name", d.Spec.Target.Name, "error", err)
		r.warning(&d, "NotPrepared", "Download", err.Error())
		if again(err) {
			return after(soon / 10), nil
		}
		return after(wait), nil
	}
	before := d.DeepCopy()
	expires := metav1.NewTime(r.Now().Add(downloadLife))
	if r.Streams.Pod != "" {
		velero.Annotate(&d, velerov1.AnnotationStream, r.Streams.Pod+r.Streams.path(what))
	}
	d.Status = velerov1.DownloadRequestStatus{Phase: velerov1.DownloadRequestPhaseProcessed, DownloadURL: url, Expiration: &expires}
	if err := r.Client.Patch(ctx, &d, client.MergeFrom(before)); err != nil {
		return stale(err)
	}
	return after(downloadLife), nil
}

// sign returns a URL of the file that a target names, and which file that is.
func (r *Downloads) sign(ctx context.Context, t velerov1.DownloadTarget) (string, wanted, error) {
	what, ok := downloads[t.Kind]
	if !ok {
		return "", wanted{}, fail.Errorf(fail.Invalid, "unsupported download target kind %q", t.Kind)
	}
	backup := t.Name
	if what.sort == store.Restore {
		var o velerov1.Restore
		if err := r.Client.Get(ctx, r.key(t.Name), &o); err != nil {
			return "", wanted{}, read("restore", t.Name, err)
		}
		backup = o.Spec.BackupName
	}
	var b velerov1.Backup
	if err := r.Client.Get(ctx, r.key(backup), &b); err != nil {
		return "", wanted{}, read("backup", backup, err)
	}
	l, st, err := r.Stores.at(ctx, b.Spec.StorageLocation)
	if err != nil {
		return "", wanted{}, err
	}
	file := wanted{l.Name, what.sort, t.Name, what.file}
	url, err := st.Sign(ctx, what.sort, t.Name, what.file, downloadLife)
	if fail.Is(err, fail.Unsupported) {
		return r.Streams.url(file), file, nil
	}
	return url, file, err
}

// read gives the failure to read an object its kind.
func read(kind, name string, err error) error {
	if apierrors.IsNotFound(err) {
		return fail.Errorf(fail.NotFound, "read %s %s: %w", kind, name, err)
	}
	return fmt.Errorf("read %s %s: %w", kind, name, err)
}
