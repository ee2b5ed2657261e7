// SPDX-License-Identifier: Apache-2.0

package server

import (
	"encoding/json"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	velerov1 "hozon.dev/hozon/api/velero/v1"
	"hozon.dev/hozon/test/daemon"
)

// veleroBinary builds the real Velero 1.18.3 once, which takes minutes. So its tests run with HOZON_PEER (`make peer`) only.
func veleroBinary(t *testing.T) string {
	t.Helper()
	if os.Getenv("HOZON_PEER") == "" {
		t.Skip("needs the real velero: make peer")
	}
	const velero = "github.com/vmware-tanzu/velero"
	binary, err := daemon.Build(t.Context(), "tools/build", "bench/velero", velero+"/cmd/velero", "velero", "-X "+velero+"/pkg/buildinfo.Version=v1.18.3")
	if err != nil {
		t.Fatal(err)
	}
	return binary
}

// veleroCLI is the real program, for one namespace.
type veleroCLI struct {
	*world
	binary string
}

// run wants a command to succeed, and its output to hold all of the texts.
func (v *veleroCLI) run(texts []string, args ...string) string {
	v.t.Helper()
	cmd := exec.CommandContext(v.t.Context(), v.binary, append(args, "--colorized=false", "--namespace", v.ns, "--kubeconfig", v.cluster.Kubeconfig())...)
	cmd.Dir = v.dir
	cmd.Env = append(os.Environ(), "HOME="+v.dir)
	out, err := cmd.CombinedOutput()
	if err != nil {
		v.t.Fatalf("velero %s: %v\n%s", strings.Join(args, " "), err, out)
	}
	for _, text := range texts {
		if !strings.Contains(string(out), text) {
			v.t.Errorf("velero %s has no %q:\n%s", strings.Join(args, " "), text, out)
		}
	}
	return string(out)
}

// TestPeerDrives lets the real velero command drive our server through all that it knows of backups, restores, schedules and locations.
func TestPeerDrives(t *testing.T) {
	binary := veleroBinary(t)
	w := newWorld(t)
	w.serve()
	w.awaitLocation("default", velerov1.BackupStorageLocationPhaseAvailable)
	v := &veleroCLI{w, binary}

	v.run([]string{"Version: hozon v0.0.0-test"}, "version")
	v.run([]string{"default", "aws", "Available", "ReadWrite", "true"}, "backup-location", "get")
	v.run([]string{"Backup completed with status: Completed."}, "backup", "create", "a", "--include-namespaces", w.app, "--labels", "team=a", "--wait")
	v.run([]string{"a ", "Completed", "default"}, "backup", "get")
	v.run([]string{"Phase:  Completed", "team=a", "Total items to be backed up:", "Storage Location:  default", "Backup Format Version:  1.1.0",
		"v1/ConfigMap:", w.app + "/settings", "Velero-Native Snapshots: <none included>"}, "backup", "describe", "a", "--details")
	sameJSON(t, w.hozon(nil, "backup", "describe", "a", "-o", "json"), v.run([]string{`"phase": "Completed"`}, "backup", "describe", "a", "-o", "json"))
	sameJSON(t, w.hozon(nil, "backup", "describe", "a", "-o", "json", "--details"), v.run(nil, "backup", "describe", "a", "-o", "json", "--details"))
	v.run([]string{"level=info", "Backed up a total of"}, "backup", "logs", "a")
	v.run([]string{"has been successfully downloaded to"}, "backup", "download", "a", "-o", "a.tar.gz")
	if info, err := os.Stat(filepath.Join(w.dir, "a.tar.gz")); err != nil || info.Size() == 0 {
		t.Errorf("the downloaded file: %v", err)
	}

	target := w.app + "-r"
	v.run([]string{"Restore completed with status: Completed."}, "restore", "create", "r", "--from-backup", "a", "--namespace-mappings", w.app+":"+target, "--wait")
	w.get(&corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Namespace: target, Name: "settings"}})
	v.run([]string{"r ", "a ", "Completed"}, "restore", "get")
	v.run([]string{"Phase:", "Completed", "Backup:  a", "v1/ConfigMap:", target + "/settings(created)"}, "restore", "describe", "r", "--details")
	v.run([]string{"level=info", target + "/settings created"}, "restore", "logs", "r")

	v.run([]string{`Schedule "nightly" created successfully.`}, "schedule", "create", "nightly", "--schedule", "@every 24h", "--include-namespaces", w.app)
	await(w, w.schedule("nightly", ""), &velerov1.ScheduleList{}, func(s *velerov1.Schedule) bool { return s.Status.Phase == velerov1.SchedulePhaseEnabled })
	v.run([]string{"nightly", "Enabled"}, "schedule", "get")
	v.run([]string{"Phase:  Enabled"}, "schedule", "describe", "nightly")
	v.run([]string{"Schedule nightly paused successfully"}, "schedule", "pause", "nightly")
	v.run([]string{"Schedule nightly unpaused successfully"}, "schedule", "unpause", "nightly")
	v.run([]string{"Backup completed with status: Completed."}, "backup", "create", "by-schedule", "--from-schedule", "nightly", "--wait")
	v.run([]string{"Restore completed with status: Completed."}, "restore", "create", "by-schedule", "--from-schedule", "nightly", "--wait")
	v.run([]string{"Schedule deleted: nightly"}, "schedule", "delete", "nightly", "--confirm")

	v.run([]string{"configured successfully"}, "backup-location", "create", "second", "--provider", "aws", "--bucket", w.ns, "--prefix", "second", "--credential", "cloud=aws",
		"--config", "region=us-east-1,s3ForcePathStyle=true,s3Url="+w.s3.Endpoint, "--access-mode", "ReadOnly")
	w.awaitLocation("second", velerov1.BackupStorageLocationPhaseAvailable)
	v.run([]string{"configured successfully"}, "backup-location", "set", "default", "--default=false")
	v.run([]string{"configured successfully"}, "backup-location", "set", "default", "--default")
	v.run([]string{"deleted successfully"}, "backup-location", "delete", "second", "--confirm")
	v.run([]string{"velero.io/aws", "ObjectStore"}, "plugin", "get")

	v.run([]string{`Request to delete restore "r" submitted successfully.`}, "restore", "delete", "r", "--confirm")
	await(w, w.restore("r", "", ""), &velerov1.RestoreList{}, deleted)
	v.run([]string{`Request to delete backup "a" submitted successfully.`}, "backup", "delete", "a", "--confirm")
	await(w, w.backup("a"), &velerov1.BackupList{}, deleted)
	if left := w.stored("backups"); len(left) != 1 || left[0] != "by-schedule" {
		t.Errorf("left in the bucket: %v", left)
	}
}

