// SPDX-License-Identifier: Apache-2.0

package podvolume

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	velerov1 "hozon.dev/hozon/api/velero/v1"
	"hozon.dev/hozon/internal/store"
	"hozon.dev/hozon/internal/vault/vaulttest"
)

// keeper is a pod with a claim, a folder of its own, an ephemeral claim's worth of nothing to save, and a folder of the node.
const keeper = `
apiVersion: v1
kind: PersistentVolumeClaim
metadata: {name: data, namespace: APP}
spec: {accessModes: [ReadWriteOnce], storageClassName: local-disk, resources: {requests: {storage: 1Gi}}}
---
apiVersion: apps/v1
kind: StatefulSet
metadata: {name: keeper, namespace: APP}
spec:
  replicas: 1
  serviceName: keeper
  selector: {matchLabels: {app: keeper}}
  template:
    metadata:
      labels: {app: keeper}
      annotations:
        backup.velero.io/backup-volumes: "data,scratch"
        pre.hook.backup.velero.io/command: '["/bin/sh", "-c", "echo frozen > /data/state"]'
        post.hook.backup.velero.io/command: '["/bin/sh", "-c", "echo thawed > /data/state"]'
    spec:
      terminationGracePeriodSeconds: 0
      containers: [{name: main, image: "IMAGE", imagePullPolicy: Never, command: [/bin/sleep, "1000000"], volumeMounts: [{name: data, mountPath: /data}, {name: scratch, mountPath: /scratch}]}]
      volumes: [{name: data, persistentVolumeClaim: {claimName: data}}, {name: scratch, emptyDir: {}}]
---
apiVersion: v1
kind: ConfigMap
metadata: {name: settings, namespace: APP}
`

// odd fills a folder with what file backups get wrong: links, holes, owners, modes, attributes, names, times, pipes.
func odd(t *testing.T, folder string) {
	t.Helper()
	script := `set -e
mkdir -p deep/er/est; echo hello > deep/er/est/file; ln deep/er/est/file hard; ln -s deep/er link; ln -s /nowhere dangling
echo secret > owned; chown 1234:4321 owned; chmod 4750 owned; mkdir shared; chmod 1777 shared; chown 7:8 shared
truncate -s 8M hole; printf end >> hole; head -c 3000000 /dev/urandom > random; : > empty; mkfifo pipe
printf x > "$(printf 'odd \377\n name')"; touch -d '2001-02-03 04:05:06.789' hello-old; setfattr -n user.colour -v blue owned 2>/dev/null || true
touch -d '2002-03-04 05:06:07' deep/er deep; chmod 750 .; chown 55:66 .
`
	cmd := exec.Command("/bin/sh", "-c", script)
	cmd.Dir = folder
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
}

func (w *world) deploy(volumes int) {
	w.t.Helper()
	w.class("local-disk", volumes)
	w.yaml(keeper)
	w.awaitPod(w.app, "keeper-0")
}

// awaitPod waits for a pod, which a controller makes.
func (w *world) awaitPod(namespace, name string) {
	w.t.Helper()
	w.kubectl("", "-n", namespace, "wait", "--timeout=120s", "--for=create", "pod/"+name)
	w.kubectl("", "-n", namespace, "wait", "--timeout=120s", "--for=condition=Ready", "pod/"+name)
}

// data is the folder of the claim of the pod.
func (w *world) data(namespace string) string {
	w.t.Helper()
	return w.in(namespace, "keeper-0", w.kubectl("", "-n", namespace, "get", "pvc", "data", "-o", "jsonpath={.spec.volumeName}"))
}

// without leaves out what hooks write.
func without(list []vaulttest.Entry) []vaulttest.Entry {
	var out []vaulttest.Entry
	for _, e := range list {
		if e.Path != "state" {
			out = append(out, e)
		}
	}
	return out
}

