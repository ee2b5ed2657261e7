// SPDX-License-Identifier: Apache-2.0

package server

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/client-go/tools/clientcmd"

	velerov1 "hozon.dev/hozon/api/velero/v1"
)

// TestServerBadLocations: what is wrong with a location is said on it and in the table, and a backup that wants it is refused with its name.
func TestServerBadLocations(t *testing.T) {
	w := newWorld(t)
	missing := w.location("missing", "no-such-bucket", false)
	foreign := w.location("foreign", w.ns+"-f", false)
	if err := w.s3.CreateBucket(w.ns + "-f"); err != nil {
		t.Fatal(err)
	}
	if err := os.MkdirAll(filepath.Join(w.s3.BucketDir(w.ns+"-f"), "photos"), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(w.s3.BucketDir(w.ns+"-f"), "photos", "cat.jpg"), []byte("x"), 0o600); err != nil {
		t.Fatal(err)
	}
	wrongKey := w.location("wrong-key", w.ns, false)
	wrongKey.Spec.Credential.Name = "wrong"
	w.credential("wrong", "not the key")
	for _, l := range []*velerov1.BackupStorageLocation{missing, foreign, wrongKey} {
		w.create(l)
	}
	w.serve()
	for name, want := range map[string]string{
		"missing": "no-such-bucket", "foreign": "Backup store contains invalid top-level directories: [photos]", "wrong-key": `key "aws" of Secret wrong`,
	} {
		l := w.awaitLocation(name, velerov1.BackupStorageLocationPhaseUnavailable)
		if !strings.Contains(l.Status.Message, want) {
			t.Errorf("%s: %q has no %q", name, l.Status.Message, want)
		}
		b := w.backup("in-" + name)
		b.Spec.StorageLocation = name
		w.create(b)
		b = w.awaitBackup(b.Name, velerov1.BackupPhaseFailedValidation)
		if text := strings.Join(b.Status.ValidationErrors, ""); text != "backup can't be created because BackupStorageLocation "+name+" is in Unavailable status." {
			t.Errorf("%s: %q", name, text)
		}
		w.hozon([]string{name, "Unavailable"}, "backup-location", "get", name)
		w.hozon([]string{"FailedValidation", "is in Unavailable status."}, "backup", "describe", "in-"+name)
	}
}

// TestServerBadObjects: objects written by hand. Unknown phases are refused by the API server, unknown fields are dropped; a restore of a backup that is not over is refused.
func TestServerBadObjects(t *testing.T) {
	w := newWorld(t)
	w.serve()
	for kind, phase := range map[string]string{"Backup": "Sleeping", "Restore": "Dreaming", "Schedule": "Maybe"} {
		err := w.client.Create(t.Context(), w.object(kind, "phase", map[string]any{"spec": map[string]any{}, "status": map[string]any{"phase": phase}}))
		if err == nil || !strings.Contains(err.Error(), "Unsupported value") || !strings.Contains(err.Error(), phase) {
			t.Errorf("%s in phase %s: %v", kind, phase, err)
		}
	}
	w.create(w.object("Backup", "fields", map[string]any{"spec": map[string]any{"includedNamespaces": []any{w.app}, "colour": "blue"}}))
	w.awaitBackup("fields", velerov1.BackupPhaseCompleted)

	w.freezeStore()
	w.create(w.backup("hangs"))
	w.awaitPhase("hangs", velerov1.BackupPhaseInProgress)
	w.create(w.restore("early", "hangs", w.app+"-r"))
	r := w.awaitRestore("early", velerov1.RestorePhaseFailedValidation)
	if text := strings.Join(r.Status.ValidationErrors, ""); text != "backup hangs is InProgress: it cannot be restored from; create the restore anew when the backup is Completed" {
		t.Errorf("a restore of a backup that is not over: %q", text)
	}
	w.thawStore()
	w.awaitBackup("hangs", velerov1.BackupPhaseCompleted)
}

// object is one written by hand.
func (w *world) object(kind, name string, more map[string]any) *unstructured.Unstructured {
	o := map[string]any{"apiVersion": "velero.io/v1", "kind": kind, "metadata": map[string]any{"name": name, "namespace": w.ns}}
	for k, v := range more {
		o[k] = v
	}
	return &unstructured.Unstructured{Object: o}
}