// sameJSON wants two objects to be the same, but for what only we say.
func sameJSON(t *testing.T, ours, theirs string) {
	t.Helper()
	var a, b map[string]any
	if err := errors.Join(json.Unmarshal([]byte(ours), &a), json.Unmarshal([]byte(theirs), &b)); err != nil {
		t.Fatal(err)
	}
	delete(a, "hozon")
	if diff := cmp.Diff(b, a); diff != "" {
		t.Errorf("-velero +hozon:\n%s", diff)
	}
}

// TestPeerFailure shows what the real velero command says of what has gone wrong.
func TestPeerFailure(t *testing.T) {
	binary := veleroBinary(t)
	w := newWorld(t)
	w.serve()
	v := &veleroCLI{w, binary}
	w.create(&velerov1.Backup{ObjectMeta: w.meta("bad"), Spec: velerov1.BackupSpec{IncludedNamespaces: []string{"Bad_Name"}}})
	w.awaitBackup("bad", velerov1.BackupPhaseFailedValidation)
	v.run([]string{"Phase:  FailedValidation", "Validation errors:", `invalid namespace "Bad_Name"`}, "backup", "describe", "bad")
	sameJSON(t, w.hozon(nil, "backup", "describe", "bad", "-o", "json"), v.run(nil, "backup", "describe", "bad", "-o", "json"))
	began := time.Now()
	v.run([]string{"Restore completed with status: FailedValidation."}, "restore", "create", "none", "--from-backup", "bad", "--wait")
	v.run([]string{"Validation errors:", "backup bad is FailedValidation"}, "restore", "describe", "none")
	if took := time.Since(began); took > patience {
		t.Errorf("it took %v", took)
	}
}

