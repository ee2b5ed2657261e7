// SPDX-License-Identifier: Apache-2.0

package server

import (
	"context"
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	velerov1 "hozon.dev/hozon/api/velero/v1"
	"hozon.dev/hozon/internal/store"
	"hozon.dev/hozon/test/daemon"
)

// disks are the volumes of the test's plugin, below a folder, and the world that has them.
type disks struct {
	*world
	root    string
	plugins string
}

// newDisks has a snapshot location "disks", whose plugin is written on Velero's framework.
func newDisks(t *testing.T) *disks {
	t.Helper()
	if testing.Short() {
		t.Skip("it builds a plugin")
	}
	path, err := daemon.Build(t.Context(), "tools/build", "test/plugin/program", ".", "velero-plugin-example")
	if err != nil {
		t.Fatal(err)
	}
	d := &disks{newWorld(t), t.TempDir(), filepath.Dir(path)}
	d.create(&velerov1.VolumeSnapshotLocation{
		ObjectMeta: d.meta("disks"),
		Spec:       velerov1.VolumeSnapshotLocationSpec{Provider: "example.test/disk", Config: map[string]string{"root": d.root}},
	})
	return d
}

func (d *disks) start() *daemon.Process { return d.serve("--plugin-dir", d.plugins) }

// volume makes a volume with a file in it, and a claim that is bound to it.
func (d *disks) volume(name, handle string, source corev1.PersistentVolumeSource) *corev1.PersistentVolume {
	d.t.Helper()
	folder := filepath.Join(d.root, "volumes", handle)
	if err := os.MkdirAll(folder, 0o700); err != nil {
		d.t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(folder, "data"), []byte("of "+handle), 0o600); err != nil {
		d.t.Fatal(err)
	}
	size := corev1.ResourceList{corev1.ResourceStorage: resource.MustParse("1Gi")}
	none := ""
	pv := &corev1.PersistentVolume{
		ObjectMeta: metav1.ObjectMeta{Name: d.app + "-" + name, Labels: map[string]string{"topology.kubernetes.io/zone": "north-1"}},
		Spec: corev1.PersistentVolumeSpec{
			Capacity: size, AccessModes: []corev1.PersistentVolumeAccessMode{corev1.ReadWriteOnce}, PersistentVolumeSource: source,
			PersistentVolumeReclaimPolicy: corev1.PersistentVolumeReclaimDelete,
			ClaimRef:                      &corev1.ObjectReference{Namespace: d.app, Name: name},
		},
	}
	d.create(pv)
	d.t.Cleanup(func() { d.dropVolume(pv.Name) })
	d.create(&corev1.PersistentVolumeClaim{
		ObjectMeta: metav1.ObjectMeta{Namespace: d.app, Name: name},
		Spec: corev1.PersistentVolumeClaimSpec{
			AccessModes: pv.Spec.AccessModes, Resources: corev1.VolumeResourceRequirements{Requests: size}, VolumeName: pv.Name, StorageClassName: &none,
		},
	})
	return pv
}

func (d *disks) disk(name, handle string) *corev1.PersistentVolume {
	d.t.Helper()
	return d.volume(name, handle, corev1.PersistentVolumeSource{CSI: &corev1.CSIPersistentVolumeSource{Driver: "disk.example.test", VolumeHandle: handle}})
}

// drop deletes an object whose finalizers nobody is there to see to.
func (d *disks) drop(o client.Object) {
	ctx := context.WithoutCancel(d.t.Context())
	_ = d.client.Delete(ctx, o)
	_ = d.client.Patch(ctx, o, client.RawPatch(types.MergePatchType, []byte(`{"metadata":{"finalizers":null}}`)))
}

func (d *disks) dropVolume(name string) {
	d.drop(&corev1.PersistentVolume{ObjectMeta: metav1.ObjectMeta{Name: name}})
}

