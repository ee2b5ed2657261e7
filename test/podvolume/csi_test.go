// SPDX-License-Identifier: Apache-2.0

package podvolume

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"hozon.dev/hozon/internal/cluster/clustertest"
	"hozon.dev/hozon/internal/vault/vaulttest"
	"hozon.dev/hozon/test/daemon"
)

// csiDriver is what tools/csi calls itself.
const csiDriver = "folder.csi.hozon.test"

// started is the CSI driver on the node of all tests. It ends with the node.
var started struct {
	once sync.Once
	err  error
}

// driver starts a CSI driver on the node: a process as root in the node's namespaces, as a privileged pod is. The kubelet speaks to it as to any other.
func (w *world) driver() {
	w.t.Helper()
	started.once.Do(func() { started.err = w.startDriver() })
	if started.err != nil {
		w.t.Fatal(started.err)
	}
}

func (w *world) startDriver() error {
	binary, err := daemon.Build(w.t.Context(), "tools/build", "tools/csi", ".", "csi")
	if err != nil {
		return err
	}
	w.kubectl(fmt.Sprintf(`
apiVersion: storage.k8s.io/v1
kind: CSIDriver
metadata: {name: %s}
spec: {attachRequired: false, podInfoOnMount: true, fsGroupPolicy: None, volumeLifecycleModes: [Persistent, Ephemeral]}
`, csiDriver), "create", "-f", "-")
	namespaces := filepath.Join(filepath.Dir(w.NodeRoot()), "ns")
	process, err := daemon.Start(daemon.Command{
		Name: "csi", Path: "nsenter", Dir: w.Dir,
		Args: []string{"--mount=" + filepath.Join(namespaces, "mnt"), "--pid=" + filepath.Join(namespaces, "pid"), "--", binary, "-node", clustertest.NodeName},
	})
	if err != nil {
		return err
	}
	for deadline := time.Now().Add(patience); process.Running(); time.Sleep(100 * time.Millisecond) {
		drivers := w.kubectl("", "get", "csinodes", clustertest.NodeName, "-o", "jsonpath={.spec.drivers[*].name}")
		if strings.Contains(drivers, csiDriver) {
			return nil
		}
		if time.Now().After(deadline) {
			return fmt.Errorf("the kubelet has not taken the driver in %s, but %q:\n%s", patience, drivers, process.LogTail(40))
		}
	}
	return fmt.Errorf("the driver ended:\n%s", process.LogTail(40))
}

// csiClass makes a storage class, whose claims are bound when somebody wants to use them.
func (w *world) csiClass(name string) {
	w.t.Helper()
	w.class(name, 0)
}

// csiVolume makes a free volume of a class. files is the sort of its file system; "": one that loses nothing.
func (w *world) csiVolume(class, name, files string) {
	w.t.Helper()
	w.kubectl(fmt.Sprintf(`
apiVersion: v1
kind: PersistentVolume
metadata: {name: %[1]s-%[3]s}
spec:
  capacity: {storage: 1Gi}
  accessModes: [ReadWriteOnce, ReadWriteMany]
  storageClassName: %[2]s
  csi: {driver: %[4]s, volumeHandle: %[1]s-%[3]s, volumeAttributes: {files: %[5]q}}
`, w.app, class, name, csiDriver, files), "create", "-f", "-")
}

// csi is the folder of a volume of a CSI driver, which is mounted one folder deeper than others.
func (w *world) csi(namespace, pod, name string) string {
	w.t.Helper()
	return filepath.Join(w.in(namespace, pod, name), "mount")
}

// csiClaim is the folder of a claim of a CSI driver.
func (w *world) csiClaim(namespace, pod, claim string) string {
	w.t.Helper()
	return w.csi(namespace, pod, w.kubectl("", "-n", namespace, "get", "pvc", claim, "-o", "jsonpath={.spec.volumeName}"))
}

// csiKeeper is a workload with a claim of a CSI driver, and a volume of it that goes with the pod. It says when it found them filled.
const csiKeeper = `
apiVersion: v1
kind: PersistentVolumeClaim
metadata: {name: data, namespace: APP}
spec: {accessModes: [ReadWriteOnce], storageClassName: CLASS, resources: {requests: {storage: 1Gi}}}
---
apiVersion: apps/v1
kind: StatefulSet
metadata: {name: keeper, namespace: APP}
spec:
  replicas: 1
  serviceName: keeper
  selector: {matchLabels: {app: keeper}}
  template:
    metadata: {labels: {app: keeper}}
    spec:
      terminationGracePeriodSeconds: 0
      containers:
      - name: main
        image: "IMAGE"
        imagePullPolicy: Never
        command: [/bin/sh, -c, "[ -e /data/owned ] && [ -e /inline/owned ] && echo was filled; exec sleep 1000000"]
        volumeMounts: [{name: data, mountPath: /data}, {name: inline, mountPath: /inline}]
      volumes: [{name: data, persistentVolumeClaim: {claimName: data}}, {name: inline, csi: {driver: DRIVER}}]
`

