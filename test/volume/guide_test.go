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

	corev1 "k8s.io/api/core/v1"

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
	must(t, os.WriteFile(filepath.Join(uploads, "ocp_sop.txt"), []byte("how we do it on this cluster...\n"), 0o644))
	must(t, os.Mkdir(filepath.Join(uploads, "lost+found"), 0o700))
	for _, name := range []string{"jobs/build/config.xml", "war/big.jar", "caches/x"} {
		must(t, os.MkdirAll(filepath.Dir(filepath.Join(home, name)), 0o755))
		must(t, os.WriteFile(filepath.Join(home, name), []byte(name), 0o644))
	}
	must(t, os.WriteFile(filepath.Join(old, "before"), []byte("before"), 0o644))
	w.kubectl(t, "", "create", "namespace", "test")
	w.kubectl(t, "", "create", "namespace", "jenkins")
	demo := podSpec("test", "demo-2-fxx6d", clustertest.BusyboxName, uploads)
	demo.Spec.Containers[0].Name = "demo"
	demo.Spec.Containers[0].VolumeMounts[0].MountPath = "/opt/app-root/src/uploaded"
	w.start(t, demo)
	for _, v := range []struct{ name, claim, class, path string }{{"old", "old-home", "manual", old}, {"made", "", "manual", made}, {"data", "jenkins", "data", home}} {
		ref := ""
		if v.claim != "" {
			ref = fmt.Sprintf(`"claimRef":{"namespace":"jenkins","name":%q},`, v.claim)
		}
		w.kubectl(t, fmt.Sprintf(`{"apiVersion":"v1","kind":"PersistentVolume","metadata":{"name":%q},"spec":{%s"capacity":{"storage":"1Gi"},
"accessModes":["ReadWriteOnce"],"storageClassName":%q,"hostPath":{"path":%q}}}`, v.name, ref, v.class, v.path), "create", "-f", "-")
		if v.claim != "" {
			w.kubectl(t, fmt.Sprintf(`{"apiVersion":"v1","kind":"PersistentVolumeClaim","metadata":{"name":%q,"namespace":"jenkins"},"spec":{"accessModes":["ReadWriteOnce"],
"storageClassName":%q,"volumeName":%q,"resources":{"requests":{"storage":"1Gi"}}}}`, v.claim, v.class, v.name), "create", "-f", "-")
		}
	}
	jenkins := podSpec("jenkins", "jenkins-1-37nux", clustertest.BusyboxName, home)
	jenkins.Spec.Containers[0].Name = "jenkins"
	jenkins.Spec.Containers[0].VolumeMounts[0] = corev1.VolumeMount{Name: "jenkins-data", MountPath: "/var/lib/jenkins"}
	jenkins.Spec.Volumes[0] = corev1.Volume{Name: "jenkins-data", VolumeSource: corev1.VolumeSource{PersistentVolumeClaim: claimSource("jenkins")}}
	w.start(t, jenkins)

	dir := t.TempDir()
	ran := 0
	shown := regexp.MustCompile("(?s)```\n(POD .*?)```").FindStringSubmatch(string(page))
	if shown == nil {
		t.Fatal("the page shows no volumes")
	}
	for _, block := range regexp.MustCompile("(?s)```sh\n(.*?)```").FindAllStringSubmatch(string(page), -1) {
		for command := range strings.Lines(block[1]) {
			cmd := exec.CommandContext(t.Context(), "bash", "-c", command)
			cmd.Dir = dir
			cmd.Env = append(os.Environ(), "PATH="+filepath.Dir(w.hozon)+":"+os.Getenv("PATH"), "KUBECONFIG="+w.Kubeconfig(), "HOZON_HELPER_IMAGE="+helperImage)
			out, err := cmd.CombinedOutput()
			if err != nil {
				t.Fatalf("%s: %v\n%s", command, err, out)
			}
			if command == "hozon volume find jenkins\n" && string(out) != shown[1] {
				t.Errorf("the page shows\n%s\nthere is\n%s", shown[1], out)
			}
			ran++
		}
	}
	if ran < 6 {
		t.Errorf("%d commands were found in the page", ran)
	}
	same(t, uploads, filepath.Join(dir, "uploaded"))
	same(t, old, filepath.Join(dir, "old-home"))
	same(t, filepath.Join(dir, "jenkins-backup"), made)
	if _, err := os.Stat(filepath.Join(made, "jobs/build/config.xml")); err != nil {
		t.Error(err)
	}
	if _, err := os.Stat(filepath.Join(made, "war")); err == nil {
		t.Error("what was excluded is there")
	}
}