// TestServerBadDurations: a duration that is none, which the definitions let through, concerns its object alone: the server starts, and the
// objects beside it are carried out and listed.
func TestServerBadDurations(t *testing.T) {
	w := newWorld(t)
	bad := map[string]any{"spec": map[string]any{"ttl": "a week", "hooks": map[string]any{"resources": []any{map[string]any{
		"name": "x", "pre": []any{map[string]any{"exec": map[string]any{"command": []any{"true"}, "timeout": "soon"}}},
	}}}}}
	w.create(w.object("Backup", "before", bad))
	w.serve()
	w.awaitLocation("default", velerov1.BackupStorageLocationPhaseAvailable)
	w.create(w.backup("good"))
	w.awaitBackup("good", velerov1.BackupPhaseCompleted)
	w.create(w.object("Backup", "after", bad))
	for _, name := range []string{"before", "after"} {
		b := w.awaitBackup(name, velerov1.BackupPhaseFailedValidation)
		want := `spec.ttl is "a week": expected a duration, such as 90s, 10m or 720h; spec.hooks.resources[0].pre[0].exec.timeout is "soon"`
		if text := strings.Join(b.Status.ValidationErrors, "; "); !strings.Contains(text, want) || b.Spec.TTL.Bad != "a week" {
			t.Errorf("%s: %q, and its TTL is %s", name, text, b.Spec.TTL)
		}
	}
	w.hozon([]string{"good", "Completed", "before", "after", "FailedValidation"}, "backup", "get")
	w.hozon([]string{`spec.ttl is "a week"`, "TTL:  a week"}, "backup", "describe", "before")

	w.create(w.object("Restore", "bad", map[string]any{"spec": map[string]any{"backupName": "good", "itemOperationTimeout": "long"}}))
	w.create(w.restore("good", "good", w.app+"-r"))
	w.awaitRestore("good", velerov1.RestorePhaseCompleted)
	if r := w.awaitRestore("bad", velerov1.RestorePhaseFailedValidation); !strings.HasPrefix(strings.Join(r.Status.ValidationErrors, ""), `spec.itemOperationTimeout is "long"`) {
		t.Errorf("restore: %q", r.Status.ValidationErrors)
	}
	w.hozon([]string{"bad", "good"}, "restore", "get")

	w.create(w.object("Schedule", "bad", map[string]any{"spec": map[string]any{"schedule": "@every 1s", "template": map[string]any{"ttl": "7d"}}}))
	s := await(w, w.schedule("bad", ""), &velerov1.ScheduleList{}, func(s *velerov1.Schedule) bool { return s.Status.Phase == velerov1.SchedulePhaseFailedValidation })
	if text := strings.Join(s.Status.ValidationErrors, ""); !strings.HasPrefix(text, `spec.template.ttl is "7d"`) {
		t.Errorf("schedule: %q", text)
	}
	w.hozon([]string{"FailedValidation", "7d"}, "schedule", "get")

	w.create(w.object("BackupStorageLocation", "bad", map[string]any{"spec": map[string]any{
		"provider": "aws", "objectStorage": map[string]any{"bucket": w.ns}, "backupSyncPeriod": "often", "validationFrequency": "1s",
	}}))
	if l := w.awaitLocation("bad", velerov1.BackupStorageLocationPhaseUnavailable); !strings.Contains(l.Status.Message, `spec.backupSyncPeriod is "often"`) {
		t.Errorf("location: %s", l.Status.Message)
	}
	w.hozon([]string{"default", "Available", "bad", "Unavailable"}, "backup-location", "get")
	w.create(w.deletion("d", "before"))
	await(w, w.backup("before"), &velerov1.BackupList{}, deleted)
}

// TestServerNoRight: who may not create a Backup is told what is missing.
func TestServerNoRight(t *testing.T) {
	w := newWorld(t)
	config, err := clientcmd.LoadFromFile(w.cluster.Kubeconfig())
	if err != nil {
		t.Fatal(err)
	}
	for _, user := range config.AuthInfos {
		user.Impersonate = "nobody"
	}
	file := filepath.Join(w.dir, "kubeconfig-of-nobody")
	if err := clientcmd.WriteToFile(*config, file); err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), self(t), "backup", "create", "a", "--namespace", w.ns, "--kubeconfig", file)
	cmd.Env = append(os.Environ(), programEnv+"=1", "HOME="+w.dir)
	out, err := cmd.CombinedOutput()
	if text := string(out); err == nil || !strings.Contains(text, `"nobody" cannot create resource "backups" in API group "velero.io" in the namespace "`+w.ns) {
		t.Errorf("%v: %s", err, text)
	}
}

// TestServerNotYet: what a backup or restore asks for and does not get is a warning of its own, which names the field.
func TestServerNotYet(t *testing.T) {
	w := newWorld(t)
	w.serve()
	b := w.backup("a")
	b.Spec.SnapshotMoveData = new(true)
	w.create(b)
	b = w.awaitBackup("a", velerov1.BackupPhaseCompleted)
	results := w.download(velerov1.DownloadTargetKindBackupResults, "a")
	for _, field := range []string{"spec.snapshotMoveData"} {
		if !strings.Contains(results, "not done by this version") || !strings.Contains(results, field) {
			t.Errorf("%s is not named: %s", field, results)
		}
	}
	if b.Status.Warnings != 1 {
		t.Errorf("%d warnings", b.Status.Warnings)
	}
	r := w.restore("r", "a", w.app+"-r")
	r.Spec.RestorePVs = new(true)
	w.create(r)
	w.awaitRestore("r", velerov1.RestorePhaseCompleted)
	if results := w.download(velerov1.DownloadTargetKindRestoreResults, "r"); !strings.Contains(results, "spec.restorePVs") {
		t.Errorf("spec.restorePVs is not named: %s", results)
	}
}
