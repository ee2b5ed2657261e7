// SPDX-License-Identifier: Apache-2.0

package server

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	velerov1 "hozon.dev/hozon/api/velero/v1"
)

// TestServerVerifies: the newest backup is read again, what is wrong with it is written on it, and when it is whole again that goes away.
func TestServerVerifies(t *testing.T) {
	w := newWorld(t)
	w.serve("--verify-frequency", "1s")
	w.create(w.backup("a"))
	w.awaitBackup("a", velerov1.BackupPhaseCompleted)
	await(w, w.backup("a"), &velerov1.BackupList{}, func(b *velerov1.Backup) bool { return b.Annotations[velerov1.AnnotationVerified] != "" })
	w.awaitMetrics([]string{`hozon_backup_damaged{schedule=""} 0`})
	if all := w.http("/metrics"); !strings.Contains(all, `hozon_backup_last_verified_age_seconds{schedule=""} `) {
		t.Errorf("no age in\n%s", all)
	}

	archive := filepath.Join(w.s3.BucketDir(w.ns), "backups/a/a.tar.gz")
	whole, err := os.ReadFile(archive)
	if err != nil {
		t.Fatal(err)
	}
	broken := append([]byte{}, whole...)
	broken[len(broken)/2] ^= 1
	if err := os.WriteFile(archive, broken, 0o600); err != nil {
		t.Fatal(err)
	}
	b := await(w, w.backup("a"), &velerov1.BackupList{}, func(b *velerov1.Backup) bool { return b.Annotations[velerov1.AnnotationDamage] != "" })
	if text := b.Annotations[velerov1.AnnotationDamage]; !strings.Contains(text, "damages, the first: a.tar.gz") {
		t.Errorf("damage: %s", text)
	}
	w.awaitMetrics([]string{`hozon_backup_damaged{schedule=""} 1`})

	if err := os.WriteFile(archive, whole, 0o600); err != nil {
		t.Fatal(err)
	}
	await(w, w.backup("a"), &velerov1.BackupList{}, func(b *velerov1.Backup) bool { return b.Annotations[velerov1.AnnotationDamage] == "" })
}
