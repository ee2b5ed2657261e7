// SPDX-License-Identifier: Apache-2.0

package server

import (
	"context"
	"encoding/json"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"sigs.k8s.io/controller-runtime/pkg/client"

	velerov1 "hozon.dev/hozon/api/velero/v1"
)

// refused runs our command line, wants it to fail, and to say all of the texts.
func (w *world) refused(texts []string, args ...string) {
	w.t.Helper()
	cmd := exec.CommandContext(w.t.Context(), self(w.t), append(args, "--namespace", w.ns, "--kubeconfig", w.cluster.Kubeconfig())...)
	cmd.Dir = w.dir
	cmd.Env = append(os.Environ(), "HOME="+w.dir, programEnv+"=1")
	out, err := cmd.CombinedOutput()
	if err == nil {
		w.t.Errorf("hozon %s succeeded:\n%s", strings.Join(args, " "), out)
	}
	for _, text := range texts {
		if !strings.Contains(string(out), text) {
			w.t.Errorf("hozon %s has no %q:\n%s", strings.Join(args, " "), text, out)
		}
	}
}

// TestServerBadRequests: what somebody may ask for on the command line and cannot have, each told with its reason, and none a silent success.
func TestServerBadRequests(t *testing.T) {
	w := newWorld(t)
	archive := w.location("archive", w.ns, false)
	archive.Spec.AccessMode = velerov1.BackupStorageLocationAccessModeReadOnly
	w.create(archive)
	w.serve("--backup-sync-period", "0")
	edit(w, w.location("default", "", false), func(l *velerov1.BackupStorageLocation) {
		l.Spec.BackupSyncPeriod = &velerov1.Duration{} // never: nothing of the bucket comes into the cluster
	})
	w.awaitLocation("default", velerov1.BackupStorageLocationPhaseAvailable)

	w.refused([]string{"--ttl -1h0m0s: a backup cannot expire before it is made"}, "backup", "create", "early", "--ttl", "-1h")
	w.refused([]string{"status: FailedValidation", "backup storage location archive is currently in read-only mode"}, "backup", "create", "read-only", "--storage-location", "archive", "--wait")
	w.refused([]string{"status: FailedValidation", "the default gone was not found"}, "backup", "create", "nowhere", "--storage-location", "gone", "--wait")
	w.refused([]string{`invalid namespace "Bad_Name"`}, "backup", "create", "name", "--include-namespaces", "Bad_Name")

	w.hozon([]string{"Completed"}, "backup", "create", "twice", "--include-namespaces", w.app, "--wait")
	w.refused([]string{`backups.velero.io "twice" already exists`}, "backup", "create", "twice", "--include-namespaces", w.app)
	made := w.awaitBackup("twice", velerov1.BackupPhaseCompleted)
	if err := w.client.Delete(t.Context(), made); err != nil { // its files stay
		t.Fatal(err)
	}
	await(w, w.backup("twice"), &velerov1.BackupList{}, deleted)
	w.refused([]string{"status: Failed", "backup already exists in object storage"}, "backup", "create", "twice", "--include-namespaces", w.app, "--wait")
	w.sound() // the first one is as it was

	w.refused([]string{"status: FailedValidation", "backup nowhere is FailedValidation: it cannot be restored from"}, "restore", "create", "--from-backup", "nowhere", "--wait")
	w.refused([]string{"status: FailedValidation", "backup twice is Failed: it may hold a part only, or nothing"}, "restore", "create", "--from-backup", "twice", "--wait")
	w.refused([]string{`backups.velero.io "unknown" not found`}, "restore", "create", "--from-backup", "unknown")

	w.hozon(nil, "schedule", "create", "noon", "--schedule", "at noon")
	await(w, w.schedule("noon", ""), &velerov1.ScheduleList{}, func(s *velerov1.Schedule) bool { return s.Status.Phase == velerov1.SchedulePhaseFailedValidation })
	w.hozon([]string{"FailedValidation", "invalid schedule: expected exactly 5 fields"}, "schedule", "describe", "noon")
	w.awaitEvent("Schedule", "noon", "invalid schedule: expected exactly 5 fields")

	time.Sleep(1100 * time.Millisecond) // the API server's times have whole seconds, and the newer one counts
	second := w.location("second", w.ns, true)
	w.create(second)
	w.awaitEvent("BackupStorageLocation", "default", "location second is newer and the default, too: only the newest can be")
	await(w, w.location("default", "", false), &velerov1.BackupStorageLocationList{}, func(l *velerov1.BackupStorageLocation) bool { return !l.Spec.Default })
}

