// SPDX-License-Identifier: Apache-2.0

package controller

import (
	"context"
	"slices"
	"sync"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/manager"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	velerov1 "hozon.dev/hozon/api/velero/v1"
	"hozon.dev/hozon/internal/backup"
	"hozon.dev/hozon/internal/cluster"
	"hozon.dev/hozon/internal/fail"
	"hozon.dev/hozon/internal/report"
	"hozon.dev/hozon/internal/store"
)

// syncTimeout bounds one synchronisation; what it does not get done is done by the next.
const syncTimeout = 10 * time.Minute

// Syncs copies the backups of the buckets into the cluster, and removes from the cluster those that have gone from their bucket.
type Syncs struct {
	*Site
	Stores  *Stores
	Cluster *cluster.Client
	Period  time.Duration // unless the location says otherwise; 0: never

	mu   sync.Mutex
	last map[types.UID]time.Time
}

// Add hands the controller to a manager.
func (r *Syncs) Add(m manager.Manager) error {
	r.last = map[types.UID]time.Time{}
	return several(m, "sync", lookers).For(&velerov1.BackupStorageLocation{}).Complete(r)
}

// Reconcile synchronises with a location if it is available and its time has come.
func (r *Syncs) Reconcile(ctx context.Context, req reconcile.Request) (reconcile.Result, error) {
	var l velerov1.BackupStorageLocation
	if err := r.Client.Get(ctx, req.NamespacedName, &l); err != nil {
		return reconcile.Result{}, client.IgnoreNotFound(err)
	}
	period := r.Period
	if l.Spec.BackupSyncPeriod != nil {
		period = l.Spec.BackupSyncPeriod.Duration
	}
	if period <= 0 || l.DeletionTimestamp != nil || l.Status.Phase != velerov1.BackupStorageLocationPhaseAvailable {
		return reconcile.Result{}, nil // the event of its becoming available begins it again
	}
	r.mu.Lock()
	wait := r.last[l.UID].Add(period).Sub(r.Now())
	r.mu.Unlock()
	if wait > 0 {
		return after(wait), nil
	}
	bounded, cancel := context.WithTimeout(ctx, syncTimeout)
	defer cancel()
	if err := r.sync(bounded, &l); err != nil {
		r.Log.Warn("backups were not synchronised", "location", l.Name, "error", err)
	} else if err := r.stamp(bounded, &l); err != nil {
		return stale(err)
	}
	r.mu.Lock()
	r.last[l.UID] = r.Now()
	r.mu.Unlock()
	return after(period), nil
}

func (r *Syncs) stamp(ctx context.Context, l *velerov1.BackupStorageLocation) error {
	before := l.DeepCopy()
	now := metav1.NewTime(r.Now())
	l.Status.LastSyncedTime = &now
	return r.Client.Patch(ctx, l, client.MergeFrom(before))
}

// sync looks at the cluster first and at the bucket after it, so that a backup that is committed in between is not taken for one that has vanished.
func (r *Syncs) sync(ctx context.Context, l *velerov1.BackupStorageLocation) error {
	var known velerov1.BackupList
	if err := r.Client.List(ctx, &known, client.InNamespace(r.Namespace)); err != nil {
		return err
	}
	st, err := r.Stores.of(ctx, l)
	if err != nil {
		return err
	}
	if l.Spec.AccessMode != velerov1.BackupStorageLocationAccessModeReadOnly {
		swept, err := st.Sweep(ctx)
		for _, what := range swept {
			r.Log.Info("removed what an unfinished run left", "location", l.Name, "object", what)
		}
		if err != nil {
			r.Log.Warn("what unfinished runs left was not removed", "location", l.Name, "error", err)
		}
		r.payAll(ctx, st, known.Items)
		r.releaseAll(ctx, st, known.Items)
	}
	names, err := st.Folders(ctx)
	if err != nil {
		return err
	}
	have := map[string]bool{}
	for i := range known.Items {
		b := &known.Items[i]
		have[b.Name] = true
		if err := r.vanish(ctx, l, b, names); err != nil {
			return err
		}
	}
	for _, name := range names {
		if have[name] {
			continue
		}
		if err := r.adopt(ctx, l, st, name); err != nil {
			return err
		}
	}
	return nil
}

