// SPDX-License-Identifier: Apache-2.0

package podvolume

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	velerov1 "hozon.dev/hozon/api/velero/v1"
	"hozon.dev/hozon/internal/vault/vaulttest"
	"hozon.dev/hozon/internal/volume"
)

// TestOwnPassword: repositories have the password of the user's Secret; `volume get` finds it in the Secret, in a file, in the environment, and, like the server, in the
// location when the Secret has gone with its cluster.
func TestOwnPassword(t *testing.T) {
	const own = "one of one's own"
	w := newWorld(t, "")
	w.kubectl("", "-n", w.ns, "create", "secret", "generic", "velero-repo-credentials", "--from-literal=repository-password="+own)
	w.yaml(`
apiVersion: v1
kind: Pod
metadata: {name: writer, namespace: APP, annotations: {backup.velero.io/backup-volumes: scratch}}
spec:
  terminationGracePeriodSeconds: 0
  containers: [{name: main, image: "IMAGE", imagePullPolicy: Never, command: [/bin/sleep, "1000000"], volumeMounts: [{name: scratch, mountPath: /scratch}]}]
  volumes: [{name: scratch, emptyDir: {}}]
`)
	w.awaitPod(w.app, "writer")
	odd(t, w.in(w.app, "writer", "scratch"))
	w.all()
	w.hozon(0, "backup", "create", "b", "--include-namespaces", w.app, "--snapshot-volumes=false", "--wait")
	want := vaulttest.Disk(t, w.in(w.app, "writer", "scratch"))
	bucket := filepath.Join(w.root, "bucket")
	key := filepath.Join(bucket, volume.KeyObject)
	if text, err := os.ReadFile(key); err != nil || string(text) != own+"\n" {
		t.Errorf("the location's key: %q, %v", text, err)
	}
	file := filepath.Join(t.TempDir(), "password")
	for path, text := range map[string]string{file: own + "\n", file + ".wrong": "a guess\n"} {
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	gets := func(code int, args ...string) string {
		t.Helper()
		to := t.TempDir()
		out := w.hozon(code, append([]string{"volume", "get", "b", w.app + "/writer:scratch", "/", to}, args...)...)
		if code == 0 {
			vaulttest.Compare(t, vaulttest.Disk(t, to), want)
		}
		for _, secret := range []string{own, "a guess"} {
			if strings.Contains(out, secret) {
				t.Errorf("it tells a password:\n%s", out)
			}
		}
		return out
	}
	const wrong = "the password is wrong"
	gets(0, "--store", bucket) // the location's key
	gets(0)                    // that, and the Secret
	contains(t, gets(1, "--store", bucket, "--password-file", file+".wrong"), wrong, "another password is given by --password-file or HOZON_REPO_PASSWORD")
	if err := os.Rename(key, key+".away"); err != nil {
		t.Fatal(err)
	}
	contains(t, gets(1, "--store", bucket), wrong)
	gets(0) // the Secret
	gets(0, "--store", bucket, "--password-file", file)
	t.Setenv("HOZON_REPO_PASSWORD", own)
	gets(0, "--store", bucket)
	contains(t, gets(1, "--password-file", file+".wrong"), wrong) // a file comes before the environment
	t.Setenv("HOZON_REPO_PASSWORD", "a guess")
	contains(t, gets(1), wrong) // which comes before the Secret
	t.Setenv("HOZON_REPO_PASSWORD", "")

	// Nobody knows it: each volume says so, and is no hindrance to the rest. The key comes back: so does the volume, without the Secret.
	w.kubectl("", "-n", w.ns, "delete", "secret", "velero-repo-credentials")
	lost := w.app + "-lost"
	contains(t, w.hozon(3, "restore", "create", "lost", "--from-backup", "b", "--namespace-mappings", w.app+":"+lost, "--wait"), "PartiallyFailed")
	contains(t, w.hozon(0, "restore", "describe", "lost"), "volume scratch of pod "+lost+"/writer did not get all of its files", wrong, "velero-repo-credentials")
	if err := os.Rename(key+".away", key); err != nil {
		t.Fatal(err)
	}
	var r velerov1.Restore
	back := w.app + "-back"
	w.hozon(0, "restore", "create", "back", "--from-backup", "b", "--namespace-mappings", w.app+":"+back, "--wait")
	w.ended("restore", "back", &r)
	w.awaitPod(back, "writer")
	vaulttest.Compare(t, vaulttest.Disk(t, w.in(back, "writer", "scratch")), want)
}
