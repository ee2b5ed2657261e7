// SPDX-License-Identifier: Apache-2.0

package agent

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	velerov1 "hozon.dev/hozon/api/velero/v1"
	"hozon.dev/hozon/internal/vault/vaulttest"
)

func hostPath(name, path string) corev1.Volume {
	return corev1.Volume{Name: name, VolumeSource: corev1.VolumeSource{HostPath: &corev1.HostPathVolumeSource{Path: path}}}
}

// TestBad: what cannot be saved ends at once, with what is to be done about it, and what can be goes on.
func TestBad(t *testing.T) {
	w := newWorld(t)
	w.agent()
	host := t.TempDir()
	settings := corev1.Volume{Name: "settings", VolumeSource: corev1.VolumeSource{ConfigMap: &corev1.ConfigMapVolumeSource{LocalObjectReference: corev1.LocalObjectReference{Name: "settings"}}}}
	w.create(&corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Namespace: w.app, Name: "settings"}})
	pod := w.start(w.pod("app", emptyDir("disk"), settings, hostPath("host", host)))
	fill(t, w.in(pod, onDisk, "disk"), 1, 1000)
	fails := func(b *velerov1.PodVolumeBackup, wants ...string) {
		t.Helper()
		end := w.saved(b)
		if end.Status.Phase != velerov1.PodVolumeBackupPhaseFailed || end.Status.SnapshotID != "" {
			t.Errorf("%s: %+v", b.Name, end.Status)
		}
		contains(t, end.Status.Message, append(wants, "volume "+b.Spec.Volume+" of pod "+w.app+"/app")...)
	}
	fails(w.backup("no-repository", pod, "disk", ""), "there is none", "get backuprepositories")

	w.repository("another")
	fails(w.backup("settings", pod, "settings", ""), "a ConfigMap")
	fails(w.backup("host", pod, "host", ""), "--node-agent-host-root", host)
	fails(w.backup("nothing", pod, "nothing", ""), `no volume "nothing"`)
	replaced := w.order("replaced", pod, "disk", "")
	replaced.Spec.Pod.UID = "11111111-2222-3333-4444-555555555555"
	w.create(replaced)
	fails(replaced, "replaced by another one of its name")
	old := w.order("restic", pod, "disk", "")
	old.Spec.UploaderType = "restic"
	w.create(old)
	fails(old, "saved by kopia", "restic are only read")
	elsewhere := w.order("elsewhere", pod, "disk", "")
	elsewhere.Spec.BackupStorageLocation = "nowhere"
	w.create(elsewhere)
	fails(elsewhere, "backup storage location nowhere not found")
	odd := w.order("parallel", pod, "disk", "")
	odd.Spec.UploaderSettings = map[string]string{"ParallelFilesUpload": "many"}
	w.create(odd)
	fails(odd, `ParallelFilesUpload "many"`)

	// The location keeps the password of what was made with another one; without it nobody knows it.
	good := w.saved(w.backup("good", pod, "disk", ""))
	w.wantCompleted(string(good.Status.Phase), good.Status.Message)
	if err := os.Remove(filepath.Join(w.bucket, "metadata/hozon/repo-key")); err != nil {
		t.Fatal(err)
	}
	fails(w.backup("password", pod, "disk", ""), "password is wrong", "velero-repo-credentials")
	w.create(&corev1.Secret{ObjectMeta: metav1.ObjectMeta{Namespace: w.ns, Name: "velero-repo-credentials"}, Data: map[string][]byte{"repository-password": []byte("another")}})
	good = w.saved(w.backup("good-again", pod, "disk", ""))
	w.wantCompleted(string(good.Status.Phase), good.Status.Message)
	for _, m := range []string{"another", standard} {
		if strings.Contains(w.saved(&velerov1.PodVolumeBackup{ObjectMeta: metav1.ObjectMeta{Namespace: w.ns, Name: "password"}}).Status.Message, m) {
			t.Errorf("a password is in the message")
		}
	}

	// A volume that is too small: it is said, what fits stays, and the next one is filled.
	fill(t, w.in(pod, onDisk, "disk"), 8, 1<<20)
	big := w.saved(w.backup("big", pod, "disk", ""))
	w.wantCompleted(string(big.Status.Phase), big.Status.Message)
	small := memory("small")
	size := resource.MustParse("3Mi")
	small.EmptyDir.SizeLimit = &size
	mover := w.start(w.mover("mover", small, emptyDir("large")))
	r := w.restored(w.restoreOf("small", big, mover, "small"))
	if r.Status.Phase != velerov1.PodVolumeRestorePhaseFailed {
		t.Errorf("%+v", r.Status)
	}
	contains(t, r.Status.Message, "volume small of pod", "no space left on device", "make room")
	if strings.Contains(r.Status.Message, "/proc/self") {
		t.Errorf("message: %s", r.Status.Message)
	}
	r = w.restored(w.restoreOf("large", big, mover, "large"))
	w.wantCompleted(string(r.Status.Phase), r.Status.Message)
	vaulttest.Compare(t, vaulttest.Disk(t, w.in(mover, onDisk, "large")), vaulttest.Disk(t, w.in(pod, onDisk, "disk")))
	r = w.restore("unknown", mover, "large", velerov1.PodVolumeRestoreSpec{BackupStorageLocation: "default", UploaderType: "kopia", SourceNamespace: w.app, SnapshotID: "0123456789abcdef"})
	if r = w.restored(r); r.Status.Phase != velerov1.PodVolumeRestorePhaseFailed {
		t.Errorf("%+v", r.Status)
	}
	contains(t, r.Status.Message, "0123456789abcdef")
}