// vanish removes a Backup whose files have gone from its bucket.
func (r *Syncs) vanish(ctx context.Context, l *velerov1.BackupStorageLocation, b *velerov1.Backup, names []string) error {
	kept := b.Status.Phase == velerov1.BackupPhaseCompleted || b.Status.Phase == velerov1.BackupPhasePartiallyFailed
	if b.Spec.StorageLocation != l.Name || !kept || b.DeletionTimestamp != nil {
		return nil
	}
	if _, found := slices.BinarySearch(names, b.Name); found {
		return nil
	}
	r.Log.Info("backup has gone from its bucket", "backup", b.Name, "location", l.Name)
	same := client.Preconditions{UID: &b.UID, ResourceVersion: &b.ResourceVersion}
	if err := r.Client.Delete(ctx, b, same); err != nil && !apierrors.IsNotFound(err) && !apierrors.IsConflict(err) {
		return err
	}
	return nil
}

// adopt copies a backup of the bucket into the cluster. One that cannot be read is left for the next time: somebody may be writing it.
func (r *Syncs) adopt(ctx context.Context, l *velerov1.BackupStorageLocation, st *store.Store, name string) error {
	record, err := st.Backup(ctx, name)
	if err != nil {
		r.Log.Debug("folder is no backup", "location", l.Name, "backup", name, "error", err)
		return ctx.Err()
	}
	b := r.imported(l, record)
	if b == nil {
		return nil
	}
	if b.OwnerReferences, err = r.owners(ctx, record); err != nil {
		return err
	}
	if err := r.Client.Create(ctx, b); apierrors.IsAlreadyExists(err) {
		return nil
	} else if err != nil {
		r.Log.Warn("backup of the bucket was not taken over", "backup", name, "location", l.Name, "error", err)
		return nil // its record is not what the API server takes; the others are
	}
	r.Log.Info("backup was found in the bucket", "backup", name, "location", l.Name)
	r.adoptVolumes(ctx, st, b)
	return nil
}

// adoptVolumes copies what became of the volumes of a backup, for those who look for it in the cluster: a restore reads the bucket.
func (r *Syncs) adoptVolumes(ctx context.Context, st *store.Store, b *velerov1.Backup) {
	var all []velerov1.PodVolumeBackup
	if err := st.ReadJSON(ctx, store.Backup, b.Name, store.PodVolumeBackups, &all); err != nil {
		if !fail.Is(err, fail.NotFound) {
			r.Log.Warn("the list of a backup's volumes was not read", "backup", b.Name, "error", err)
		}
		return
	}
	for i := range all {
		switch all[i].Status.Phase {
		case velerov1.PodVolumeBackupPhaseCompleted, velerov1.PodVolumeBackupPhaseFailed, velerov1.PodVolumeBackupPhaseCanceled:
		default:
			continue // an agent would take it for an order
		}
		p := &velerov1.PodVolumeBackup{Spec: all[i].Spec, Status: all[i].Status}
		p.Namespace, p.Name, p.Labels, p.Annotations = r.Namespace, all[i].Name, all[i].Labels, all[i].Annotations
		label(p, velerov1.LabelBackupName, velerov1.LabelValue(b.Name))
		label(p, velerov1.LabelBackupUID, string(b.UID))
		label(p, velerov1.LabelStorageLocation, velerov1.LabelValue(b.Spec.StorageLocation))
		p.Spec.BackupStorageLocation = b.Spec.StorageLocation
		p.OwnerReferences = []metav1.OwnerReference{{APIVersion: velerov1.APIVersion, Kind: "Backup", Name: b.Name, UID: b.UID, Controller: new(true)}}
		if err := r.Client.Create(ctx, p); err != nil && !apierrors.IsAlreadyExists(err) {
			r.Log.Warn("a backup's volume was not taken over", "backup", b.Name, "podVolumeBackup", p.Name, "error", err)
		}
	}
}

