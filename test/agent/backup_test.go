// SPDX-License-Identifier: Apache-2.0

package agent

import (
	"context"
	"crypto/rand"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/watch"
	"sigs.k8s.io/controller-runtime/pkg/client"

	velerov1 "hozon.dev/hozon/api/velero/v1"
	"hozon.dev/hozon/internal/blob/dir"
	"hozon.dev/hozon/internal/cluster/clustertest"
	"hozon.dev/hozon/internal/vault"
	"hozon.dev/hozon/internal/vault/vaulttest"
	"hozon.dev/hozon/internal/volume"
)

// repository makes the repository of the pods' namespace, as the server does before it orders anything.
func (w *world) repository(password string) {
	w.t.Helper()
	b, err := dir.Open(w.bucket, false)
	if err != nil {
		w.t.Fatal(err)
	}
	r, err := volume.Ensure(w.t.Context(), b, w.app, []string{password})
	if err != nil {
		w.t.Fatal(err)
	}
	if err := r.Close(w.t.Context()); err != nil {
		w.t.Fatal(err)
	}
}

const standard = "static-passw0rd"

// order is a PodVolumeBackup as the server makes it.
func (w *world) order(name string, pod *corev1.Pod, volume, claim string) *velerov1.PodVolumeBackup {
	b := &velerov1.PodVolumeBackup{
		ObjectMeta: metav1.ObjectMeta{Namespace: w.ns, Name: name},
		Spec: velerov1.PodVolumeBackupSpec{
			Node: clustertest.NodeName, Pod: ref(pod), Volume: volume, BackupStorageLocation: "default", UploaderType: "kopia",
			Tags: map[string]string{"backup": "b", "ns": w.app, "pod": pod.Name, "volume": volume},
		},
	}
	if claim != "" {
		b.Annotations = map[string]string{"velero.io/pvc-name": claim}
	}
	return b
}

func (w *world) backup(name string, pod *corev1.Pod, volume, claim string) *velerov1.PodVolumeBackup {
	w.t.Helper()
	b := w.order(name, pod, volume, claim)
	w.create(b)
	return b
}

func (w *world) saved(b *velerov1.PodVolumeBackup) *velerov1.PodVolumeBackup {
	w.t.Helper()
	return await(w, b, func(b *velerov1.PodVolumeBackup) bool { return b.Status.CompletionTimestamp != nil })
}

func (w *world) restoreOf(name string, b *velerov1.PodVolumeBackup, pod *corev1.Pod, volume string) *velerov1.PodVolumeRestore {
	w.t.Helper()
	return w.restore(name, pod, volume, velerov1.PodVolumeRestoreSpec{
		BackupStorageLocation: "default", UploaderType: "kopia", SourceNamespace: b.Spec.Pod.Namespace, SnapshotID: b.Status.SnapshotID,
	})
}

// memory is an emptyDir that something is mounted at.
func memory(name string) corev1.Volume {
	return corev1.Volume{Name: name, VolumeSource: corev1.VolumeSource{EmptyDir: &corev1.EmptyDirVolumeSource{Medium: corev1.StorageMediumMemory}}}
}

const tmpfs = onDisk // the kubelet has both in one place

