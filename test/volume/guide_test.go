// SPDX-License-Identifier: Apache-2.0

package volume

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"hozon.dev/hozon/internal/cluster/clustertest"
	"hozon.dev/hozon/test/daemon"
)

// TestGuide runs the commands of doc/guide/volume.md, in their order, in the cluster that it speaks of.
func TestGuide(t *testing.T) {
	w := newWorld(t)
	root, err := daemon.Root()
	must(t, err)
	page, err := os.ReadFile(filepath.Join(root, "doc/guide/volume.md"))
	must(t, err)
	uploads, home, old, made := t.TempDir(), t.TempDir(), t.TempDir(), t.TempDir()
	must(t, os.WriteFile(filepath.Join(uploads, "photo.jpg"), []byte("photo"), 0o644))
	for _, name := range []string{"jobs/build/config.xml", "war/big.jar", "caches/x"} {
		must(t, os.MkdirAll(filepath.Dir(filepath.Join(home, name)), 0o755))
		must(t, os.WriteFile(filepath.Join(home, name), []byte(name), 0o644))
	}
	must(t, os.WriteFile(filepath.Join(old, "before"), []byte("before"), 0o644))
	w.kubectl(t, "", "create", "namespace", "test")
	w.kubectl(t, "", "create", "namespace", "jenkins")
	demo := podSpec("test", "demo-2-fxx6d", clustertest.BusyboxName, uploads)
	demo.Spec.Containers[0].VolumeMounts[0].MountPath = "/opt/app-root/src/uploaded"
	w.start(t, demo)
	jenkins := podSpec("jenkins", "jenkins-0", clustertest.BusyboxName, home)
	jenkins.Spec.Containers[0].VolumeMounts[0].MountPath = "/var/jenkins_home"
	w.start(t, jenkins)
	for name, path := range map[string]string{"old": old, "made": made} {
		claim := ""
		if name == "old" {
			claim = `"claimRef":{"namespace":"jenkins","name":"old-home"},`
		}
		w.kubectl(t, fmt.Sprintf(`{"apiVersion":"v1","kind":"PersistentVolume","metadata":{"name":%q},"spec":{%s"capacity":{"storage":"1Gi"},
"accessModes":["ReadWriteOnce"],"storageClassName":"manual","hostPath":{"path":%q}}}`, name, claim, path), "create", "-f", "-")
	}
	w.kubectl(t, `{"apiVersion":"v1","kind":"PersistentVolumeClaim","metadata":{"name":"old-home","namespace":"jenkins"},"spec":{"accessModes":["ReadWriteOnce"],
"storageClassName":"manual","volumeName":"old","resources":{"requests":{"storage":"1Gi"}}}}`, "create", "-f", "-")

	dir := t.TempDir()
	ran := 0
	for _, block := range regexp.MustCompile("(?s)```sh\n(.*?)```").FindAllStringSubmatch(string(page), -1) {
		for command := range strings.Lines(block[1]) {
			cmd := exec.CommandContext(t.Context(), "bash", "-c", command)
			cmd.Dir = dir
			cmd.Env = append(os.Environ(), "PATH="+filepath.Dir(w.hozon)+":"+os.Getenv("PATH"), "KUBECONFIG="+w.Kubeconfig(), "HOZON_HELPER_IMAGE="+helperImage)
			if out, err := cmd.CombinedOutput(); err != nil {
				t.Fatalf("%s: %v\n%s", command, err, out)
			}
			ran++
		}
	}
	if ran < 6 {
		t.Errorf("%d commands were found in the page", ran)
	}
	same(t, uploads, filepath.Join(dir, "uploaded"))
	same(t, old, filepath.Join(dir, "old-home"))
	same(t, filepath.Join(dir, "jenkins-home"), made)
	if _, err := os.Stat(filepath.Join(made, "jobs/build/config.xml")); err != nil {
		t.Error(err)
	}
	if _, err := os.Stat(filepath.Join(made, "war")); err == nil {
		t.Error("what was excluded is there")
	}
}