// bound is the name of the volume that a claim is bound to.
func (d *disks) bound(namespace, name string) string {
	d.t.Helper()
	claim := &corev1.PersistentVolumeClaim{ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: name}}
	d.get(claim)
	return claim.Spec.VolumeName
}

// holds looks at what is in the volume that a claim is bound to, and returns its handle.
func (d *disks) holds(namespace, name, want string) string {
	d.t.Helper()
	pv := &corev1.PersistentVolume{ObjectMeta: metav1.ObjectMeta{Name: d.bound(namespace, name)}}
	d.get(pv)
	handle := pv.Spec.CSI.VolumeHandle
	got, err := os.ReadFile(filepath.Join(d.root, "volumes", handle, "data"))
	if err != nil || string(got) != want {
		d.t.Errorf("volume %s of %s/%s holds %q, want %q: %v", handle, namespace, name, got, want, err)
	}
	return handle
}

// listed reads a list out of the files of a backup or restore.
func listed[T any](w *world, kind velerov1.DownloadTargetKind, name string) []T {
	w.t.Helper()
	var all []T
	if err := json.Unmarshal([]byte(w.download(kind, name)), &all); err != nil {
		w.t.Fatal(err)
	}
	return all
}

// TestServerSnapshots takes native snapshots by a plugin, restores from them beside the volume that is there and in its place, and deletes them.
func TestServerSnapshots(t *testing.T) {
	d := newDisks(t)
	pv := d.disk("good", "v1")
	d.volume("other", "v2", corev1.PersistentVolumeSource{NFS: &corev1.NFSVolumeSource{Server: "nfs.example.test", Path: "/"}})
	d.start()
	b := d.backup("a")
	b.Labels = map[string]string{"team": "a"}
	d.create(b)
	b = d.awaitBackup("a", velerov1.BackupPhaseCompleted)
	if b.Status.VolumeSnapshotsAttempted != 1 || b.Status.VolumeSnapshotsCompleted != 1 || b.Status.Warnings != 1 {
		t.Errorf("status %+v", b.Status)
	}
	if results := d.download(velerov1.DownloadTargetKindBackupResults, "a"); !strings.Contains(results, "other") || !strings.Contains(results, "no volume snapshot location of the backup (disks) knows it") {
		t.Errorf("no warning about the volume that nobody knows: %s", results)
	}
	iops := int64(300)
	want := store.Snapshot{
		Spec: store.SnapshotSpec{
			BackupName: "a", BackupUID: string(b.UID), Location: "disks", Volume: pv.Name, VolumeID: "v1", VolumeType: "fast", Zone: "north-1", IOPS: &iops,
		},
		Status: store.SnapshotStatus{ID: "snap-v1-a", Phase: store.SnapshotCompleted},
	}
	taken := listed[store.Snapshot](d.world, velerov1.DownloadTargetKindBackupVolumeSnapshots, "a")
	if len(taken) != 1 || toJSON(t, taken[0]) != toJSON(t, want) {
		t.Errorf("snapshots %s, want %s", toJSON(t, taken), toJSON(t, want))
	}
	var tags map[string]string
	if text, err := os.ReadFile(filepath.Join(d.root, "snapshots", "snap-v1-a.tags")); err != nil || json.Unmarshal(text, &tags) != nil ||
		tags["velero.io/backup"] != "a" || tags["velero.io/pv"] != pv.Name || tags["team"] != "a" {
		t.Errorf("tags %v, %v", tags, err)
	}
	d.hozon([]string{"Velero-Native Snapshots:  1 of 1 snapshots completed successfully"}, "backup", "describe", "a")
	d.hozon([]string{pv.Name + ":", "Snapshot ID:        snap-v1-a", "Type:               fast", "Availability Zone:  north-1", "IOPS:               300", "Result:             succeeded"},
		"backup", "describe", "a", "--details")
	d.hozon([]string{"example.test/disk", "VolumeSnapshotter", "example.test/folder", "velero.io/aws"}, "plugin", "get")

	// Beside the volume that is there: a clone under another name.
	d.write("v1", "changed")
	target := d.app + "-r"
	d.create(d.restore("clone", "a", target))
	d.awaitRestore("clone", velerov1.RestorePhaseCompleted)
	if handle := d.holds(target, "good", "of v1"); handle != "from-snap-v1-a" {
		t.Errorf("the clone has the volume %s", handle)
	}
	clone := d.bound(target, "good")
	t.Cleanup(func() { d.dropVolume(clone) })
	if !strings.HasPrefix(clone, "velero-clone-") {
		t.Errorf("the clone's volume is called %s", clone)
	}
	info := listed[store.RestoredVolume](d.world, velerov1.DownloadTargetKindRestoreVolumeInfo, "clone")
	if len(info) != 1 || info[0].PVName != clone || info[0].PVCNamespace != target || info[0].RestoreMethod != "NativeSnapshot" || info[0].Native.Handle != "snap-v1-a" {
		t.Errorf("volumes of the restore: %s", toJSON(t, info))
	}

	// In its place, after it was lost.
	d.lose("good", pv.Name)
	r := d.restore("again", "a", "")
	r.Spec.NamespaceMapping = nil
	d.create(r)
	d.awaitRestore("again", velerov1.RestorePhaseCompleted)
	if handle := d.holds(d.app, "good", "of v1"); handle != "from-snap-v1-a-2" {
		t.Errorf("the volume is %s", handle)
	}

	// Without volumes: the claim asks for a new one, since the volume's policy is to go with it.
	d.lose("good", pv.Name)
	r = d.restore("without", "a", "")
	r.Spec.NamespaceMapping, r.Spec.RestorePVs = nil, new(false)
	d.create(r)
	d.awaitRestore("without", velerov1.RestorePhaseCompleted)
	if left := d.folders("volumes"); slices.Contains(left, "from-snap-v1-a-3") {
		t.Errorf("volumes: %v", left)
	}

	d.create(d.deletion("d", "a"))
	await(d.world, d.backup("a"), &velerov1.BackupList{}, deleted)
	if left := d.folders("snapshots"); len(left) > 0 {
		t.Errorf("snapshots that were left: %v", left)
	}
}

