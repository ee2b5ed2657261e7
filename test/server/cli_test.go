// SPDX-License-Identifier: Apache-2.0

package server

import (
	"archive/tar"
	"compress/gzip"
	"encoding/json"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	velerov1 "hozon.dev/hozon/api/velero/v1"
)

// hozon runs our own command line against the server, wants it to succeed, and its output to hold all of the texts.
func (w *world) hozon(texts []string, args ...string) string {
	w.t.Helper()
	cmd := exec.CommandContext(w.t.Context(), self(w.t), append(args, "--namespace", w.ns, "--kubeconfig", w.cluster.Kubeconfig())...)
	cmd.Dir = w.dir
	cmd.Env = append(os.Environ(), "HOME="+w.dir, programEnv+"=1")
	out, err := cmd.CombinedOutput()
	if err != nil {
		w.t.Fatalf("hozon %s: %v\n%s", strings.Join(args, " "), err, out)
	}
	for _, text := range texts {
		if !strings.Contains(string(out), text) {
			w.t.Errorf("hozon %s has no %q:\n%s", strings.Join(args, " "), text, out)
		}
	}
	return string(out)
}

// TestServerOwnCLI drives the server by our own command line.
func TestServerOwnCLI(t *testing.T) {
	w := newWorld(t)
	w.serve()
	w.awaitLocation("default", velerov1.BackupStorageLocationPhaseAvailable)
	w.hozon([]string{"Backup completed with status: Completed"}, "backup", "create", "a", "--include-namespaces", w.app, "--wait")
	w.hozon([]string{"a ", "Completed"}, "backup", "get")
	w.hozon([]string{"Completed", w.app + "/settings"}, "backup", "describe", "a", "--details")
	w.hozon([]string{"Backed up a total of"}, "backup", "logs", "a")
	w.hozon([]string{"Restore completed with status: Completed"}, "restore", "create", "r", "--from-backup", "a", "--namespace-mappings", w.app+":"+w.app+"-r", "--wait")
	w.hozon([]string{"settings(created)"}, "restore", "describe", "r", "--details")
	w.hozon([]string{"submitted successfully"}, "backup", "delete", "a", "--confirm")
	await(w, w.backup("a"), &velerov1.BackupList{}, deleted)

	w.freezeStore()
	w.create(w.backup("hangs"))
	w.awaitPhase("hangs", velerov1.BackupPhaseInProgress)
	w.hozon([]string{"Request to cancel backup"}, "backup", "cancel", "hangs")
	w.awaitBackup("hangs", velerov1.BackupPhaseFailed)
	w.thawStore()
}

// TestServerDryRun says what a restore by the server would do: nothing is changed, and no Restore is made.
func TestServerDryRun(t *testing.T) {
	w := newWorld(t)
	w.serve()
	w.create(w.backup("a")) // a name that is part of many others
	w.awaitBackup("a", velerov1.BackupPhaseCompleted)
	target := w.app + "-r"
	w.hozon([]string{target + "/settings", "created", "Nothing was changed."}, "restore", "create", "--from-backup", "a", "--namespace-mappings", w.app+":"+target, "--dry-run")
	if err := w.client.Get(t.Context(), client.ObjectKey{Name: target}, &corev1.Namespace{}); !apierrors.IsNotFound(err) {
		t.Errorf("the namespace: %v", err)
	}
	var all velerov1.RestoreList
	if err := w.client.List(t.Context(), &all, client.InNamespace(w.ns)); err != nil || len(all.Items) > 0 {
		t.Errorf("restores: %v, %v", all.Items, err)
	}
}