// TestRoundTrip saves volumes of every kind that there is here, saves one again, and brings them into volumes of another pod.
func TestRoundTrip(t *testing.T) {
	w := newWorld(t)
	w.repository(standard)
	w.agent()
	pv := w.localClaim("data")
	pod := w.start(w.pod("app", emptyDir("disk"), memory("ram"), claimed("data", "data"), emptyDir("nothing")))
	source := map[string]string{"disk": w.in(pod, onDisk, "disk"), "ram": w.in(pod, tmpfs, "ram"), "data": w.in(pod, local, pv), "nothing": w.in(pod, onDisk, "nothing")}
	for name, folder := range source {
		if name != "nothing" {
			odd(t, folder)
		}
	}
	done := map[string]*velerov1.PodVolumeBackup{}
	for name := range source {
		claim := ""
		if name == "data" {
			claim = "data"
		}
		b := w.saved(w.backup(name, pod, name, claim))
		w.wantCompleted(string(b.Status.Phase), b.Status.Message)
		s := b.Status
		if s.SnapshotID == "" || s.StartTimestamp == nil || s.AcceptedTimestamp == nil || !strings.HasSuffix(s.Path, "/"+filepath.Base(source[name])) || s.Progress.BytesDone != s.Progress.TotalBytes ||
			name != "nothing" && (s.Progress.TotalBytes == 0 || s.IncrementalBytes == 0) {
			t.Errorf("status of %s: %+v", name, s)
		}
		done[name] = b
	}
	if err := os.WriteFile(filepath.Join(source["data"], "new"), make([]byte, 1000), 0o600); err != nil {
		t.Fatal(err)
	}
	again := w.saved(w.backup("again", pod, "data", "data"))
	w.wantCompleted(string(again.Status.Phase), again.Status.Message)
	if got, first := again.Status.IncrementalBytes, done["data"].Status.IncrementalBytes; got != 1000 {
		t.Errorf("a second backup read %d bytes, the first one %d", got, first)
	}
	done["data"] = again

	target := w.localClaim("copy")
	mover := w.start(w.mover("mover", emptyDir("disk"), memory("ram"), claimed("data", "copy"), emptyDir("nothing")))
	into := map[string]string{"disk": w.in(mover, onDisk, "disk"), "ram": w.in(mover, tmpfs, "ram"), "data": w.in(mover, local, target), "nothing": w.in(mover, onDisk, "nothing")}
	for name, folder := range into {
		r := w.restored(w.restoreOf(name, done[name], mover, name))
		w.wantCompleted(string(r.Status.Phase), r.Status.Message)
		vaulttest.Compare(t, vaulttest.Disk(t, folder), vaulttest.Disk(t, source[name]))
		sameRoot(t, folder, source[name])
	}
}

// TestSoon measures how long it takes until data move.
func TestSoon(t *testing.T) {
	w := newWorld(t)
	w.repository(standard)
	w.agent()
	pod := w.start(w.pod("app", emptyDir("disk")))
	fill(t, w.in(pod, onDisk, "disk"), 8, 1<<20)
	var worst time.Duration
	for n := range 5 {
		b := w.order("soon-"+strconv.Itoa(n), pod, "disk", "")
		begins := time.Now()
		w.create(b)
		await(w, b, func(b *velerov1.PodVolumeBackup) bool { return b.Status.Phase != "" && b.Status.Phase != "New" })
		moving := time.Since(begins)
		end := w.saved(b)
		w.wantCompleted(string(end.Status.Phase), end.Status.Message)
		t.Logf("created → in progress %s, → completed %s", moving.Round(time.Millisecond), time.Since(begins).Round(time.Millisecond))
		worst = max(worst, moving)
	}
	const floor = 3 * time.Second
	if worst > floor {
		t.Errorf("%s until data moved: at most %s", worst, floor)
	}
}

// fill writes files of random bytes.
func fill(t *testing.T, folder string, files, size int) {
	t.Helper()
	data := make([]byte, size)
	for n := range files {
		_, _ = rand.Read(data)
		if err := os.WriteFile(filepath.Join(folder, "file-"+strconv.Itoa(n)), data, 0o644); err != nil {
			t.Fatal(err)
		}
	}
}