func (d *disks) write(handle, text string) {
	d.t.Helper()
	if err := os.WriteFile(filepath.Join(d.root, "volumes", handle, "data"), []byte(text), 0o600); err != nil {
		d.t.Fatal(err)
	}
}

// lose deletes a claim and its volume.
func (d *disks) lose(claim, volume string) {
	d.t.Helper()
	d.drop(&corev1.PersistentVolumeClaim{ObjectMeta: metav1.ObjectMeta{Namespace: d.app, Name: claim}})
	d.dropVolume(volume)
	for _, o := range []client.Object{
		&corev1.PersistentVolumeClaim{ObjectMeta: metav1.ObjectMeta{Namespace: d.app, Name: claim}},
		&corev1.PersistentVolume{ObjectMeta: metav1.ObjectMeta{Name: volume}},
	} {
		if err := d.client.Get(d.t.Context(), client.ObjectKeyFromObject(o), o); !apierrors.IsNotFound(err) {
			d.t.Fatalf("%s is still there: %v", o.GetName(), err)
		}
	}
}

func (d *disks) folders(name string) []string {
	d.t.Helper()
	entries, err := os.ReadDir(filepath.Join(d.root, name))
	if err != nil {
		d.t.Fatal(err)
	}
	var names []string
	for _, e := range entries {
		names = append(names, e.Name())
	}
	return names
}