// TestPeerTexts compares what both commands print for people, of objects that our server has carried out: tables and descriptions, line by line.
func TestPeerTexts(t *testing.T) {
	binary := veleroBinary(t)
	w := newWorld(t)
	w.serve()
	edit(w, w.location("default", "", false), func(l *velerov1.BackupStorageLocation) {
		l.Spec.ValidationFrequency = &velerov1.Duration{Duration: time.Hour} // its time stays what it is
	})
	v := &veleroCLI{w, binary}
	w.create(w.backup("a"))
	w.awaitBackup("a", velerov1.BackupPhaseCompleted)
	w.create(&corev1.ConfigMap{ObjectMeta: w.meta("rules"), Data: map[string]string{"rules": "version: v1\nresourceModifierRules:\n- conditions: {groupResource: pods}\n  patches: [{operation: add, path: /metadata/labels/a, value: b}]\n"}})
	v.run(nil, "backup", "create", "b", "--include-namespaces", w.app, "--exclude-resources", "secrets", "-l", "a=b", "--ttl", "1h", "--labels", "x=y",
		"--snapshot-volumes=false", "--ordered-resources", "pods="+w.app+"/a", "--parallel-files-upload", "3", "--wait")
	v.run(nil, "backup", "create", "c", "--include-namespaces", w.app, "--include-cluster-scoped-resources", "*", "--or-selector", "a=b or c=d", "--csi-snapshot-timeout", "1m", "--wait")
	v.run(nil, "restore", "create", "r", "--from-backup", "a", "--namespace-mappings", w.app+":"+w.app+"-r", "--wait")
	v.run(nil, "restore", "create", "s", "--from-backup", "a", "--include-namespaces", w.app, "--exclude-resources", "secrets", "--existing-resource-policy", "update",
		"--restore-volumes=false", "--preserve-nodeports", "--write-sparse-files", "--parallel-files-download", "2", "--resource-modifier-configmap", "rules", "--namespace-mappings", w.app+":"+w.app+"-s", "--wait")
	edit(w, &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Namespace: w.app, Name: "settings"}}, func(c *corev1.ConfigMap) { c.Data["a"] = "c" })
	v.run(nil, "restore", "create", "warns", "--from-backup", "a", "--wait")
	v.run(nil, "schedule", "create", "nightly", "--schedule", "0 3 * * *", "--include-namespaces", w.app, "--ttl", "24h")
	await(w, w.schedule("nightly", ""), &velerov1.ScheduleList{}, func(s *velerov1.Schedule) bool { return s.Status.Phase == velerov1.SchedulePhaseEnabled })
	w.create(&velerov1.Backup{ObjectMeta: w.meta("bad"), Spec: velerov1.BackupSpec{IncludedNamespaces: []string{"Bad_Name"}}})
	w.awaitBackup("bad", velerov1.BackupPhaseFailedValidation)
	v.run(nil, "restore", "create", "refused", "--from-backup", "bad", "--wait")
	w.create(w.schedule("bad", "at noon"))
	await(w, w.schedule("bad", ""), &velerov1.ScheduleList{}, func(s *velerov1.Schedule) bool { return s.Status.Phase == velerov1.SchedulePhaseFailedValidation })
	edit(w, w.backup("c"), func(b *velerov1.Backup) {
		b.Status.Phase, b.Status.Errors, b.Status.Warnings, b.Status.HookStatus = velerov1.BackupPhasePartiallyFailed, 1, 2, &velerov1.HookStatus{HooksAttempted: 2, HooksFailed: 1}
	})
	for _, args := range [][]string{
		{"backup", "get", "a", "b"}, {"restore", "get"}, {"schedule", "get"}, {"backup-location", "get"}, {"snapshot-location", "get"}, {"backup", "get", "b", "--show-labels"}, {"get", "backups", "-l", "x=y"},
		{"backup", "describe", "a"}, {"backup", "describe", "a", "--details"}, {"backup", "describe", "b"}, {"backup", "describe", "c", "--details"}, {"backup", "describe", "bad"},
		{"backup", "describe", "a", "b"}, {"restore", "describe", "r"}, {"restore", "describe", "r", "--details"}, {"restore", "describe", "s"}, {"restore", "describe", "warns"}, {"restore", "describe", "refused"}, {"schedule", "describe", "bad"}, {"schedule", "describe", "nightly"},
	} {
		theirs, ours := strings.ReplaceAll(v.run(nil, args...), "`velero ", "`hozon "), w.hozon(nil, args...)
		if diff := cmp.Diff(lines(theirs), lines(ours)); diff != "" {
			t.Errorf("%s: -velero +hozon:\n%s", strings.Join(args, " "), diff)
		}
	}
}

// lines are those of a text, without the room at their ends.
func lines(text string) []string {
	all := strings.Split(text, "\n")
	for i := range all {
		all[i] = strings.TrimRight(all[i], " ")
	}
	return all
}