// TestBudget: a node that may work on one volume at a time does so, in the order of the orders; what waits says so.
func TestBudget(t *testing.T) {
	w := newWorld(t)
	w.repository(standard)
	w.create(&corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Namespace: w.ns, Name: "budget"}, Data: map[string]string{
		"config": `{"loadConcurrency": {"globalConfig": 9, "perNodeConfig": [{"nodeSelector": {"matchLabels": {"kubernetes.io/hostname": "` + clustertest.NodeName + `"}}, "number": 1}]}}`,
	}})
	w.agent("--node-agent-configmap", "budget")
	pod := w.start(w.pod("app", emptyDir("disk")))
	fill(t, w.in(pod, onDisk, "disk"), 20, 1<<20)
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	events, err := w.client.Watch(ctx, &velerov1.PodVolumeBackupList{}, client.InNamespace(w.ns))
	if err != nil {
		t.Fatal(err)
	}
	defer events.Stop()
	const all = 4
	for n := range all {
		w.backup("b"+strconv.Itoa(n), pod, "disk", "")
	}
	phases, waited := map[string]velerov1.PodVolumeBackupPhase{}, map[string]bool{}
	for e := range events.ResultChan() {
		b, ok := e.Object.(*velerov1.PodVolumeBackup)
		if !ok || e.Type == watch.Deleted {
			continue
		}
		phases[b.Name] = b.Status.Phase
		waited[b.Name] = waited[b.Name] || b.Status.Phase == velerov1.PodVolumeBackupPhaseAccepted
		count := map[velerov1.PodVolumeBackupPhase]int{}
		for _, p := range phases {
			count[p]++
		}
		if count[velerov1.PodVolumeBackupPhaseInProgress] > 1 {
			t.Fatalf("two at a time: %v", phases)
		}
		if count[velerov1.PodVolumeBackupPhaseCompleted] == all {
			break
		}
	}
	if len(phases) != all || len(waited) == 0 || !waited["b3"] {
		t.Errorf("%v, waited %v", phases, waited)
	}
}

// TestCancel: what is under way stops, what waits never begins, and the repository goes on working.
func TestCancel(t *testing.T) {
	w := newWorld(t)
	w.repository(standard)
	w.create(&corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Namespace: w.ns, Name: "budget"}, Data: map[string]string{"c": `{"loadConcurrency": {"globalConfig": 1}}`}})
	w.agent("--node-agent-configmap", "budget")
	pod := w.start(w.pod("app", emptyDir("disk"), emptyDir("small")))
	fill(t, w.in(pod, onDisk, "disk"), 1000, 1<<20)
	running, waiting, next := w.backup("running", pod, "disk", ""), w.backup("waiting", pod, "disk", ""), w.backup("next", pod, "small", "")
	await(w, running, func(b *velerov1.PodVolumeBackup) bool {
		return b.Status.Phase == velerov1.PodVolumeBackupPhaseInProgress
	})
	await(w, waiting, func(b *velerov1.PodVolumeBackup) bool { return b.Status.Phase == velerov1.PodVolumeBackupPhaseAccepted })
	for _, b := range []*velerov1.PodVolumeBackup{waiting, running} {
		if err := w.client.Patch(t.Context(), b, client.RawPatch("application/merge-patch+json", []byte(`{"spec":{"cancel":true}}`))); err != nil {
			t.Fatal(err)
		}
	}
	for _, b := range []*velerov1.PodVolumeBackup{running, waiting} {
		end := w.saved(b)
		if end.Status.Phase != velerov1.PodVolumeBackupPhaseCanceled || end.Status.SnapshotID != "" {
			t.Errorf("%s: %+v", b.Name, end.Status)
		}
	}
	end := w.saved(next)
	w.wantCompleted(string(end.Status.Phase), end.Status.Message)
}