func toJSON(t *testing.T, v any) string {
	t.Helper()
	text, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// TestServerSnapshotTrouble: a plugin that dies, a volume of which no snapshot can be taken, a location whose plugin is not there, and one
// that is gone when its snapshots are to be deleted.
func TestServerSnapshotTrouble(t *testing.T) {
	d := newDisks(t)
	d.disk("good", "v1")
	d.start()
	if err := os.WriteFile(filepath.Join(d.root, "die"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	d.create(d.backup("dies"))
	if b := d.awaitBackup("dies", velerov1.BackupPhaseCompleted); b.Status.VolumeSnapshotsCompleted != 1 {
		t.Errorf("after the plugin died: %+v", b.Status)
	}

	d.create(&velerov1.VolumeSnapshotLocation{ObjectMeta: d.meta("nobodys"), Spec: velerov1.VolumeSnapshotLocationSpec{Provider: "aws"}})
	d.disk("bad", "broken-1")
	d.create(d.backup("broken"))
	b := d.awaitBackup("broken", velerov1.BackupPhasePartiallyFailed)
	if b.Status.VolumeSnapshotsAttempted != 2 || b.Status.VolumeSnapshotsCompleted != 1 || b.Status.Errors != 1 {
		t.Errorf("status %+v", b.Status)
	}
	if results := d.download(velerov1.DownloadTargetKindBackupResults, "broken"); !strings.Contains(results, d.app+"-bad") || !strings.Contains(results, "the disk broken-1 is on fire") {
		t.Errorf("results %s", results)
	}
	d.hozon([]string{"1 of 2 snapshots completed successfully"}, "backup", "describe", "broken")

	// A file of the backup cannot be written: there is no backup, and no snapshot of it is left.
	if err := os.MkdirAll(filepath.Join(d.s3.BucketDir(d.ns), "backups/half/half-results.gz"), 0o700); err != nil {
		t.Fatal(err)
	}
	d.create(d.backup("half"))
	await(d.world, d.backup("half"), &velerov1.BackupList{}, func(b *velerov1.Backup) bool { return ended(b.Status.Phase) })
	if left := d.folders("snapshots"); slices.Contains(left, "snap-v1-half") || !slices.Contains(left, "snap-v1-broken") {
		t.Errorf("snapshots: %v", left)
	}

	// Only a location whose plugin is not there: a warning, unless snapshots are asked for.
	only := d.backup("warned")
	only.Spec.VolumeSnapshotLocations = []string{"nobodys"}
	if err := d.client.Delete(t.Context(), &velerov1.VolumeSnapshotLocation{ObjectMeta: d.meta("disks")}); err != nil {
		t.Fatal(err)
	}
	d.create(only)
	if b := d.awaitBackup("warned", velerov1.BackupPhaseCompleted); b.Status.Warnings != 2 {
		t.Errorf("status %+v", b.Status)
	}
	results := d.download(velerov1.DownloadTargetKindBackupResults, "warned")
	if !strings.Contains(results, "there is no plugin of kind VolumeSnapshotter and name velero.io/aws") || !strings.Contains(results, d.app+"-good") {
		t.Errorf("results %s", results)
	}
	asked := d.backup("asked")
	asked.Spec.VolumeSnapshotLocations, asked.Spec.SnapshotVolumes = []string{"nobodys"}, new(true)
	d.create(asked)
	if b := d.awaitBackup("asked", velerov1.BackupPhasePartiallyFailed); b.Status.Errors != 2 {
		t.Errorf("status %+v", b.Status)
	}
	// The snapshots of a location that is gone cannot be deleted: the backup stays, and says why.
	d.create(d.deletion("d", "dies"))
	refused := await(d.world, d.deletion("d", "dies"), &velerov1.DeleteBackupRequestList{}, func(d *velerov1.DeleteBackupRequest) bool { return d.Status.Phase == "Processed" })
	if len(refused.Status.Errors) != 1 || !strings.Contains(refused.Status.Errors[0], "delete snapshot snap-v1-dies") || !strings.Contains(refused.Status.Errors[0], "volume snapshot location disks not found") {
		t.Errorf("deletion: %v", refused.Status.Errors)
	}
}
