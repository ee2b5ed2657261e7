// SPDX-License-Identifier: Apache-2.0

package server

import (
	"compress/gzip"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	velerov1 "hozon.dev/hozon/api/velero/v1"
)

// TestServerLife takes one backup through its life: made, restored into another namespace, read, found by another cluster, deleted.
func TestServerLife(t *testing.T) {
	w := newWorld(t)
	w.serve()
	w.create(w.backup("a"))
	w.awaitBackup("a", velerov1.BackupPhaseCompleted)

	target := w.cluster.Namespace(t) + "-r"
	w.create(w.restore("r", "a", target))
	r := w.awaitRestore("r", velerov1.RestorePhaseCompleted)
	if r.Status.Progress == nil || r.Status.Progress.ItemsRestored == 0 || !strings.Contains(strings.Join(r.Finalizers, ","), velerov1.FinalizerRestore) {
		t.Errorf("restore %+v", r)
	}
	got := &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Namespace: target, Name: "settings"}}
	w.get(got)
	if got.Data["a"] != "b" || got.Labels[velerov1.LabelRestoreName] != "r" {
		t.Errorf("restored %v with labels %v", got.Data, got.Labels)
	}

	log := w.download(velerov1.DownloadTargetKindBackupLog, "a")
	if !strings.Contains(log, "Backed up a total of") {
		t.Errorf("log of the backup: %q", log)
	}
	if list := w.download(velerov1.DownloadTargetKindRestoreResourceList, "r"); !strings.Contains(list, target+"/settings(created)") {
		t.Errorf("resource list of the restore: %q", list)
	}

	other := inCluster(t, w.cluster, w.s3) // a second cluster, as far as the server can see
	l := other.location("shared", w.ns, false)
	l.Spec.AccessMode = velerov1.BackupStorageLocationAccessModeReadOnly
	other.create(l)
	other.port = w.newPort()
	other.serve()
	found := other.awaitBackup("a", velerov1.BackupPhaseCompleted)
	if found.Spec.StorageLocation != "shared" || found.Annotations["hozon.dev/run"] != "" || found.Status.Progress.ItemsBackedUp == 0 {
		t.Errorf("found in the bucket: %+v", found)
	}
	other.create(other.deletion("d", "a"))
	refused := await(other, other.deletion("d", "a"), &velerov1.DeleteBackupRequestList{}, func(d *velerov1.DeleteBackupRequest) bool { return d.Status.Phase == "Processed" })
	if want := "cannot delete backup because backup storage location shared is currently in read-only mode"; len(refused.Status.Errors) != 1 || refused.Status.Errors[0] != want {
		t.Errorf("deletion from a read-only location: %v", refused.Status.Errors)
	}

	w.create(w.deletion("d", "a"))
	await(w, w.backup("a"), &velerov1.BackupList{}, deleted)
	await(w, w.restore("r", "a", target), &velerov1.RestoreList{}, deleted)
	await(w, w.deletion("d", "a"), &velerov1.DeleteBackupRequestList{}, deleted)
	if left := append(w.stored("backups"), w.stored("restores")...); len(left) > 0 {
		t.Errorf("left in the bucket: %v", left)
	}
	await(other, other.backup("a"), &velerov1.BackupList{}, deleted) // it has vanished from the bucket
}

// TestServerBucketEmptied empties the bucket behind the server's back: what was in it goes from the cluster, what comes after is as good as ever.
func TestServerBucketEmptied(t *testing.T) {
	w := newWorld(t)
	w.serve()
	for _, name := range []string{"a", "b"} {
		w.create(w.backup(name))
		w.awaitBackup(name, velerov1.BackupPhaseCompleted)
	}
	w.create(w.restore("r", "a", w.app+"-r"))
	w.awaitRestore("r", velerov1.RestorePhaseCompleted)
	entries, err := os.ReadDir(w.s3.BucketDir(w.ns))
	if err != nil || len(entries) == 0 {
		t.Fatalf("%d folders in the bucket, %v", len(entries), err)
	}
	for _, e := range entries {
		if err := os.RemoveAll(filepath.Join(w.s3.BucketDir(w.ns), e.Name())); err != nil {
			t.Fatal(err)
		}
	}
	for _, name := range []string{"a", "b"} {
		await(w, w.backup(name), &velerov1.BackupList{}, deleted)
	}
	w.awaitLocation("default", velerov1.BackupStorageLocationPhaseAvailable)
	w.create(w.backup("a")) // its name is free again
	w.awaitBackup("a", velerov1.BackupPhaseCompleted)
	r := w.restore("r", "", "")
	w.get(r)
	if err := w.client.Delete(t.Context(), r); err != nil { // its files are gone: that holds nothing up
		t.Fatal(err)
	}
	await(w, r, &velerov1.RestoreList{}, deleted)
	w.sound()
}