// TestServerOtherVersions: a program that is newer than what is installed says which of its wishes are not known there, before anything is made; what
// says nothing does not hinder. Differences of version are told.
func TestServerOtherVersions(t *testing.T) {
	w := newWorld(t)
	w.serve()
	w.create(w.backup("a"))
	w.awaitBackup("a", velerov1.BackupPhaseCompleted)
	w.withoutFields("restores.velero.io", "resourceModifier", "uploaderConfig")
	w.refused([]string{`Restore ` + w.ns + `/r: the cluster does not know its spec.resourceModifier: what is installed there is older than this program`},
		"restore", "create", "r", "--from-backup", "a", "--resource-modifier-configmap", "rules", "--namespace-mappings", w.app+":"+w.app+"-r")
	w.hozon([]string{"Completed"}, "restore", "create", "r", "--from-backup", "a", "--namespace-mappings", w.app+":"+w.app+"-r", "--wait")

	newer := exec.CommandContext(t.Context(), self(t), "version", "--namespace", w.ns, "--kubeconfig", w.cluster.Kubeconfig())
	newer.Env = append(os.Environ(), "HOME="+w.dir, programEnv+"=1", versionEnv+"=v0.0.1-test")
	out, err := newer.CombinedOutput()
	if err != nil || !strings.Contains(string(out), "# WARNING: the client version does not match the server version.") || !strings.Contains(string(out), "Version: hozon v0.0.0-test") {
		t.Errorf("%v: %s", err, out)
	}
	if same := w.hozon([]string{"Git commit: "}, "version"); strings.Contains(same, "WARNING") {
		t.Errorf("of one version: %s", same)
	}
}

// withoutFields takes fields of the spec out of a definition, as an older one does not have them. The test's end puts them back.
func (w *world) withoutFields(name string, fields ...string) {
	w.t.Helper()
	w.t.Cleanup(func() { // also where something fails: other tests share the cluster
		apply := w.cluster.Kubectl(context.Background(), "apply", "--server-side", "--force-conflicts", "-f", "../../deploy/crd")
		if out, err := apply.CombinedOutput(); err != nil {
			w.t.Errorf("put the definitions back: %v\n%s", err, out)
		}
	})
	var patch []map[string]string
	for _, f := range fields {
		patch = append(patch, map[string]string{"op": "remove", "path": "/spec/versions/0/schema/openAPIV3Schema/properties/spec/properties/" + f})
	}
	body, err := json.Marshal(patch)
	if err != nil {
		w.t.Fatal(err)
	}
	if out, err := w.cluster.Kubectl(w.t.Context(), "patch", "crd", name, "--type=json", "-p", string(body)).CombinedOutput(); err != nil {
		w.t.Fatalf("%v\n%s", err, out)
	}
	probe := w.object("Restore", "probe", map[string]any{"spec": map[string]any{fields[0]: map[string]any{}}})
	for deadline := time.Now().Add(patience); ; time.Sleep(100 * time.Millisecond) { // the API server takes a moment
		got := probe.DeepCopy()
		if err := w.client.Create(w.t.Context(), got, client.DryRunAll); err != nil {
			w.t.Fatal(err)
		}
		if spec, _ := got.Object["spec"].(map[string]any); len(spec) == 0 {
			return
		}
		if time.Now().After(deadline) {
			w.t.Fatal("the definition has not changed")
		}
	}
}