// TestGone: a pod that goes while its volume is worked on ends the work; an object that is deleted does too, and leaves nothing.
func TestGone(t *testing.T) {
	w := newWorld(t)
	w.repository(standard)
	w.agent()
	pod, other := w.start(w.pod("app", emptyDir("disk"))), w.start(w.pod("other", emptyDir("disk")))
	fill(t, w.in(pod, onDisk, "disk"), 1000, 1<<20)
	fill(t, w.in(other, onDisk, "disk"), 1, 1000)
	begun := func(b *velerov1.PodVolumeBackup) bool {
		return b.Status.Phase == velerov1.PodVolumeBackupPhaseInProgress
	}
	deleted := w.backup("deleted", pod, "disk", "")
	await(w, deleted, begun)
	if err := w.client.Delete(t.Context(), deleted); err != nil {
		t.Fatal(err)
	}
	b := w.backup("pod-gone", pod, "disk", "")
	await(w, b, begun)
	if err := w.client.Delete(t.Context(), pod); err != nil {
		t.Fatal(err)
	}
	end := w.saved(b)
	if end.Status.Phase != velerov1.PodVolumeBackupPhaseFailed {
		t.Errorf("%+v", end.Status)
	}
	good := w.saved(w.backup("good", other, "disk", ""))
	w.wantCompleted(string(good.Status.Phase), good.Status.Message)
}

// TestHostPath: an agent that sees its node's root takes hostPath volumes; links stay within that root.
func TestHostPath(t *testing.T) {
	w := newWorld(t)
	w.repository(standard)
	host := t.TempDir()
	link := filepath.Join(t.TempDir(), "link")
	if err := os.Symlink(host, link); err != nil {
		t.Fatal(err)
	}
	fill(t, host, 3, 1000)
	w.agent("--host-root-path", w.NodeRoot())
	pod := w.start(w.pod("app", hostPath("host", link)))
	b := w.saved(w.backup("host", pod, "host", ""))
	w.wantCompleted(string(b.Status.Phase), b.Status.Message)
	mover := w.start(w.mover("mover", emptyDir("disk")))
	r := w.restored(w.restoreOf("host", b, mover, "disk"))
	w.wantCompleted(string(r.Status.Phase), r.Status.Message)
	vaulttest.Compare(t, vaulttest.Disk(t, w.in(mover, onDisk, "disk")), vaulttest.Disk(t, host))
}
