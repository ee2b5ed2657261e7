// SPDX-License-Identifier: Apache-2.0

package agent

import (
	"cmp"
	"context"
	"fmt"
	"os"
	"regexp"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	velerov1 "hozon.dev/hozon/api/velero/v1"
	"hozon.dev/hozon/internal/fail"
	"hozon.dev/hozon/internal/transfer"
	"hozon.dev/hozon/internal/volume"
)

// The pods that wait for data: with an init container of Velero's, or ours, which exist for nothing else.
const (
	waitContainer       = "restore-wait"
	waitContainerBefore = "restic-wait" // Velero before 1.10
	labelMover          = "hozon.dev/mover"
)

// restores fills volumes.
type restores struct {
	*volumes
	repositories *repositories
}

// mine: the pod is on this node, and waits.
func (r *restores) mine(ctx context.Context, o order) (bool, error) {
	if s := o.status(); s.phase.left() && s.node != "" {
		return s.node == r.node, nil
	}
	pod, err := r.pod(ctx, o.pod())
	if err != nil || pod == nil {
		return false, err
	}
	return o.cancelled() || !o.object().GetDeletionTimestamp().IsZero() || waits(pod), nil
}

// waits says that a pod has its volumes, and nobody uses them yet.
func waits(pod *corev1.Pod) bool {
	running := func(s corev1.ContainerStatus) bool { return s.State.Running != nil }
	if pod.Labels[labelMover] == "true" {
		return slices.ContainsFunc(pod.Status.ContainerStatuses, running)
	}
	return slices.ContainsFunc(pod.Status.InitContainerStatuses, func(s corev1.ContainerStatus) bool { return isWait(s.Name) && running(s) })
}

func isWait(container string) bool {
	return container == waitContainer || container == waitContainerBefore
}

func hasWait(pod *corev1.Pod) bool {
	return slices.ContainsFunc(pod.Spec.InitContainers, func(c corev1.Container) bool { return isWait(c.Name) })
}

// owner: a Restore that is over waits for nothing.
func (r *restores) owner(ctx context.Context, o order) (bool, error) {
	name := o.object().GetLabels()[velerov1.LabelRestoreName]
	if name == "" {
		return true, nil // ordered by hand
	}
	var restore velerov1.Restore
	err := r.Live.Get(ctx, client.ObjectKey{Namespace: r.Namespace, Name: name}, &restore)
	switch {
	case apierrors.IsNotFound(err):
		return true, nil // a label may have no room for the name
	case err != nil:
		return false, err
	}
	return restore.Status.Phase == velerov1.RestorePhaseInProgress || restore.UID != types.UID(o.object().GetLabels()[velerov1.LabelRestoreUID]), nil
}

// work fills the volume. What was in it and is not in the snapshot stays.
func (r *restores) work(ctx context.Context, o order, p *progress) (out outcome, err error) {
	restore := o.object().(*velerov1.PodVolumeRestore)
	pod, err := r.running(ctx, o.pod())
	if err != nil {
		return out, err
	}
	folder, err := r.open(ctx, pod, o.volume())
	if err != nil {
		return out, err
	}
	defer folder.Close()
	bucket, passwords, err := r.repositories.bucket(ctx, restore.Spec.BackupStorageLocation)
	if err != nil {
		return out, err
	}
	cache, err := os.MkdirTemp(r.repositories.cache, "restore-")
	if err != nil {
		return out, err
	}
	defer os.RemoveAll(cache)
	limit := r.repositories.cacheLimit(ctx, restore.Spec.BackupStorageLocation, restore.Spec.SourceNamespace)
	reader := &volume.Reader{Bucket: bucket, Passwords: passwords, Cache: cache, Limit: limit}
	defer reader.Close(context.WithoutCancel(ctx))
	tree, err := reader.Open(ctx, volume.Volume{
		Namespace:  restore.Spec.SourceNamespace,
		Uploader:   cmp.Or(restore.Spec.UploaderType, "restic"), // there was no other, once
		SnapshotID: restore.Spec.SnapshotID,
	})
	if fail.Is(err, fail.NotFound) {
		return out, fmt.Errorf("%w: compare the bucket and the prefix of location %s with those of the backup; what was deleted comes back from the bucket's versions, or from a copy of it",
			err, restore.Spec.BackupStorageLocation)
	}
	if err != nil {
		return out, err
	}
	done := &transfer.Progress{Totals: true}
	p.follow(func() (int64, int64) { return done.Passed.Load(), max(done.Bytes.Load(), restore.Spec.SnapshotSize) })
	stats, err := transfer.Restore(ctx, transfer.Snapshot{Tree: tree}, folder.path(), transfer.Options{Devices: true}, done)
	out.bytes = done.Passed.Load()
	if err != nil {
		return out, folder.explain(err)
	}
	if stats.Failed > 0 {
		return out, problems("restored", stats.Failed, stats.Problems)
	}
	out.note = warning(o, stats, tree.Keeps().Lost)
	if hasWait(pod) {
		return out, markDone(folder, restoreUID(restore))
	}
	return out, nil
}