// TestTwin: an agent that died after it had saved a volume, and before it said so, has left a snapshot that nobody knows. The next one removes it, and no other.
func TestTwin(t *testing.T) {
	w := newWorld(t)
	w.repository(standard)
	pod := w.start(w.pod("app", emptyDir("disk")))
	folder := w.in(pod, onDisk, "disk")
	fill(t, folder, 3, 1000)
	b := w.order("left", pod, "disk", "")
	other := w.order("other", pod, "disk", "")
	other.Spec.Tags["backup"] = "another"
	bucket, err := dir.Open(w.bucket, false)
	if err != nil {
		t.Fatal(err)
	}
	save := func(of *velerov1.PodVolumeBackup) string {
		t.Helper()
		r, err := volume.OpenWrite(t.Context(), bucket, w.app, []string{standard}, "")
		if err != nil {
			t.Fatal(err)
		}
		saved, err := r.Save(t.Context(), folder, vault.Source{Namespace: w.app, Pod: pod.Name, Volume: "disk", Tags: of.Spec.Tags}, vault.SaveOptions{})
		if err == nil {
			err = r.Close(t.Context())
		}
		if err != nil {
			t.Fatal(err)
		}
		return saved.Snapshot.ID
	}
	older := save(b)                    // by somebody who orders by hand, with the same tags
	time.Sleep(1100 * time.Millisecond) // times of objects are whole seconds
	w.create(b)
	of := save(other)
	twin := save(b)
	b.Annotations = map[string]string{velerov1.AnnotationAttempt: "1", velerov1.AnnotationRun: "of one that is gone"}
	b.Status.Phase = velerov1.PodVolumeBackupPhaseInProgress
	if err := w.client.Update(t.Context(), b); err != nil {
		t.Fatal(err)
	}
	w.agent()
	end := w.saved(b)
	w.wantCompleted(string(end.Status.Phase), end.Status.Message)
	r, err := volume.Open(t.Context(), bucket, w.app, []string{standard})
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close(t.Context())
	all, err := r.Snapshots(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	got := map[string]bool{}
	for _, s := range all {
		got[s.ID] = true
	}
	if len(got) != 3 || !got[older] || !got[of] || !got[end.Status.SnapshotID] || got[twin] || end.Annotations[velerov1.AnnotationAttempt] != "2" {
		t.Errorf("there are %v, older %s, of another backup %s, twin %s, attempt %s: %s", got, older, of, twin, end.Annotations[velerov1.AnnotationAttempt], end.Status.SnapshotID)
	}
}

// TestKill: an agent that is killed in the middle is followed by one that does it again; the third death is the last.
func TestKill(t *testing.T) {
	w := newWorld(t)
	w.repository(standard)
	agent := w.agent()
	pod := w.start(w.pod("app", emptyDir("disk")))
	fill(t, w.in(pod, onDisk, "disk"), 600, 1<<20)
	b := w.backup("killed", pod, "disk", "")
	begun := func(b *velerov1.PodVolumeBackup) bool {
		return b.Status.Phase == velerov1.PodVolumeBackupPhaseInProgress
	}
	await(w, b, begun)
	agent.Kill()
	agent = w.agent()
	end := w.saved(b)
	w.wantCompleted(string(end.Status.Phase), end.Status.Message)
	if end.Annotations[velerov1.AnnotationAttempt] != "2" {
		t.Errorf("annotations: %v", end.Annotations)
	}

	doomed := w.backup("doomed", pod, "disk", "other") // another source: nothing is there yet
	for attempt := 1; attempt <= 3; attempt++ {
		number := strconv.Itoa(attempt)
		await(w, doomed, func(b *velerov1.PodVolumeBackup) bool {
			return begun(b) && b.Annotations[velerov1.AnnotationAttempt] == number
		})
		agent.Kill()
		agent = w.agent()
	}
	end = w.saved(doomed)
	if end.Status.Phase != velerov1.PodVolumeBackupPhaseFailed {
		t.Fatalf("%+v", end.Status)
	}
	contains(t, end.Status.Message, "volume disk of pod", "ended three times")

	// Stopped in peace: what it was at is not counted against anybody.
	calm := w.backup("calm", pod, "disk", "third")
	await(w, calm, begun)
	agent.Stop(20 * time.Second)
	w.agent()
	end = w.saved(calm)
	w.wantCompleted(string(end.Status.Phase), end.Status.Message)
	if end.Annotations[velerov1.AnnotationAttempt] != "1" {
		t.Errorf("annotations: %v", end.Annotations)
	}
}
