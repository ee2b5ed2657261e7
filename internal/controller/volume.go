// SPDX-License-Identifier: Apache-2.0

package controller

import (
	"context"
	"fmt"
	"time"

	"sigs.k8s.io/controller-runtime/pkg/client"

	velerov1 "hozon.dev/hozon/api/velero/v1"
	"hozon.dev/hozon/internal/fail"
	"hozon.dev/hozon/internal/velero"
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
	return &volumefill.Filler{Start: r.ResourceTimeout, Desk: order.Desk[velerov1.PodVolumeRestore]{
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

// sweepVolumes removes the PodVolumeBackups of a Backup that belong to other runs than the one that was committed ("": none was): they are in no record, and what
// they saved is nobody's. What cannot be removed now stays with the Backup, and goes with it.
func (r *Backups) sweepVolumes(ctx context.Context, b *velerov1.Backup, committed string) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), sweepTime)
	defer cancel()
	var all velerov1.PodVolumeBackupList
	if err := r.Live.List(ctx, &all, client.InNamespace(r.Namespace), client.MatchingLabels{velerov1.LabelBackupUID: string(b.UID)}); err != nil {
		r.Log.Warn("volumes of runs that came to nothing were not looked for", "backup", b.Name, "error", err)
		return
	}
	var left []velerov1.PodVolumeBackup
	for i := range all.Items {
		if p := &all.Items[i]; committed == "" || run(p) != committed {
			left = append(left, *p)
		}
	}
	if len(left) == 0 {
		return
	}
	kept := r.saver(b).Stop(ctx, left)
	if err := r.Stores.forget(ctx, b.Spec.StorageLocation, kept); err != nil {
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

// forget has repositories of a location forget what PodVolumeBackups have saved.
func (s *Stores) forget(_ context.Context, location string, all []*velerov1.PodVolumeBackup) error {
	for i := range all {
		if all[i].Status.SnapshotID != "" {
			return fail.Errorf(fail.Unsupported, "snapshots in the repositories of location %s cannot be removed by this version", location)
		}
	}
	return nil
}

// sweepTime bounds the removal of what runs left that came to nothing.
const sweepTime = 2 * time.Minute