// warning is what a volume that was filled is not as it was; empty if it is.
func warning(o order, stats transfer.Stats, lost error) string {
	var all []string
	switch {
	case stats.Unowned && os.Geteuid() == 0:
		all = append(all, "owners were not restored: its file system refuses to set them, as a share does that takes root for nobody (no_root_squash lets it)")
	case stats.Unowned:
		all = append(all, "owners were not restored: the agent does not run as root")
	}
	if stats.Dropped > 0 {
		all = append(all, fmt.Sprintf("its file system did not keep owner or mode of %d files (%s)", stats.Dropped, stats.FirstDropped))
	}
	if stats.Bare > 0 {
		all = append(all, fmt.Sprintf("its file system has no place for extended attributes, or ACLs, of %d files (%s)", stats.Bare, stats.FirstBare))
	}
	if lost != nil {
		all = append(all, "attributes, hard links and special files were not restored: "+lost.Error())
	}
	if len(all) == 0 {
		return ""
	}
	return place(o) + ": " + strings.Join(all, "; ")
}

// ofFile is how the readers of repositories begin what they say of a file.
var ofFile = regexp.MustCompile(`^read (?:file|folder) "(?:[^"\\]|\\.)*": `)

// problems is the error about files of a volume: each cause once, a pack that is lost most often, with the first of the files that it concerns.
func problems(what string, count int64, some []transfer.Problem) error {
	const mostCauses, mostFiles = 4, 3
	files := map[string][]string{}
	var causes, list []string
	for _, p := range some {
		cause := ofFile.ReplaceAllString(p.Text, "")
		if files[cause] == nil {
			causes = append(causes, cause)
		}
		files[cause] = append(files[cause], p.Path)
	}
	slices.SortStableFunc(causes, func(a, b string) int { return len(files[b]) - len(files[a]) })
	left := count
	for _, cause := range causes[:min(len(causes), mostCauses)] {
		names := files[cause]
		left -= int64(len(names))
		text := cause + ": " + strings.Join(names[:min(len(names), mostFiles)], ", ")
		if more := len(names) - mostFiles; more > 0 {
			text += fmt.Sprintf(" and %d more", more)
		}
		list = append(list, text)
	}
	if left > 0 {
		list = append(list, fmt.Sprintf("and %d more", left))
	}
	return fail.Errorf(fail.Corrupt, "%d files were not %s, the others were: %s", count, what, strings.Join(list, "; "))
}

// restoreUID is what the helper was told.
func restoreUID(o *velerov1.PodVolumeRestore) string {
	if uid := o.Labels[velerov1.LabelRestoreUID]; uid != "" {
		return uid
	}
	if owner := metav1.GetControllerOf(o); owner != nil {
		return string(owner.UID)
	}
	return ""
}

// tidy removes the mark once the helper has ended: as nobody it often may not remove what root has made.
func (r *restores) tidy(ctx context.Context, o order) error {
	pod, err := r.pod(ctx, o.pod())
	if err != nil || pod == nil || over(pod) || o.status().phase != completed {
		return err
	}
	ended := func(s corev1.ContainerStatus) bool { return isWait(s.Name) && s.State.Terminated != nil }
	if !slices.ContainsFunc(pod.Status.InitContainerStatuses, ended) {
		return nil
	}
	folder, err := r.open(ctx, pod, o.volume())
	if err != nil {
		return nil // the volume has gone with its pod
	}
	defer folder.Close()
	unmark(folder, restoreUID(o.object().(*velerov1.PodVolumeRestore)), r.Now())
	return nil
}
