// SPDX-License-Identifier: Apache-2.0

package podvolume

import (
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	velerov1 "hozon.dev/hozon/api/velero/v1"
	"hozon.dev/hozon/internal/store"
	"hozon.dev/hozon/internal/vault/vaulttest"
)

// much makes the volume of the claim so large that there is a middle in which to kill.
func (w *world) much() {
	w.t.Helper()
	cmd := exec.Command("/bin/sh", "-c", "for i in 1 2 3 4 5 6; do head -c 100000000 /dev/urandom > big$i; done; echo small > small")
	cmd.Dir = w.data(w.app)
	if out, err := cmd.CombinedOutput(); err != nil {
		w.t.Fatalf("%v: %s", err, out)
	}
}

// moving waits until data of a volume of a kind are on their way.
func (w *world) moving(kind string) {
	w.t.Helper()
	for deadline := time.Now().Add(patience); time.Now().Before(deadline); time.Sleep(30 * time.Millisecond) {
		if strings.Contains(w.kubectl("", "-n", w.ns, "get", kind, "-o", "jsonpath={.items[*].status.phase}"), "InProgress") {
			return
		}
	}
	w.t.Fatalf("no %s began", kind)
}

// settled: nothing is under way, and what mounted claims is gone.
func (w *world) settled() {
	w.t.Helper()
	for _, kind := range []string{"podvolumebackups", "podvolumerestores"} {
		for _, phase := range strings.Fields(w.kubectl("", "-n", w.ns, "get", kind, "-o", "jsonpath={.items[*].status.phase}")) {
			if phase != "Completed" && phase != "Failed" && phase != "Canceled" {
				w.t.Errorf("a %s is left %s", kind, phase)
			}
		}
	}
	if left := w.kubectl("", "get", "pods", "-A", "-l", "hozon.dev/mover=true", "-o", "name"); left != "" {
		w.t.Errorf("movers are left: %s", left)
	}
	if out, _ := exec.Command("find", filepath.Join(w.root, "bucket/metadata/hozon/runs"), "-type", "f").Output(); len(out) > 0 { // where nothing runs there may be no folder
		w.t.Errorf("records of runs are left: %s", out)
	}
}

func (w *world) backup(name string) *velerov1.Backup {
	w.t.Helper()
	w.hozon(0, "backup", "create", name, "--include-namespaces", w.app, "--snapshot-volumes=false")
	return &velerov1.Backup{}
}

// TestKilledBackup kills the agent, then the server, in the middle of a backup: it ends well, leaves nothing behind, and so does the next.
func TestKilledBackup(t *testing.T) {
	w := newWorld(t, "")
	w.deploy(1)
	w.much()
	w.announce()
	server, agent := w.serve(), w.node()

	b := w.backup("agent")
	w.moving("podvolumebackups")
	agent.Kill()
	w.node()
	w.ended("backup", "agent", b)
	if b.Status.Phase != velerov1.BackupPhaseCompleted {
		t.Errorf("with the agent killed it is %s", b.Status.Phase)
	}

	b = w.backup("server")
	w.moving("podvolumebackups")
	server.Kill()
	w.serve()
	w.ended("backup", "server", b)
	if b.Status.Phase != velerov1.BackupPhaseCompleted || b.Annotations[velerov1.AnnotationAttempt] != "2" {
		t.Errorf("with the server killed it is %s after %s attempts", b.Status.Phase, b.Annotations[velerov1.AnnotationAttempt])
	}
	var saved []velerov1.PodVolumeBackup
	if err := w.open().ReadJSON(t.Context(), store.Backup, "server", store.PodVolumeBackups, &saved); err != nil {
		t.Fatal(err)
	}
	for deadline := time.Now().Add(patience); ; time.Sleep(200 * time.Millisecond) {
		names := strings.Fields(w.kubectl("", "-n", w.ns, "get", "podvolumebackups", "-l", "velero.io/backup-name=server", "-o", "jsonpath={.items[*].metadata.name}"))
		if len(names) == len(saved) && len(saved) == 2 {
			break
		}
		if time.Now().After(deadline) {
			t.Fatalf("%d are recorded, %d are in the cluster", len(saved), len(names))
		}
	}
	w.hozon(0, "backup", "create", "next", "--include-namespaces", w.app, "--snapshot-volumes=false", "--wait")
	w.settled()
}

// TestKilledRestore kills the server in the middle of a restore, then removes a mover in the middle of another: both end, and leave nothing behind.
func TestKilledRestore(t *testing.T) {
	w := newWorld(t, "")
	w.deploy(3)
	w.much()
	w.announce()
	server := w.serve()
	w.node()
	w.hozon(0, "backup", "create", "b", "--include-namespaces", w.app, "--snapshot-volumes=false", "--wait")
	want := without(vaulttest.Disk(t, w.data(w.app)))

	var r velerov1.Restore
	w.hozon(0, "restore", "create", "killed", "--from-backup", "b", "--namespace-mappings", w.app+":"+w.app+"-a")
	w.moving("podvolumerestores")
	server.Kill()
	w.serve()
	w.ended("restore", "killed", &r)
	if r.Status.Phase != velerov1.RestorePhaseCompleted {
		t.Errorf("with the server killed it is %s: %s", r.Status.Phase, w.hozon(0, "restore", "describe", "killed"))
	}
	w.awaitPod(w.app+"-a", "keeper-0")
	vaulttest.Compare(t, without(vaulttest.Disk(t, w.data(w.app+"-a"))), want)
	w.settled()

	w.hozon(0, "restore", "create", "gone", "--from-backup", "b", "--namespace-mappings", w.app+":"+w.app+"-b")
	w.moving("podvolumerestores")
	w.kubectl("", "delete", "pod", "-A", "-l", "hozon.dev/mover=true", "--grace-period=0", "--force")
	w.ended("restore", "gone", &r)
	if r.Status.Phase != velerov1.RestorePhasePartiallyFailed {
		t.Errorf("without its mover it is %s", r.Status.Phase)
	}
	contains(t, w.hozon(0, "restore", "describe", "gone"), "PersistentVolumeClaim data did not get all of its files: somebody deleted pod "+w.app+"-b/hozon-mover-", "delete the claim, and restore again")
	w.awaitPod(w.app+"-b", "keeper-0")
	w.settled()
}

// TestUnbound: a claim for which there is no volume is told of, and everything else comes back.
func TestUnbound(t *testing.T) {
	w := newWorld(t, "")
	w.deploy(1)
	odd(t, w.in(w.app, "keeper-0", "scratch"))
	w.all("--resource-timeout", "15s")
	w.hozon(0, "backup", "create", "b", "--include-namespaces", w.app, "--snapshot-volumes=false", "--wait")
	other := w.app + "-other"
	out := w.hozon(3, "restore", "create", "r", "--from-backup", "b", "--namespace-mappings", w.app+":"+other, "--wait")
	contains(t, out, "PartiallyFailed")
	contains(t, w.hozon(0, "restore", "describe", "r"), "PersistentVolumeClaim data did not get all of its files", "claim data (storage class", "is Pending: give the cluster a volume for it")
	w.kubectl("", "-n", other, "get", "configmap", "settings")
	w.settled()
}
