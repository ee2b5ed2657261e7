// SPDX-License-Identifier: Apache-2.0

package volume

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"

	"hozon.dev/hozon/internal/cluster/clustertest"
	"hozon.dev/hozon/internal/transfer"
)

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// fill makes a tree with something of everything.
func fill(t testing.TB, root string) {
	t.Helper()
	at := func(name string) string { return filepath.Join(root, name) }
	must(t, os.MkdirAll(at("a/b"), 0o755))
	must(t, os.Mkdir(at("empty"), 0o700))
	for name, content := range map[string]string{
		"plain": "plain", "a/b/deep": "deep", "odd\n\xff name": "odd", "suid": "s", "of someone": "o", "-rf": "r",
		"large": strings.Repeat("abcdefgh", 1<<19),
	} {
		must(t, os.WriteFile(at(name), []byte(content), 0o644))
	}
	must(t, os.Chown(at("of someone"), 1234, 4321))
	must(t, os.Chmod(at("of someone"), 0o600))
	must(t, unix.Chmod(at("suid"), 0o4711))
	must(t, os.Link(at("plain"), at("a/again")))
	must(t, os.Symlink("../plain", at("a/link")))
	must(t, os.Symlink("/etc/passwd", at("absolute")))
	sparse, err := os.Create(at("sparse"))
	must(t, err)
	_, err = sparse.WriteAt([]byte("end"), 100<<20)
	must(t, err)
	must(t, sparse.Close())
}

// describe lists a tree by means of find: mode, owner, links, time, target; and the hash of all content.
func describe(t testing.TB, root string) string {
	t.Helper()
	out, err := exec.Command("bash", "-c", `cd "$1" && find . -printf '%P\t%M\t%U:%G\t%n\t%T@\t%l\n' | sort && find . -type f -print0 | sort -z | xargs -0 sha256sum`, "-", root).CombinedOutput()
	if err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	return string(out)
}

func same(t testing.TB, want, got string) {
	t.Helper()
	if diff := cmp.Diff(describe(t, want), describe(t, got)); diff != "" {
		t.Errorf("the trees differ (-want +got):\n%s", diff)
	}
}

func stats(t testing.TB, out string) transfer.Stats {
	t.Helper()
	var s transfer.Stats
	must(t, json.Unmarshal([]byte(out), &s))
	return s
}

// TestPods pulls from and pushes to a pod with nothing but its own program in the image, and one with a shell.
func TestPods(t *testing.T) {
	w := newWorld(t)
	ns := w.Namespace(t)
	for _, tt := range []struct{ name, image, how string }{
		{"bare", appImage, "container"}, {"shell", clustertest.BusyboxName, "copy"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			data, here := t.TempDir(), filepath.Join(t.TempDir(), "here")
			fill(t, data)
			w.start(t, podSpec(ns, tt.name, tt.image, data))
			place := fmt.Sprintf("%s/%s:/data", ns, tt.name)
			first := stats(t, w.must(t, "volume", "pull", place, here, "--helper", tt.how, "-o", "json"))
			same(t, data, here)
			if first.Bytes > 8<<20 {
				t.Errorf("%d bytes: the hole was sent", first.Bytes)
			}
			must(t, os.WriteFile(filepath.Join(data, "plain"), []byte("changed"), 0o644))
			must(t, os.Remove(filepath.Join(data, "-rf")))
			again := stats(t, w.must(t, "volume", "pull", place, here, "--delete", "--helper", tt.how, "-o", "json"))
			same(t, data, here)
			if again.Sent != 1 || again.Deleted != 1 {
				t.Errorf("one file changed and one is gone: %+v", again)
			}

			must(t, os.WriteFile(filepath.Join(here, "new"), []byte("new"), 0o640))
			must(t, os.Chown(filepath.Join(here, "new"), 99, 98))
			back := stats(t, w.must(t, "volume", "push", here, place, "--helper", tt.how, "-o", "json"))
			same(t, here, data)
			if back.Sent != 1 {
				t.Errorf("one file was new: %+v", back)
			}
			w.must(t, "volume", "push", here, place+"/sub", "--include", "pl*", "--helper", tt.how)
			if got, err := os.ReadFile(filepath.Join(data, "sub", "plain")); string(got) != "changed" {
				t.Errorf("pushed into a new folder: %q, %v", got, err)
			}
			if left, _ := filepath.Glob(data + "/.hozon*"); len(left) > 0 {
				t.Errorf("left: %v", left)
			}
		})
	}
}

// TestOtherUser reaches the files of a container that does not run as root.
func TestOtherUser(t *testing.T) {
	w := newWorld(t)
	ns := w.Namespace(t)
	data, here := t.TempDir(), t.TempDir()
	must(t, os.WriteFile(filepath.Join(data, "mine"), []byte("mine"), 0o600))
	must(t, os.Chown(filepath.Join(data, "mine"), 1234, 1234))
	must(t, os.Chmod(data, 0o755))
	p := podSpec(ns, "user", appImage, data)
	user := int64(1234)
	p.Spec.Containers[0].Name = "app"
	p.Spec.Containers[0].SecurityContext = nil
	p.Spec.SecurityContext = podUser(user)
	w.start(t, p)
	w.must(t, "volume", "pull", ns+"/user:app:/data", here)
	same(t, data, here)

	// Where Pod Security allows the least, the application's own user does it.
	w.kubectl(t, "", "label", "namespace", ns, "pod-security.kubernetes.io/enforce=restricted")
	here = t.TempDir()
	code, out, talk := w.run(t, "volume", "pull", ns+"/user:app:/data", here, "--helper-image", helperImage, "--no-owner")
	if code != 0 {
		t.Errorf("restricted: code %d\n%s%s", code, out, talk)
	}
}