// TestThereAndBack: save, save again, destroy, bring back, bring back into another namespace, delete; by the command, with real pods.
func TestThereAndBack(t *testing.T) {
	w := newWorld(t, "")
	w.deploy(3)
	w.all()
	odd(t, w.data(w.app))
	odd(t, w.in(w.app, "keeper-0", "scratch"))
	data, scratch := without(vaulttest.Disk(t, w.data(w.app))), vaulttest.Disk(t, w.in(w.app, "keeper-0", "scratch"))

	out := w.hozon(0, "backup", "create", "one", "--include-namespaces", w.app, "--snapshot-volumes=false", "--wait")
	contains(t, out, "Completed")
	if state, _ := os.ReadFile(filepath.Join(w.data(w.app), "state")); string(state) != "thawed\n" {
		t.Errorf("the hooks left %q", state)
	}
	w.twice()
	contains(t, w.hozon(0, "backup", "describe", "one", "--details"), "Pod Volume Backups - kopia:", "Completed", w.app+"/keeper-0: data (size: ")

	w.kubectl("", "delete", "namespace", w.app, "--timeout=120s")
	out = w.hozon(0, "restore", "create", "back", "--from-backup", "one", "--wait")
	contains(t, out, "Completed")
	w.awaitPod(w.app, "keeper-0")
	vaulttest.Compare(t, without(vaulttest.Disk(t, w.data(w.app))), data)
	vaulttest.Compare(t, vaulttest.Disk(t, w.in(w.app, "keeper-0", "scratch")), scratch)
	contains(t, w.hozon(0, "restore", "describe", "back", "--details"), "kopia Restores:", "Completed", w.app)

	other := w.app + "-other"
	dry := w.hozon(0, "restore", "create", "dry", "--from-backup", "one", "--namespace-mappings", w.app+":"+other, "--dry-run")
	contains(t, dry, "its files come from snapshot")
	w.hozon(0, "restore", "create", "other", "--from-backup", "one", "--namespace-mappings", w.app+":"+other, "--wait")
	w.awaitPod(other, "keeper-0")
	vaulttest.Compare(t, without(vaulttest.Disk(t, w.data(other))), data)
	if left := w.kubectl("", "get", "pods", "-A", "-l", "hozon.dev/mover=true", "-o", "name"); left != "" {
		t.Errorf("movers are left: %s", left)
	}
	w.hozon(0, "backup", "delete", "one", "--confirm")
	w.kubectl("", "-n", w.ns, "wait", "--for=delete", "backup/one", "--timeout=120s")
	if n := w.snapshots(); n != 2 {
		t.Errorf("%d snapshots are left, want the two of the second backup", n)
	}
}

// twice makes a second backup, which reads only what has changed.
func (w *world) twice() {
	w.t.Helper()
	if err := os.WriteFile(filepath.Join(w.data(w.app), "empty"), []byte("not any more"), 0o600); err != nil {
		w.t.Fatal(err)
	}
	began := time.Now()
	w.hozon(0, "backup", "create", "two", "--include-namespaces", w.app, "--snapshot-volumes=false", "--wait")
	w.t.Logf("the second backup took %s", time.Since(began).Round(time.Millisecond))
	var saved []velerov1.PodVolumeBackup
	if err := w.open().ReadJSON(w.t.Context(), store.Backup, "two", store.PodVolumeBackups, &saved); err != nil {
		w.t.Fatal(err)
	}
	if len(saved) != 2 {
		w.t.Fatalf("%d volumes are recorded", len(saved))
	}
	for _, b := range saved {
		s := b.Status
		if s.Phase != velerov1.PodVolumeBackupPhaseCompleted || s.SnapshotID == "" || s.Progress.TotalBytes < 11_000_000 || s.IncrementalBytes > 100 {
			w.t.Errorf("volume %s: %+v", b.Spec.Volume, s)
		}
	}
	if err := os.WriteFile(filepath.Join(w.data(w.app), "empty"), nil, 0o600); err != nil {
		w.t.Fatal(err)
	}
}

// snapshots is how many the repository of the world's namespace has.
func (w *world) snapshots() int {
	w.t.Helper()
	out := w.hozon(0, "volume", "ls", "two", "--store", filepath.Join(w.root, "bucket"))
	return strings.Count(out, "Completed")
}

// TestRefused: what cannot be saved is told of its volume, with the way out, and everything else is saved.
func TestRefused(t *testing.T) {
	w := newWorld(t, "")
	w.yaml(`
apiVersion: v1
kind: Pod
metadata: {name: many, namespace: APP, annotations: {backup.velero.io/backup-volumes: "good,node,settings,typo"}}
spec:
  terminationGracePeriodSeconds: 0
  containers: [{name: main, image: "IMAGE", imagePullPolicy: Never, command: [/bin/sh, -c, "echo kept > /good/file; exec sleep 1000000"],
    volumeMounts: [{name: good, mountPath: /good}, {name: node, mountPath: /node}, {name: settings, mountPath: /settings}]}]
  volumes: [{name: good, emptyDir: {}}, {name: node, hostPath: {path: /tmp}}, {name: settings, configMap: {name: kube-root-ca.crt}}]
`)
	w.awaitPod(w.app, "many")
	w.serve()
	args := []string{"--include-namespaces", w.app, "--snapshot-volumes=false", "--wait"}
	w.hozon(3, append([]string{"backup", "create", "none"}, args...)...)
	contains(t, w.hozon(0, "backup", "describe", "none"), "PartiallyFailed", "no node agent runs in namespace "+w.ns+": install it with `hozon install --use-node-agent`")

	w.announce()
	w.node()
	w.hozon(3, append([]string{"backup", "create", "some"}, args...)...)
	got := w.hozon(0, "backup", "describe", "some", "--details")
	contains(t, got, "PartiallyFailed", "volume node of pod "+w.app+"/many: its files are not saved:", "volume typo of pod "+w.app+"/many",
		"the pod has no volume of that name", w.app+"/many: good (size: 5, incremental size: 5)")
}