// TestServerRestoreDeleted deletes a Restore: its files go, the backup stays.
func TestServerRestoreDeleted(t *testing.T) {
	w := newWorld(t)
	w.serve()
	w.create(w.backup("a"))
	w.awaitBackup("a", velerov1.BackupPhaseCompleted)
	target := w.cluster.Namespace(t) + "-r"
	w.create(w.restore("r", "a", target))
	r := w.awaitRestore("r", velerov1.RestorePhaseCompleted)
	if err := w.client.Delete(t.Context(), r); err != nil {
		t.Fatal(err)
	}
	await(w, r, &velerov1.RestoreList{}, deleted)
	if left := w.stored("restores/r"); len(left) > 0 {
		t.Errorf("left in the bucket: %v", left)
	}
	w.create(w.restore("r", "a", target)) // the name is free again
	w.awaitRestore("r", velerov1.RestorePhaseCompleted)
}

// TestServerRestoreOnce applies the same Restore again and again, as GitOps tools do, also by replacing it, which takes its status away: it
// runs once.
func TestServerRestoreOnce(t *testing.T) {
	w := newWorld(t)
	w.serve()
	w.create(w.backup("a"))
	w.awaitBackup("a", velerov1.BackupPhaseCompleted)
	asked := w.restore("r", "a", w.cluster.Namespace(t)+"-r")
	w.create(asked.DeepCopy())
	first := w.awaitRestore("r", velerov1.RestorePhaseCompleted)
	for range 10 {
		again := asked.DeepCopy()
		again.ResourceVersion = ""
		live := &velerov1.Restore{ObjectMeta: w.meta("r")}
		w.get(live)
		again.ResourceVersion, again.UID = live.ResourceVersion, live.UID
		if err := w.client.Update(t.Context(), again); err != nil && !apierrors.IsConflict(err) { // the server writes, too
			t.Fatal(err)
		}
	}
	last := w.awaitRestore("r", velerov1.RestorePhaseCompleted)
	if !last.Status.StartTimestamp.Equal(first.Status.StartTimestamp) || !last.Status.CompletionTimestamp.Equal(first.Status.CompletionTimestamp) {
		t.Errorf("it ran again: %+v, first %+v", last.Status, first.Status)
	}
}

// TestServerExpiry waits for the end of a backup's life.
func TestServerExpiry(t *testing.T) {
	w := newWorld(t)
	w.serve()
	b := w.backup("short")
	b.Spec.TTL = velerov1.Duration{Duration: 3 * time.Second}
	w.create(b)
	w.awaitBackup("short", velerov1.BackupPhaseCompleted)
	await(w, w.backup("short"), &velerov1.BackupList{}, deleted)
	if left := w.stored("backups"); len(left) > 0 {
		t.Errorf("left in the bucket: %v", left)
	}
}