// imported is the Backup that stands for a record of the bucket; nil: it is not over.
func (r *Syncs) imported(l *velerov1.BackupStorageLocation, record *velerov1.Backup) *velerov1.Backup {
	b := &velerov1.Backup{Spec: record.Spec, Status: record.Status}
	b.Namespace, b.Name, b.Labels, b.Annotations = r.Namespace, record.Name, record.Labels, record.Annotations
	for _, own := range []string{velerov1.AnnotationRun, velerov1.AnnotationAttempt, velerov1.AnnotationCancel, velerov1.AnnotationRetry} {
		delete(b.Annotations, own) // they speak of a run in the cluster where it was
	}
	b.Spec.StorageLocation = l.Name
	label(b, velerov1.LabelStorageLocation, velerov1.LabelValue(l.Name))
	b.Status.HookStatus = nil
	switch b.Status.Phase {
	case velerov1.BackupPhaseCompleted, velerov1.BackupPhasePartiallyFailed, velerov1.BackupPhaseFailed, "":
		return b
	case velerov1.BackupPhaseInProgress, velerov1.BackupPhaseWaitingForPluginOperations, velerov1.BackupPhaseWaitingForPluginOperationsPartiallyFailed,
		velerov1.BackupPhaseFinalizing, velerov1.BackupPhaseFinalizingPartiallyFailed:
		if b.Status.Expiration != nil && b.Status.Expiration.Time.Before(r.Now()) {
			b.Status.Phase = velerov1.BackupPhasePartiallyFailed
			return b
		}
	}
	return nil
}

// owners are the record's owners that exist in this cluster.
func (r *Syncs) owners(ctx context.Context, record *velerov1.Backup) ([]metav1.OwnerReference, error) {
	var out []metav1.OwnerReference
	for _, ref := range record.OwnerReferences {
		if ref.Kind != "Schedule" || ref.APIVersion != velerov1.APIVersion {
			continue
		}
		var s velerov1.Schedule
		if err := r.Client.Get(ctx, r.key(ref.Name), &s); apierrors.IsNotFound(err) {
			continue
		} else if err != nil {
			return nil, err
		}
		if s.UID == ref.UID {
			out = append(out, ref)
		}
	}
	return out, nil
}

// payAll runs the post hooks that dead runs owe, also those of a command line, or of a Backup that was deleted meanwhile. Backups that are under
// way are left to those who see to them.
func (r *Syncs) payAll(ctx context.Context, st *store.Store, known []velerov1.Backup) {
	engine := backup.Engine{Cluster: r.Cluster, Store: st, Now: r.Now}
	err := engine.PayAll(ctx, func(name string) *velerov1.Backup {
		for i := range known {
			switch b := &known[i]; {
			case b.Name != name:
			case b.Status.Phase == velerov1.BackupPhaseInProgress:
				return nil
			default:
				return b
			}
		}
		b := &velerov1.Backup{}
		b.Name = name
		return b
	}, func(name string, hooks []report.Hook) {
		for _, h := range hooks {
			r.Log.Info("post hook was run for a run that has died", "backup", name, "object", h.Namespace+"/"+h.Pod, "phase", h.Outcome, "reason", h.Reason)
		}
	})
	if err != nil {
		r.Log.Warn("post hooks were not run", "error", err)
	}
}

// releaseAll removes the native snapshots that dead runs have taken and that belong to no backup.
func (r *Syncs) releaseAll(ctx context.Context, st *store.Store, known []velerov1.Backup) {
	dropping := r.Stores.snapshots()
	defer dropping.close()
	engine := backup.Engine{Cluster: r.Cluster, Store: st, Now: r.Now}
	err := engine.ReleaseAll(ctx, r.Namespace, dropping, func(name string) bool {
		return slices.ContainsFunc(known, func(b velerov1.Backup) bool {
			return b.Name == name && b.Status.Phase == velerov1.BackupPhaseInProgress
		})
	}, func(name, text string) {
		r.Log.Warn(text)
		for i := range known {
			if known[i].Name == name {
				r.warning(&known[i], "SnapshotNotKnown", "Backup", text)
			}
		}
	})
	if err != nil {
		r.Log.Warn("snapshots of unfinished runs were not removed", "error", err)
	}
}
