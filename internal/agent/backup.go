// SPDX-License-Identifier: Apache-2.0

package agent

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	velerov1 "hozon.dev/hozon/api/velero/v1"
	"hozon.dev/hozon/internal/fail"
	"hozon.dev/hozon/internal/vault"
	"hozon.dev/hozon/internal/vault/kopia"
	"hozon.dev/hozon/internal/velero"
)

// claimAnnotation is how the server notes the claim behind a pod's volume. The snapshot goes by the claim then, so that the next one is built upon it
// whatever the pod is called.
const claimAnnotation = "velero.io/pvc-name"

// parallelSetting is Velero's name for the number of files that are read side by side.
const parallelSetting = "ParallelFilesUpload"

// backups saves volumes.
type backups struct {
	*volumes
	repositories *repositories
	parallel     int // files of one volume, unless the order says another number
}

func (b *backups) mine(_ context.Context, o order) (bool, error) {
	return o.object().(*velerov1.PodVolumeBackup).Spec.Node == b.node, nil
}

// owner: a Backup that is over waits for nothing.
func (b *backups) owner(ctx context.Context, o order) (bool, error) {
	name := o.object().GetLabels()[velerov1.LabelBackupName]
	if name == "" {
		return true, nil // ordered by hand
	}
	var backup velerov1.Backup
	err := b.Live.Get(ctx, client.ObjectKey{Namespace: b.Namespace, Name: name}, &backup)
	switch {
	case apierrors.IsNotFound(err):
		return true, nil // a label may have no room for the name
	case err != nil:
		return false, err
	}
	return backup.Status.Phase == velerov1.BackupPhaseInProgress || backup.UID != types.UID(o.object().GetLabels()[velerov1.LabelBackupUID]), nil
}

func (b *backups) tidy(context.Context, order) error { return nil }

// work saves the volume.
func (b *backups) work(ctx context.Context, o order, p *progress) (out outcome, err error) {
	backup := o.object().(*velerov1.PodVolumeBackup)
	if backup.Spec.UploaderType != "kopia" {
		return out, fail.Errorf(fail.Unsupported, "uploader %q: volumes are saved by kopia; repositories of restic are only read", cmp.Or(backup.Spec.UploaderType, "restic"))
	}
	options, err := b.options(backup)
	if err != nil {
		return out, err
	}
	pod, err := b.running(ctx, o.pod())
	if err != nil {
		return out, err
	}
	folder, err := b.open(ctx, pod, o.volume())
	if err != nil {
		return out, err
	}
	defer folder.Close()
	out.path = folder.shown
	repository, release, err := b.repositories.writable(ctx, backup.Spec.BackupStorageLocation, pod.Namespace)
	if err != nil {
		return out, err
	}
	defer func() { err = errors.Join(err, release(context.WithoutCancel(ctx))) }()
	var done, total atomic.Int64
	options.Progress = func(d, t int64) { done.Store(d); total.Store(t) }
	p.follow(func() (int64, int64) { return done.Load(), total.Load() })
	saved, err := repository.Save(ctx, folder.path(), vault.Source{
		Namespace: pod.Namespace, Pod: pod.Name, Volume: cmp.Or(backup.Annotations[claimAnnotation], o.volume()), Tags: backup.Spec.Tags,
	}, options)
	if err != nil {
		return out, folder.explain(err)
	}
	out.snapshot, out.bytes, out.incremental = saved.Snapshot.ID, saved.Snapshot.Bytes, saved.Incremental
	if velero.Attempts(backup) > 1 {
		b.forgetTwins(ctx, repository, saved.Snapshot.ID, backup)
	}
	if saved.Lost > 0 {
		return out, fail.Errorf(fail.Unknown, "%d files could not be read, the others are saved: %s", saved.Lost, named(saved, false))
	}
	if _, err := b.running(ctx, o.pod()); err != nil {
		return out, fmt.Errorf("files may be missing from what was saved: %w", err)
	}
	if saved.Failed > 0 {
		out.note = fmt.Sprintf("%s: %d files changed or vanished while it was saved: %s", place(o), saved.Failed, named(saved, true))
	}
	return out, nil
}

// forgetTwins removes the snapshots of attempts before this one, which were saved and not recorded: the agent died in between, and nobody else would ever remove them.
// What is older than the order is not of it.
func (b *backups) forgetTwins(ctx context.Context, repository *kopia.Repository, id string, backup *velerov1.PodVolumeBackup) {
	all, err := repository.Snapshots(ctx)
	var twins []string
	if i := slices.IndexFunc(all, func(s vault.Snapshot) bool { return s.ID == id }); i >= 0 {
		for _, s := range all {
			if s.ID != id && s.Path == all[i].Path && maps.Equal(ofOrder(s.Tags, backup), ofOrder(all[i].Tags, backup)) && !s.Time.Before(backup.CreationTimestamp.Time) {
				twins = append(twins, s.ID)
			}
		}
	}
	if len(twins) > 0 {
		err = errors.Join(err, repository.Forget(ctx, twins...))
	}
	if err != nil {
		b.Log.Warn("what attempts before have saved of a volume was not removed", "object", "PodVolumeBackup/"+backup.Name, "snapshots", twins, "error", err)
	}
}

// ofOrder are the tags of a snapshot that its order gave it.
func ofOrder(tags map[string]string, backup *velerov1.PodVolumeBackup) map[string]string {
	out := map[string]string{}
	for name := range backup.Spec.Tags {
		out[name] = tags[name]
	}
	return out
}

func (b *backups) options(o *velerov1.PodVolumeBackup) (vault.SaveOptions, error) {
	text := o.Spec.UploaderSettings[parallelSetting]
	if text == "" {
		return vault.SaveOptions{Parallel: b.parallel}, nil
	}
	n, err := strconv.Atoi(text)
	if err != nil || n < 0 {
		return vault.SaveOptions{}, fail.Errorf(fail.Invalid, "uploader setting %s %q: it is a number of files", parallelSetting, text)
	}
	return vault.SaveOptions{Parallel: cmp.Or(n, b.parallel)}, nil
}

// named are the first problems of one sort.
func named(s vault.Saved, changing bool) string {
	const most = 5
	var list []string
	for _, p := range s.Problems {
		if p.Changing == changing {
			list = append(list, strconv.Quote(p.Path)+": "+p.Text)
		}
	}
	count := s.Lost
	if changing {
		count = s.Failed - s.Lost
	}
	list = list[:min(len(list), most)]
	if more := count - int64(len(list)); more > 0 {
		list = append(list, fmt.Sprintf("and %d more", more))
	}
	return strings.Join(list, "; ")
}