// TestServerForesees compares what --dry-run says with what the server then does: objects that are new, that have changed, that a modifier changes, from the newest
// backup of a schedule.
func TestServerForesees(t *testing.T) {
	w := newWorld(t)
	w.serve()
	w.fill(5)
	w.create(w.schedule("often", "@every 24h"))
	w.hozon([]string{"Completed"}, "backup", "create", "--from-schedule", "often", "--wait")
	settings := &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Namespace: w.app, Name: "settings"}}
	edit(w, settings, func(c *corev1.ConfigMap) { c.Data["a"] = "changed" })
	if err := w.client.Delete(t.Context(), &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Namespace: w.app, Name: "filling-1"}}); err != nil {
		t.Fatal(err)
	}
	w.create(&corev1.ConfigMap{ObjectMeta: w.meta("rules"), Data: map[string]string{"rules": `version: v1
resourceModifierRules:
- conditions: {groupResource: configmaps, resourceNameRegex: "^filling-1$"}
  patches: [{operation: add, path: /data/b, value: new}]
`}})
	args := []string{"restore", "create", "r", "--from-schedule", "often", "--include-namespaces", w.app, "--existing-resource-policy", "update", "--resource-modifier-configmap", "rules"}
	var foreseen struct {
		Items []struct {
			Ref                   struct{ Namespace, Name string }
			Kind, Version, Action string
		}
	}
	text := w.hozon([]string{"Nothing was changed."}, append(args, "--dry-run", "--report", "json")...)
	if err := json.NewDecoder(strings.NewReader(text)).Decode(&foreseen); err != nil { // what is told follows
		t.Fatal(err)
	}
	var want []string
	for _, i := range foreseen.Items {
		if i.Action == "created" || i.Action == "updated" {
			want = append(want, i.Version+"/"+i.Kind+" "+i.Ref.Namespace+"/"+i.Ref.Name+"("+i.Action+")")
		}
	}
	w.get(settings)
	if settings.Data["a"] != "changed" {
		t.Error("the dry run has changed something")
	}
	w.hozon([]string{"Completed"}, append(args, "--wait")...)
	w.get(settings)
	made := &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Namespace: w.app, Name: "filling-1"}}
	w.get(made)
	if settings.Data["a"] != "b" || made.Data["b"] != "new" {
		t.Errorf("restored %v and %v", settings.Data, made.Data)
	}
	var done map[string][]string
	if err := json.Unmarshal([]byte(w.download(velerov1.DownloadTargetKindRestoreResourceList, "r")), &done); err != nil {
		t.Fatal(err)
	}
	var got []string
	for kind, names := range done {
		for _, name := range names {
			if strings.HasSuffix(name, "(created)") || strings.HasSuffix(name, "(updated)") {
				got = append(got, kind+" "+name)
			}
		}
	}
	slices.Sort(want)
	slices.Sort(got)
	if len(want) != 2 || !slices.Equal(got, want) {
		t.Errorf("foreseen %q, done %q", want, got)
	}
}

// TestServerLabels shows labels in tables.
func TestServerLabels(t *testing.T) {
	w := newWorld(t)
	w.serve()
	b := w.backup("a")
	b.Labels = map[string]string{"example.com/team": "blue", "x": "y"}
	w.create(b)
	w.awaitBackup("a", velerov1.BackupPhaseCompleted)
	w.hozon([]string{"SELECTOR   TEAM   NONE", "<none>     blue   <none>"}, "backup", "get", "-L", "example.com/team,none")
	w.hozon([]string{"LABELS", "example.com/team=blue,velero.io/storage-location=default,x=y"}, "get", "backups", "--show-labels")
}

// TestServerDebug looks into the file with everything that helps: no Secret is in it.
func TestServerDebug(t *testing.T) {
	w := newWorld(t)
	w.serve()
	w.create(w.backup("a"))
	w.awaitBackup("a", velerov1.BackupPhaseCompleted)
	w.create(w.restore("r", "a", w.app+"-r"))
	w.awaitRestore("r", velerov1.RestorePhaseCompleted)
	w.hozon([]string{"Backed up a total of"}, "backup", "logs", "a") // leaves a request with a signed URL
	w.create(&corev1.Pod{
		ObjectMeta: w.meta("agent"),
		Spec:       corev1.PodSpec{Containers: []corev1.Container{{Name: "c", Image: "i", Env: []corev1.EnvVar{{Name: "PASSWORD", Value: "open sesame"}}}}},
	})
	w.hozon([]string{"Generated debug information bundle: bundle.tar.gz"}, "debug", "--backup", "a", "--restore", "r", "--output", "bundle.tar.gz")
	files := bundle(t, filepath.Join(w.dir, "bundle.tar.gz"))
	for name, text := range map[string]string{
		"version.txt": "hozon v0.0.0-test", "kubecapture/velero.io/backups.json": `"name": "a"`, "kubecapture/velero.io/downloadrequests.json": "BackupLog",
		"kubecapture/velero.io/backupstoragelocations.json": w.ns, "kubecapture/core_v1/pods.json": "(left out)",
		"backup_describe_a.txt": "v1/ConfigMap:", "backup_a.log": "Backed up a total of", "restore_describe_r.txt": "Completed", "restore_r.log": "created",
	} {
		if !strings.Contains(files["velero-bundle/"+name], text) {
			t.Errorf("%s has no %q: %s", name, text, files["velero-bundle/"+name])
		}
	}
	for name, text := range files {
		for _, secret := range []string{w.s3.SecretKey, "open sesame", "X-Amz-Signature"} {
			if strings.Contains(text, secret) {
				t.Errorf("%s has %s", name, secret)
			}
		}
	}
	if text, ok := files["velero-bundle/errors.txt"]; ok {
		t.Errorf("errors: %s", text)
	}
	w.hozon([]string{"- server: hozon v0.0.0-test", "- cluster: v1."}, "bug")
}

func bundle(t *testing.T, name string) map[string]string {
	t.Helper()
	file, err := os.Open(name)
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	zipped, err := gzip.NewReader(file)
	if err != nil {
		t.Fatal(err)
	}
	files := map[string]string{}
	for in := tar.NewReader(zipped); ; {
		h, err := in.Next()
		if err == io.EOF {
			return files
		}
		if err != nil {
			t.Fatal(err)
		}
		text, err := io.ReadAll(in)
		if err != nil {
			t.Fatal(err)
		}
		files[h.Name] = string(text)
	}
}
