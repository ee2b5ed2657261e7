// SPDX-License-Identifier: Apache-2.0

package server

import (
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	velerov1 "hozon.dev/hozon/api/velero/v1"
)

// TestServerBackup makes a backup by way of a custom resource, and looks at all of its files and at the time it took.
func TestServerBackup(t *testing.T) {
	w := newWorld(t)
	w.serve()
	w.awaitLocation("default", velerov1.BackupStorageLocationPhaseAvailable)
	var best time.Duration
	for _, name := range []string{"one", "two", "three"} {
		began := time.Now()
		w.create(w.backup(name))
		b := w.awaitBackup(name, velerov1.BackupPhaseCompleted)
		took := time.Since(began)
		if best == 0 || took < best {
			best = took
		}
		if b.Status.Progress == nil || b.Status.Progress.ItemsBackedUp < 2 || b.Status.Expiration == nil || b.Labels[velerov1.LabelStorageLocation] != "default" {
			t.Errorf("backup %+v", b)
		}
	}
	t.Logf("created to Completed: %v", best)
	if best > 500*time.Millisecond {
		t.Errorf("a small backup took %v at best", best)
	}
	want := []string{
		"hozon-index.gz", "hozon-manifest.json", "one-itemoperations.json.gz", "one-logs.gz", "one-podvolumebackups.json.gz", "one-resource-list.json.gz",
		"one-results.gz", "one-volumeinfo.json.gz", "one-volumesnapshots.json.gz", "one.tar.gz", "velero-backup.json",
	}
	got := w.stored("backups/one")
	slices.Sort(got)
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("files of the backup:\n%s", diff)
	}
	if left := w.stored("metadata/hozon/runs"); len(left) > 0 {
		t.Errorf("claims are left: %v", left)
	}
}