// TestServerLocations breaks a location in several ways, and mends it.
func TestServerLocations(t *testing.T) {
	w := newWorld(t)
	w.serve()
	l := w.awaitLocation("default", velerov1.BackupStorageLocationPhaseAvailable)
	w.credential("cloud", "wrong")
	bad := w.awaitLocation("default", velerov1.BackupStorageLocationPhaseUnavailable)
	if !strings.Contains(bad.Status.Message, "cloud") {
		t.Errorf("a wrong key: %s", bad.Status.Message)
	}
	w.create(w.backup("early"))
	refused := w.awaitBackup("early", velerov1.BackupPhaseFailedValidation)
	if got := refused.Status.ValidationErrors; len(got) != 1 || got[0] != "backup can't be created because BackupStorageLocation default is in Unavailable status." {
		t.Errorf("a backup into an unavailable location: %q", got)
	}
	w.credential("cloud", w.s3.SecretKey)
	w.awaitLocation("default", velerov1.BackupStorageLocationPhaseAvailable)

	w.create(w.location("newer", w.ns, true))
	await(w, l, &velerov1.BackupStorageLocationList{}, func(l *velerov1.BackupStorageLocation) bool { return !l.Spec.Default })

	if err := os.Mkdir(filepath.Join(w.s3.BucketDir(w.ns), "photos"), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(w.s3.BucketDir(w.ns), "photos", "a"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	foreign := w.awaitLocation("default", velerov1.BackupStorageLocationPhaseUnavailable)
	if !strings.Contains(foreign.Status.Message, "Backup store contains invalid top-level directories: [photos]") {
		t.Errorf("a foreign folder: %s", foreign.Status.Message)
	}
}

// TestServerValidation looks at the texts for what cannot be done.
func TestServerValidation(t *testing.T) {
	w := newWorld(t)
	l := w.location("archive", w.ns, false)
	l.Spec.AccessMode = velerov1.BackupStorageLocationAccessModeReadOnly
	w.create(l)
	for _, name := range []string{"one", "two"} {
		w.create(&velerov1.VolumeSnapshotLocation{ObjectMeta: w.meta(name), Spec: velerov1.VolumeSnapshotLocationSpec{Provider: "aws"}})
	}
	w.serve()
	w.awaitLocation("default", velerov1.BackupStorageLocationPhaseAvailable)
	no := false
	for name, c := range map[string]struct {
		spec velerov1.BackupSpec
		want string
	}{
		"missing":   {velerov1.BackupSpec{SnapshotVolumes: &no, StorageLocation: "gone"}, "an existing backup storage location was not specified at backup creation time and the default gone was not found. Please address this issue (see `velero backup-location -h` for options) and create a new backup. Error: "},
		"read-only": {velerov1.BackupSpec{SnapshotVolumes: &no, StorageLocation: "archive"}, "backup can't be created because backup storage location archive is currently in read-only mode"},
		"lists":     {velerov1.BackupSpec{SnapshotVolumes: &no, IncludedNamespaces: []string{"*", "a"}}, "Invalid included/excluded namespace lists: includes list must either contain '*' only, or a non-empty list of items"},
		"ttl":       {velerov1.BackupSpec{SnapshotVolumes: &no, TTL: velerov1.Duration{Duration: -time.Hour}}, "spec.ttl must be above zero, and is -1h0m0s"},
		"ambiguous": {velerov1.BackupSpec{}, "provider aws has more than one possible volume snapshot location, and none were specified explicitly or as a default"},
		"snapshot":  {velerov1.BackupSpec{VolumeSnapshotLocations: []string{"three"}}, "a VolumeSnapshotLocation CRD for the location three with the name specified in the backup spec needs to be created before this snapshot can be executed. Error: "},
		"twice":     {velerov1.BackupSpec{VolumeSnapshotLocations: []string{"one", "two"}}, "more than one VolumeSnapshotLocation name specified for provider aws: two; unexpected name was one"},
	} {
		w.create(&velerov1.Backup{ObjectMeta: w.meta(name), Spec: c.spec})
		b := w.awaitBackup(name, velerov1.BackupPhaseFailedValidation)
		if got := b.Status.ValidationErrors; len(got) != 1 || !strings.HasPrefix(got[0], c.want) {
			t.Errorf("%s: %q, want %q", name, got, c.want)
		}
	}
	for name, c := range map[string]struct {
		spec velerov1.RestoreSpec
		want string
	}{
		"nothing":     {velerov1.RestoreSpec{}, "Either a backup or schedule must be specified as a source for the restore, but not both"},
		"unknown":     {velerov1.RestoreSpec{BackupName: "gone"}, `Error retrieving backup: Backup.velero.io "gone" not found`},
		"no-schedule": {velerov1.RestoreSpec{ScheduleName: "gone"}, "No backups found for schedule"},
		"failed":      {velerov1.RestoreSpec{BackupName: "ttl"}, "backup ttl is FailedValidation: it cannot be restored from"},
	} {
		w.create(&velerov1.Restore{ObjectMeta: w.meta(name), Spec: c.spec})
		r := w.awaitRestore(name, velerov1.RestorePhaseFailedValidation)
		if got := r.Status.ValidationErrors; len(got) != 1 || !strings.HasPrefix(got[0], c.want) {
			t.Errorf("%s: %q, want %q", name, got, c.want)
		}
	}
}

// TestServerStatus asks the server who it is, and looks at health and metrics.
func TestServerStatus(t *testing.T) {
	w := newWorld(t)
	profiler := w.newPort()
	w.serve("--profiler-address", profiler.Addr())
	q := &velerov1.ServerStatusRequest{ObjectMeta: w.meta("q")}
	w.create(q)
	q = await(w, q, &velerov1.ServerStatusRequestList{}, func(q *velerov1.ServerStatusRequest) bool { return q.Status.Phase == "Processed" })
	if q.Status.ServerVersion != "hozon v0.0.0-test" || len(q.Status.Plugins) != 4 {
		t.Errorf("status %+v", q.Status)
	}
	if got := w.http("/healthz"); got != "ok\n" {
		t.Errorf("/healthz: %q", got)
	}
	res, err := http.Get("http://" + profiler.Addr() + "/debug/pprof/heap?debug=1")
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	if text, err := io.ReadAll(res.Body); err != nil || !strings.HasPrefix(string(text), "heap profile:") {
		t.Errorf("the profiler: %.100s, %v", text, err)
	}
}

func (w *world) restore(name, backup, target string) *velerov1.Restore {
	return &velerov1.Restore{ObjectMeta: w.meta(name), Spec: velerov1.RestoreSpec{BackupName: backup, NamespaceMapping: map[string]string{w.app: target}}}
}

func (w *world) awaitRestore(name string, phase velerov1.RestorePhase) *velerov1.Restore {
	w.t.Helper()
	r := await(w, w.restore(name, "", ""), &velerov1.RestoreList{}, func(r *velerov1.Restore) bool {
		return r.Status.Phase != "" && r.Status.Phase != velerov1.RestorePhaseNew && r.Status.Phase != velerov1.RestorePhaseInProgress
	})
	if r.Status.Phase != phase {
		w.t.Fatalf("restore %s is %s, not %s: %s %s", name, r.Status.Phase, phase, r.Status.FailureReason, r.Status.ValidationErrors)
	}
	return r
}

func (w *world) deletion(name, backup string) *velerov1.DeleteBackupRequest {
	return &velerov1.DeleteBackupRequest{ObjectMeta: w.meta(name), Spec: velerov1.DeleteBackupRequestSpec{BackupName: backup}}
}

// download asks for a file, and returns what is in it.
func (w *world) download(kind velerov1.DownloadTargetKind, name string) string {
	w.t.Helper()
	d := &velerov1.DownloadRequest{ObjectMeta: w.meta("download-" + strings.ToLower(string(kind)) + "-" + name), Spec: velerov1.DownloadRequestSpec{Target: velerov1.DownloadTarget{Kind: kind, Name: name}}}
	w.create(d)
	d = await(w, d, &velerov1.DownloadRequestList{}, func(d *velerov1.DownloadRequest) bool { return d.Status.DownloadURL != "" })
	res, err := http.Get(d.Status.DownloadURL)
	if err != nil {
		w.t.Fatal(err)
	}
	defer res.Body.Close()
	if res.StatusCode != http.StatusOK {
		w.t.Fatalf("download %s of %s: %s", kind, name, res.Status)
	}
	gz, err := gzip.NewReader(res.Body)
	if err != nil {
		w.t.Fatal(err)
	}
	text, err := io.ReadAll(gz)
	if err != nil {
		w.t.Fatal(err)
	}
	return string(text)
}

func (w *world) http(path string) string {
	w.t.Helper()
	res, err := http.Get("http://" + w.port.Addr() + path)
	if err != nil {
		w.t.Fatal(err)
	}
	defer res.Body.Close()
	text, err := io.ReadAll(res.Body)
	if err != nil {
		w.t.Fatal(err)
	}
	return string(text)
}

// TestServerSameName lets two clusters that share a bucket make a backup of one name at the same time: one of them has it, the other one says so.
func TestServerSameName(t *testing.T) {
	one := newWorld(t)
	two := inCluster(t, one.cluster, one.s3)
	for _, w := range []*world{one, two} {
		l := w.location("shared", one.ns, false)
		l.Spec.BackupSyncPeriod = &velerov1.Duration{} // never: the loser would find the winner's
		w.create(l)
		w.serve()
		w.awaitLocation("shared", velerov1.BackupStorageLocationPhaseAvailable)
	}
	var made []*velerov1.Backup
	for _, w := range []*world{one, two} {
		b := w.backup("a")
		b.Spec.StorageLocation = "shared"
		w.create(b)
	}
	for _, w := range []*world{one, two} {
		made = append(made, await(w, w.backup("a"), &velerov1.BackupList{}, func(b *velerov1.Backup) bool { return ended(b.Status.Phase) }))
	}
	if made[0].Status.Phase != velerov1.BackupPhaseCompleted {
		made[0], made[1] = made[1], made[0]
	}
	if made[0].Status.Phase != velerov1.BackupPhaseCompleted || made[1].Status.Phase != velerov1.BackupPhaseFailed {
		t.Fatalf("they are %s and %s", made[0].Status.Phase, made[1].Status.Phase)
	}
	if !strings.HasPrefix(made[1].Status.FailureReason, "backup already exists in object storage") {
		t.Errorf("the second: %s", made[1].Status.FailureReason)
	}
	one.sound()
}
