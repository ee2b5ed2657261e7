// SPDX-License-Identifier: Apache-2.0

package server

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	velerov1 "hozon.dev/hozon/api/velero/v1"
	"hozon.dev/hozon/internal/store"
	"hozon.dev/hozon/test/daemon"
)

// killedAt kills a server in the middle of a backup: when the plugin has come to a place with a volume. meanwhile is done before the next server starts.
func (d *disks) killedAt(p *daemon.Process, name, place string, meanwhile func()) *daemon.Process {
	d.t.Helper()
	hold, held := filepath.Join(d.root, "hold-"+place), filepath.Join(d.root, "held-"+place)
	if err := os.WriteFile(hold, nil, 0o600); err != nil {
		d.t.Fatal(err)
	}
	d.create(d.backup(name))
	d.until("the plugin comes to "+place, func() bool {
		_, err := os.Stat(held)
		return err == nil
	})
	p.Kill()
	for _, file := range []string{hold, held} {
		if err := os.Remove(file); err != nil {
			d.t.Fatal(err)
		}
	}
	meanwhile()
	return d.start()
}

// until waits for what is no object.
func (w *world) until(what string, met func() bool) {
	w.t.Helper()
	for deadline := time.Now().Add(patience); !met(); time.Sleep(50 * time.Millisecond) {
		if time.Now().After(deadline) {
			w.t.Fatalf("waited %v in vain: %s", patience, what)
		}
	}
}

// snapshotsOf are those that the storage has of a backup, and those that the backup lists.
func (d *disks) snapshotsOf(backup string) (there, listedIDs []string) {
	d.t.Helper()
	for _, name := range d.folders("snapshots") {
		if id, ok := strings.CutSuffix(name, ".tags"); ok && strings.Contains(id, "-"+backup) {
			there = append(there, id)
		}
	}
	for _, s := range listed[store.Snapshot](d.world, velerov1.DownloadTargetKindBackupVolumeSnapshots, backup) {
		listedIDs = append(listedIDs, s.Status.ID)
	}
	slices.Sort(listedIDs)
	return there, listedIDs
}

// TestServerKilledWithSnapshots kills the server after it has taken native snapshots, and before the backup that lists them exists: whoever comes next removes
// them, also if nobody wants the backup any more. Of one whose id was never told there is a warning.
func TestServerKilledWithSnapshots(t *testing.T) {
	d := newDisks(t)
	d.env = []string{inPod}
	d.disk("first", "v1")
	second := d.disk("second", "v2")
	p := d.start()

	p = d.killedAt(p, "again", "look-v2", func() {
		if there := d.folders("snapshots"); !slices.Contains(there, "snap-v1-again") {
			t.Fatalf("the run had taken no snapshot when it was killed: %v", there)
		}
	})
	b := d.awaitBackup("again", velerov1.BackupPhaseCompleted)
	if b.Annotations["hozon.dev/attempt"] != "2" || b.Status.Warnings != 0 || b.Status.VolumeSnapshotsCompleted != 2 {
		t.Errorf("annotations %v, status %+v", b.Annotations, b.Status)
	}
	if there, ids := d.snapshotsOf("again"); len(ids) != 2 || !slices.Equal(there, ids) {
		t.Errorf("there are snapshots %v, and the backup lists %v", there, ids)
	}

	p = d.killedAt(p, "unsure", "made-v2", func() {})
	b = d.awaitBackup("unsure", velerov1.BackupPhaseCompleted)
	results := d.download(velerov1.DownloadTargetKindBackupResults, "unsure")
	if b.Status.Warnings != 1 || !strings.Contains(results, "a snapshot of volume "+second.Name+" (location disks, v2) was being taken") ||
		!strings.Contains(results, "velero.io/pv="+second.Name) {
		t.Errorf("%d warnings: %s", b.Status.Warnings, results)
	}
	there, ids := d.snapshotsOf("unsure")
	unknown := slices.DeleteFunc(slices.Clone(there), func(id string) bool { return slices.Contains(ids, id) })
	if len(ids) != 2 || !slices.Equal(unknown, []string{"snap-v2-unsure"}) {
		t.Errorf("there are snapshots %v, and the backup lists %v", there, ids)
	}

	d.killedAt(p, "gone", "look-v2", func() { d.drop(d.backup("gone")) })
	d.until("the snapshots of a Backup that is gone are removed, and the record of them", func() bool {
		return !slices.Contains(d.folders("snapshots"), "snap-v1-gone") && len(d.stored("metadata/hozon/snapshots")) == 0
	})
	if left := d.stored("backups"); slices.Contains(left, "gone") {
		t.Errorf("folders %v", left)
	}
}
