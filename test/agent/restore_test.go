// SPDX-License-Identifier: Apache-2.0

package agent

import (
	"os"
	"path/filepath"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	velerov1 "hozon.dev/hozon/api/velero/v1"
	"hozon.dev/hozon/internal/cluster/clustertest"
	"hozon.dev/hozon/internal/vault/vaulttest"
)

// fixture makes the location hold a bucket of the reference data, which is only read.
func (w *world) fixture(name string) {
	w.t.Helper()
	root := w.t.TempDir()
	if err := os.Symlink(filepath.Join(vaulttest.Fixtures(w.t), name, "bucket"), filepath.Join(root, "bucket")); err != nil {
		w.t.Fatal(err)
	}
	w.location(name, root)
}

// waitingPod is a restored pod: Velero's helper, ours, waits in front of its containers.
func (w *world) waitingPod(name string, restore types.UID, user int64, volumes ...corev1.Volume) *corev1.Pod {
	pod := w.pod(name, volumes...)
	no := false
	wait := corev1.Container{
		Name: "restore-wait", Image: helperImage, ImagePullPolicy: corev1.PullNever, Command: []string{"/velero-restore-helper"}, Args: []string{string(restore)},
		SecurityContext: &corev1.SecurityContext{RunAsUser: &user, AllowPrivilegeEscalation: &no, Capabilities: &corev1.Capabilities{Drop: []corev1.Capability{"ALL"}}},
	}
	for _, v := range volumes {
		wait.VolumeMounts = append(wait.VolumeMounts, corev1.VolumeMount{Name: v.Name, MountPath: "/restores/" + v.Name})
	}
	pod.Spec.InitContainers = []corev1.Container{wait}
	return pod
}

// mover is a pod that does nothing but hold volumes.
func (w *world) mover(name string, volumes ...corev1.Volume) *corev1.Pod {
	pod := w.pod(name, volumes...)
	pod.Labels = map[string]string{"hozon.dev/mover": "true"}
	return pod
}

func (w *world) restore(name string, pod *corev1.Pod, volume string, spec velerov1.PodVolumeRestoreSpec) *velerov1.PodVolumeRestore {
	w.t.Helper()
	spec.Pod, spec.Volume = ref(pod), volume
	r := &velerov1.PodVolumeRestore{ObjectMeta: metav1.ObjectMeta{Namespace: w.ns, Name: name, Labels: labels("uid-of-restore")}, Spec: spec}
	w.create(r)
	return r
}

// TestRestoreFixtures brings volumes that real Velero saved, by kopia and by restic, into real pods: one that waits in an init container, and a mover.
func TestRestoreFixtures(t *testing.T) {
	w := newWorld(t)
	w.fixture("fsbackup")
	w.fixture("restic")
	w.agent()

	waiting := w.waitingPod("waiting", "uid-of-restore", 1000, emptyDir("scratch"), emptyDir("tmp"))
	w.create(waiting)
	scratch := w.restore("scratch", waiting, "scratch", velerov1.PodVolumeRestoreSpec{
		BackupStorageLocation: "fsbackup", UploaderType: "kopia", SourceNamespace: "files", SnapshotID: snapshotOf(t, "fsbackup", "files-1", "scratch"), SnapshotSize: 1,
	})
	tmp := w.restore("tmp", waiting, "tmp", velerov1.PodVolumeRestoreSpec{
		BackupStorageLocation: "fsbackup", UploaderType: "kopia", SourceNamespace: "files", SnapshotID: snapshotOf(t, "fsbackup", "files-1", "tmp"),
	})
	for _, r := range []*velerov1.PodVolumeRestore{scratch, tmp} {
		r = w.restored(r)
		w.wantCompleted(string(r.Status.Phase), r.Status.Message)
		if s := r.Status; s.Node != clustertest.NodeName || s.StartTimestamp == nil || s.AcceptedTimestamp == nil || s.Progress.BytesDone == 0 || s.Progress.BytesDone != s.Progress.TotalBytes {
			t.Errorf("status of %s: %+v", r.Name, s)
		}
	}
	w.running(waiting)
	for volume, list := range map[string]string{"scratch": "files-1-scratch", "tmp": "files-1-tmp"} {
		path := w.in(waiting, onDisk, volume)
		w.gone(filepath.Join(path, ".velero"))
		vaulttest.Compare(t, vaulttest.Disk(t, path), vaulttest.Kopia(vaulttest.List(t, "fsbackup/files/"+list+".json.gz")))
	}

	pv := w.localClaim("wine")
	mover := w.start(w.mover("mover", claimed("v", "wine")))
	wine := w.restored(w.restore("wine", mover, "v", velerov1.PodVolumeRestoreSpec{
		BackupStorageLocation: "restic", UploaderType: "restic", SourceNamespace: "cellar", SnapshotID: snapshotOf(t, "restic", "cellar-0301", "wine"),
		RepoIdentifier: "s3:http://gone.example.com/restic/cellar",
	}))
	w.wantCompleted(string(wine.Status.Phase), wine.Status.Message)
	vaulttest.Compare(t, vaulttest.Disk(t, w.in(mover, local, pv)), vaulttest.List(t, "restic/files/cellar-0301-wine.json.gz"))
}

// TestKillRestore: an agent that is killed while it fills a volume is followed by one that goes on, and the volume is whole.
func TestKillRestore(t *testing.T) {
	w := newWorld(t)
	w.repository(standard)
	agent := w.agent()
	pod := w.start(w.pod("app", emptyDir("disk")))
	source := w.in(pod, onDisk, "disk")
	fill(t, source, 400, 1<<20)
	b := w.saved(w.backup("b", pod, "disk", ""))
	w.wantCompleted(string(b.Status.Phase), b.Status.Message)
	mover := w.start(w.mover("mover", emptyDir("disk")))
	r := w.restoreOf("killed", b, mover, "disk")
	await(w, r, func(r *velerov1.PodVolumeRestore) bool {
		return r.Status.Phase == velerov1.PodVolumeRestorePhaseInProgress
	})
	agent.Kill()
	w.agent()
	r = w.restored(r)
	w.wantCompleted(string(r.Status.Phase), r.Status.Message)
	if r.Annotations[velerov1.AnnotationAttempt] != "2" {
		t.Errorf("annotations: %v", r.Annotations)
	}
	vaulttest.Compare(t, vaulttest.Disk(t, w.in(mover, onDisk, "disk")), vaulttest.Disk(t, source))

	// Called off: what was filled stays.
	cancelled := w.restoreOf("cancelled", b, w.start(w.mover("second", emptyDir("disk"))), "disk")
	await(w, cancelled, func(r *velerov1.PodVolumeRestore) bool {
		return r.Status.Phase == velerov1.PodVolumeRestorePhaseInProgress
	})
	if err := w.client.Patch(t.Context(), cancelled, client.RawPatch("application/merge-patch+json", []byte(`{"spec":{"cancel":true}}`))); err != nil {
		t.Fatal(err)
	}
	if cancelled = w.restored(cancelled); cancelled.Status.Phase != velerov1.PodVolumeRestorePhaseCanceled {
		t.Errorf("%+v", cancelled.Status)
	}
}