// deployCSI starts the workload, and fills its volumes.
func (w *world) deployCSI(class string) {
	w.t.Helper()
	w.csiClass(class)
	w.csiVolume(class, "first", "")
	w.yaml(strings.NewReplacer("CLASS", class, "DRIVER", csiDriver).Replace(csiKeeper))
	w.awaitPod(w.app, "keeper-0")
	for _, folder := range []string{w.csiClaim(w.app, "keeper-0", "data"), w.csi(w.app, "keeper-0", "inline")} {
		odd(w.t, folder)
		vaulttest.Special(w.t, folder)
	}
}

// unmarked waits until what told the helper that a volume is filled is taken away.
func (w *world) unmarked(folder string) {
	w.t.Helper()
	mark := filepath.Join(folder, ".velero")
	for deadline := time.Now().Add(patience); ; time.Sleep(50 * time.Millisecond) {
		if _, err := os.Lstat(mark); os.IsNotExist(err) {
			return
		}
		if time.Now().After(deadline) {
			w.t.Fatalf("%s is still there after %s", mark, patience)
		}
	}
}

// TestCSI: volumes of a CSI driver, those of claims and those that are defined in the pod, there and back: whole, before the workload starts.
func TestCSI(t *testing.T) {
	w := newWorld(t, "")
	w.driver()
	w.deployCSI("csi-folder")
	w.all()
	data, inline := vaulttest.Disk(t, w.csiClaim(w.app, "keeper-0", "data")), vaulttest.Disk(t, w.csi(w.app, "keeper-0", "inline"))
	if len(data) < 20 || len(inline) != len(data) {
		t.Fatalf("%d and %d files are to be saved", len(data), len(inline))
	}
	contains(t, w.hozon(0, "backup", "create", "b", "--include-namespaces", w.app, "--default-volumes-to-fs-backup", "--snapshot-volumes=false", "--wait"), "Completed")
	contains(t, w.hozon(0, "backup", "describe", "b", "--details"), w.app+"/keeper-0: data (size: ", "inline (size: ")

	other := w.app + "-other"
	w.csiVolume("csi-folder", "second", "")
	contains(t, w.hozon(0, "restore", "create", "r", "--from-backup", "b", "--namespace-mappings", w.app+":"+other, "--wait"), "Completed")
	w.awaitPod(other, "keeper-0")
	w.unmarked(w.csi(other, "keeper-0", "inline"))
	vaulttest.Compare(t, vaulttest.Disk(t, w.csiClaim(other, "keeper-0", "data")), data)
	vaulttest.Compare(t, vaulttest.Disk(t, w.csi(other, "keeper-0", "inline")), inline)
	contains(t, w.kubectl("", "-n", other, "logs", "keeper-0", "-c", "main"), "was filled")
	w.settled()
}

// TestLossy: a volume whose file system forgets owners, or has no attributes, gets its files and a warning that names it.
func TestLossy(t *testing.T) {
	if _, err := os.Stat("/dev/fuse"); err != nil {
		t.Skipf("this kernel has no FUSE: %v", err)
	}
	w := newWorld(t, "")
	w.driver()
	w.deployCSI("csi-lossy")
	w.all()
	want := vaulttest.Disk(t, w.csiClaim(w.app, "keeper-0", "data"))
	w.hozon(0, "backup", "create", "b", "--include-namespaces", w.app, "--default-volumes-to-fs-backup", "--snapshot-volumes=false", "--wait")
	for files, lost := range map[string]struct {
		text   string
		forget func(*vaulttest.Entry)
	}{
		"ownerless": {"its file system did not keep owner or mode of ", func(e *vaulttest.Entry) { e.UID, e.GID = 0, 0 }},
		"plain":     {"its file system has no place for extended attributes, or ACLs, of ", func(e *vaulttest.Entry) { e.Xattrs = nil }},
	} {
		t.Run(files, func(t *testing.T) {
			w := *w
			w.t = t
			other := w.app + "-" + files
			w.csiVolume("csi-lossy", files, files)
			w.hozon(0, "restore", "create", files, "--from-backup", "b", "--namespace-mappings", w.app+":"+other, "--wait")
			w.awaitPod(other, "keeper-0")
			got := vaulttest.Disk(t, w.csiClaim(other, "keeper-0", "data"))
			expected := append([]vaulttest.Entry{}, want...)
			for i := range expected {
				lost.forget(&expected[i])
			}
			for i := range got {
				lost.forget(&got[i]) // a new file belongs to whoever made it
			}
			vaulttest.Compare(t, got, expected)
			messages := w.kubectl("", "-n", w.ns, "get", "podvolumerestores", "-l", "velero.io/restore-name="+files, "-o", `jsonpath={range .items[*]}{.spec.volume} {.status.phase} {.status.message}{"\n"}{end}`)
			contains(t, messages, "data Completed", lost.text, "inline Completed \n")
			told := w.hozon(0, "restore", "describe", files, "--details")
			contains(t, strings.Join(strings.Fields(told), " "), "Phase: Completed Total", "PersistentVolumeClaim data: ", lost.text)
		})
	}
}
