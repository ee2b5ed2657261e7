// SPDX-License-Identifier: Apache-2.0

package server

import (
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	velerov1 "hozon.dev/hozon/api/velero/v1"
	"hozon.dev/hozon/test/daemon"
)

// TestPeerPlugin takes a backup through its life at a location that the real velero-plugin-for-aws keeps, which dies in between.
func TestPeerPlugin(t *testing.T) {
	if os.Getenv("HOZON_PEER") == "" {
		t.Skip("needs the real plugin: make peer")
	}
	const plugin = "velero-plugin-for-aws"
	path, err := daemon.Build(t.Context(), "tools/build", "bench/velero-aws", "github.com/vmware-tanzu/"+plugin+"/"+plugin, plugin)
	if err != nil {
		t.Fatal(err)
	}
	w := newWorld(t)
	w.env = []string{"AWS_EC2_METADATA_DISABLED=true"}
	edit(w, w.location("default", "", false), func(l *velerov1.BackupStorageLocation) {
		l.Annotations = map[string]string{velerov1.AnnotationObjectStore: "plugin"}
		l.Spec.Config["checksumAlgorithm"] = "" // the test's S3 server lacks the one that the plugin takes by itself
	})
	w.fill(50)
	server := w.serve("--plugin-dir", filepath.Dir(path))
	w.awaitLocation("default", velerov1.BackupStorageLocationPhaseAvailable)
	w.hozon([]string{"Completed"}, "backup", "create", "a", "--include-namespaces", w.app, "--wait")
	if len(children(t, server.PID(), plugin)) == 0 {
		t.Fatal("the plugin does not run: the location is not its")
	}
	w.hozon([]string{"Backed up a total of"}, "backup", "logs", "a") // by a URL that the plugin has signed
	w.hozon([]string{"Phase:  Completed", w.app + "/filling-49"}, "backup", "describe", "a", "--details")
	w.hozon([]string{"has been successfully downloaded"}, "backup", "download", "a", "-o", filepath.Join(w.dir, "a.tar.gz"))

	for _, pid := range children(t, server.PID(), plugin) {
		if out, err := exec.CommandContext(t.Context(), "kill", "-9", pid).CombinedOutput(); err != nil {
			t.Fatalf("%v: %s", err, out)
		}
	}
	target := w.app + "-r"
	w.hozon([]string{"Restore completed with status: Completed"}, "restore", "create", "r", "--from-backup", "a", "--namespace-mappings", w.app+":"+target, "--wait")
	w.get(&corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Namespace: target, Name: "filling-49"}})
	w.hozon([]string{target + "/filling-49(created)"}, "restore", "describe", "r", "--details")
	w.hozon([]string{"created"}, "restore", "logs", "r")
	w.hozon([]string{"Completed"}, "backup", "create", "b", "--include-namespaces", w.app, "--wait")
	w.sound() // read by the driver that is built in: what the plugin has written is no different

	w.create(w.deletion("d", "a"))
	await(w, w.backup("a"), &velerov1.BackupList{}, deleted)
	if left := w.stored("backups"); len(left) != 1 || left[0] != "b" {
		t.Errorf("left in the bucket: %v", left)
	}
}

// children are the processes of a program that another one has started.
func children(t *testing.T, parent int, name string) []string {
	t.Helper()
	entries, err := os.ReadDir("/proc")
	if err != nil {
		t.Fatal(err)
	}
	var all []string
	for _, e := range entries {
		line, err := os.ReadFile(filepath.Join("/proc", e.Name(), "cmdline"))
		if err != nil || !strings.Contains(string(line), name) {
			continue
		}
		status, err := os.ReadFile(filepath.Join("/proc", e.Name(), "status"))
		if err == nil && strings.Contains(string(status), "\nPPid:\t"+strconv.Itoa(parent)+"\n") {
			all = append(all, e.Name())
		}
	}
	return all
}