// TestClaims works on a claim that nobody mounts, on one that somebody does, and makes one.
func TestClaims(t *testing.T) {
	w := newWorld(t)
	ns := w.Namespace(t)
	data, here := t.TempDir(), t.TempDir()
	fill(t, data)
	volume := func(name, path string) {
		w.kubectl(t, fmt.Sprintf(`{"apiVersion":"v1","kind":"PersistentVolume","metadata":{"name":%q},"spec":{"capacity":{"storage":"1Gi"},
"accessModes":["ReadWriteOnce"],"storageClassName":%q,"hostPath":{"path":%q}}}`, name, name, path), "create", "-f", "-")
	}
	volume(ns+"-a", data)
	w.kubectl(t, fmt.Sprintf(`{"apiVersion":"v1","kind":"PersistentVolumeClaim","metadata":{"name":"files","namespace":%q},"spec":{"accessModes":["ReadWriteOnce"],
"storageClassName":%q,"resources":{"requests":{"storage":"1Gi"}}}}`, ns, ns+"-a"), "create", "-f", "-")
	w.must(t, "volume", "pull", ns+"/files:/", here)
	same(t, data, here)
	if left := w.kubectl(t, "", "-n", ns, "get", "pods", "-o", "name"); strings.Contains(left, "hozon-") {
		t.Errorf("a pod is left: %s", left)
	}

	other := t.TempDir()
	volume(ns+"-b", other)
	w.must(t, "volume", "push", here, ns+"/made:/", "--create-claim", "500Mi,"+ns+"-b")
	same(t, here, other)

	p := podSpec(ns, "user", appImage, data)
	p.Spec.Volumes[0].HostPath = nil
	p.Spec.Volumes[0].PersistentVolumeClaim = claimSource("files")
	p.Spec.Containers[0].Image = appImage
	w.start(t, p)
	here = t.TempDir()
	w.must(t, "volume", "pull", ns+"/files:/a/b", here)
	same(t, filepath.Join(data, "a/b"), here)

	db := podSpec(ns, "db", appImage, other)
	db.Spec.Containers[0].VolumeMounts[0].MountPath = "/var/lib/mysql"
	w.start(t, db)
	if _, _, talk := w.run(t, "volume", "find", ns); !strings.Contains(talk, "Warning: "+ns+"/db:main:/var/lib/mysql is MySQL: a copy of its files while it runs is no backup; use mysqldump") {
		t.Errorf("find does not warn:\n%s", talk)
	}
	out := w.must(t, "volume", "find", ns)
	for _, want := range []string{"user", "/data", "files", "1Gi", "made"} {
		if !strings.Contains(out, want) {
			t.Errorf("find does not say %s:\n%s", want, out)
		}
	}
}

// TestRefusals are clear, and change nothing.
func TestRefusals(t *testing.T) {
	w := newWorld(t)
	ns := w.Namespace(t)
	data := t.TempDir()
	p := podSpec(ns, "web", appImage, data)
	p.Spec.Containers[0].VolumeMounts[0].ReadOnly = true
	w.start(t, p)
	must(t, os.WriteFile(filepath.Join(data, "file"), nil, 0o644))
	dir := t.TempDir()
	must(t, os.WriteFile(filepath.Join(dir, "x"), []byte("x"), 0o644))
	for _, tt := range []struct {
		args []string
		code int
		text string
	}{
		{[]string{"pull", ns + "/none:/data", dir}, 1, "has no pod and no claim none; its pods: web"},
		{[]string{"pull", "no-such/web:/data", dir}, 1, "there is no namespace no-such"},
		{[]string{"pull", ns + "/web:side:/data", dir}, 1, "has no container side; it has main"},
		{[]string{"pull", ns + "/web:/none", dir}, 1, "the container has no /none"},
		{[]string{"pull", ns + "/web", dir}, 2, "it has no path"},
		{[]string{"push", dir, ns + "/web:/data"}, 1, "read-only"},
		{[]string{"pull", ns + "/web:/data", dir, "--helper", "copy"}, 1, "--helper-image"},
		{[]string{"pull", ns + "/web:/data", dir, "--helper", "container", "--helper-image", "hozon.test/none:1"}, 1, "hozon.test/none:1"},
		{[]string{"pull", ns + "/web:/data", dir, "--exclude", "["}, 2, "pattern"},
		{[]string{"pull", ns + "/web:/data", dir, "--bandwidth", "fast"}, 2, "bandwidth"},
		{[]string{"find", "no-such"}, 1, "no namespace no-such"},
	} {
		t.Run(tt.text, func(t *testing.T) {
			code, out, talk := w.run(t, append([]string{"volume"}, tt.args...)...)
			if code != tt.code || !strings.Contains(talk, tt.text) {
				t.Errorf("%q: code %d, want %d with %q:\n%s%s", tt.args, code, tt.code, tt.text, out, talk)
			}
		})
	}
}
