// SPDX-License-Identifier: Apache-2.0

package controller

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	velerov1 "hozon.dev/hozon/api/velero/v1"
	"hozon.dev/hozon/internal/fail"
	"hozon.dev/hozon/internal/store"
	"hozon.dev/hozon/internal/velero"
	"hozon.dev/hozon/internal/volume"
	volumefill "hozon.dev/hozon/internal/volume/fill"
	"hozon.dev/hozon/internal/volume/order"
	"hozon.dev/hozon/internal/volume/save"
)

// saver has the files of a Backup's volumes saved by the agents of the nodes.
func (r *Backups) saver(b *velerov1.Backup) *save.Saver {
	return &save.Saver{Connect: r.Defaults.ResourceTimeout, Desk: order.Desk[velerov1.PodVolumeBackup]{
		Kind: order.Backups, Server: velero.Client{Cluster: r.Cluster, Namespace: r.Namespace}, Now: r.Now, Log: r.Log, Timeout: volumeTime(b, r.Defaults.VolumeTimeout),
	}}
}

// filler has volumes filled by the agents of the nodes.
func (r *Restores) filler(o *velerov1.Restore) *volumefill.Filler {
	return &volumefill.Filler{Start: r.ResourceTimeout, Again: velero.Attempts(o) > 1, Desk: order.Desk[velerov1.PodVolumeRestore]{
		Kind: order.Restores, Server: velero.Client{Cluster: r.Cluster, Namespace: r.Namespace}, Now: r.Now, Log: r.Log, Timeout: volumeTime(o, r.VolumeTimeout),
	}}
}

// volumeTime bounds the work on one volume. An annotation that is none was refused when the object's turn came.
func volumeTime(o client.Object, otherwise time.Duration) time.Duration {
	d, err := volumeTimeout(o)
	if err != nil || d == 0 {
		return otherwise
	}
	return d
}

// sweepVolumes ends what runs of a Restore that came to nothing have left under way.
func (r *Restores) sweepVolumes(ctx context.Context, o *velerov1.Restore) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), sweepTime)
	defer cancel()
	if err := r.filler(o).Sweep(ctx, string(o.UID)); err != nil {
		r.Log.Warn("pods that mounted claims were not removed", "restore", o.Name, "error", err)
	}
}

// volumeTimeout is what an object's annotation says; 0: nothing.
func volumeTimeout(o client.Object) (time.Duration, error) {
	text := o.GetAnnotations()[velerov1.AnnotationPodVolumeTimeout]
	if text == "" {
		return 0, nil
	}
	d, err := time.ParseDuration(text)
	if err != nil || d <= 0 {
		return 0, fmt.Errorf("annotation %s: %q: expected a duration above zero, such as 4h", velerov1.AnnotationPodVolumeTimeout, text)
	}
	return d, nil
}

// sweepUnrecorded removes the PodVolumeBackups of a Backup that are not in its record in the bucket: those of runs before the one that was committed.
func (r *Backups) sweepUnrecorded(ctx context.Context, b *velerov1.Backup) {
	_, st, err := r.Stores.at(ctx, b.Spec.StorageLocation)
	var recorded []velerov1.PodVolumeBackup
	if err == nil {
		err = st.ReadJSON(ctx, store.Backup, b.Name, store.PodVolumeBackups, &recorded)
	}
	if err != nil {
		r.Log.Warn("volumes of runs that came to nothing stay until the backup is deleted", "backup", b.Name, "error", err)
		return
	}
	keep := map[types.UID]bool{}
	for i := range recorded {
		keep[recorded[i].UID] = true
	}
	r.sweepVolumes(ctx, b, keep)
}

// sweepVolumes removes the PodVolumeBackups of a Backup but for those to keep: they are in no record, and what they saved is nobody's. What cannot be removed now
// stays with the Backup, and goes with it.
func (r *Backups) sweepVolumes(ctx context.Context, b *velerov1.Backup, keep map[types.UID]bool) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), sweepTime)
	defer cancel()
	var all velerov1.PodVolumeBackupList
	if err := r.Live.List(ctx, &all, client.InNamespace(r.Namespace), client.MatchingLabels{velerov1.LabelBackupUID: string(b.UID)}); err != nil {
		r.Log.Warn("volumes of runs that came to nothing were not looked for", "backup", b.Name, "error", err)
		return
	}
	var left []velerov1.PodVolumeBackup
	for i := range all.Items {
		if p := &all.Items[i]; !keep[p.UID] {
			left = append(left, *p)
		}
	}
	if len(left) == 0 {
		return
	}
	kept := r.saver(b).Stop(ctx, left)
	saved := make([]volume.Volume, len(kept))
	for i := range kept {
		saved[i] = volume.Of(kept[i])
	}
	if err := r.Stores.forget(ctx, b.Spec.StorageLocation, saved); err != nil {
		r.Log.Warn("data of a run that came to nothing stays until the backup is deleted", "backup", b.Name, "error", err)
		return
	}
	for i := range kept {
		if err := r.Client.Delete(ctx, kept[i]); client.IgnoreNotFound(err) != nil {
			r.Log.Warn("a volume's backup of a run that came to nothing was not removed", "podVolumeBackup", kept[i].Name, "error", err)
		}
	}
	r.Log.Info("removed volumes of runs that came to nothing", "backup", b.Name, "volumes", len(kept))
}

// forget has the repositories of a location forget volumes. Snapshots in repositories of restic's stay: those are only read.
func (s *Stores) forget(ctx context.Context, location string, all []volume.Volume) error {
	ids := map[string][]string{} // by the namespace of the repository
	var problems []error
	for i := range all {
		switch v := &all[i]; {
		case v.SnapshotID == "":
		case v.Uploader != velerov1.RepositoryTypeKopia:
			problems = append(problems, fail.Errorf(fail.Unsupported,
				"snapshot %s of volume %s is in a repository of %s, which this program only reads: delete the backup with the program that made it", v.SnapshotID, v, v.Uploader))
		default:
			ids[v.Namespace] = append(ids[v.Namespace], v.SnapshotID)
		}
	}
	if len(problems) > 0 || len(ids) == 0 {
		return fail.As(fail.Unsupported, errors.Join(problems...)) // before anything is removed
	}
	_, bucket, err := s.Bucket(ctx, location)
	if err != nil {
		return err
	}
	passwords, err := s.passwords(ctx, bucket)
	if err != nil {
		return err
	}
	for _, namespace := range sortedKeys(ids) {
		slices.Sort(ids[namespace])
		if err := volume.Forget(ctx, bucket, namespace, passwords, slices.Compact(ids[namespace])); err != nil {
			problems = append(problems, fail.As(fail.Of(err), fmt.Errorf("remove %d snapshots from the repository of namespace %s: %w", len(ids[namespace]), namespace, err)))
		}
	}
	if len(problems) > 0 {
		return fail.As(fail.Of(problems[0]), errors.Join(problems...))
	}
	return nil
}

// sweepTime bounds the removal of what runs left that came to nothing.
const sweepTime = 2 * time.Minute
