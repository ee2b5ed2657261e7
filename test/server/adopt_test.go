// SPDX-License-Identifier: Apache-2.0

package server

import (
	"bytes"
	"compress/gzip"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	velerov1 "hozon.dev/hozon/api/velero/v1"
)

// foreign makes a backup of ours look like one that a real Velero has uploaded and not finished: no manifest, a phase in the
// middle, and a file of operations.
func (w *world) foreign(name string, phase velerov1.BackupPhase, operations string) {
	w.t.Helper()
	folder := filepath.Join(w.s3.BucketDir(w.ns), "backups", name)
	for _, own := range []string{"hozon-manifest.json", "hozon-index.gz"} {
		if err := os.Remove(filepath.Join(folder, own)); err != nil {
			w.t.Fatal(err)
		}
	}
	record := filepath.Join(folder, "velero-backup.json")
	text, err := os.ReadFile(record)
	if err != nil {
		w.t.Fatal(err)
	}
	changed := bytes.Replace(text, []byte(`"phase": "Completed"`), fmt.Appendf(nil, `"phase": %q`, phase), 1)
	if bytes.Equal(text, changed) {
		w.t.Fatalf("the record has no phase Completed:\n%s", text)
	}
	if err := os.WriteFile(record, changed, 0o600); err != nil {
		w.t.Fatal(err)
	}
	var packed bytes.Buffer
	gz := gzip.NewWriter(&packed)
	if _, err := gz.Write([]byte(operations)); err != nil {
		w.t.Fatal(err)
	}
	if err := gz.Close(); err != nil {
		w.t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(folder, name+"-itemoperations.json.gz"), packed.Bytes(), 0o600); err != nil {
		w.t.Fatal(err)
	}
	edit(w, w.backup(name), func(b *velerov1.Backup) {
		b.Status.Phase, b.Status.CompletionTimestamp, b.Annotations = phase, nil, nil
	})
}

// TestServerAdopts brings to their end what a real Velero's server has uploaded and not finished.
func TestServerAdopts(t *testing.T) {
	w := newWorld(t)
	p := w.serve()
	for _, name := range []string{"final", "waits", "partly"} {
		w.create(w.backup(name))
		w.awaitBackup(name, velerov1.BackupPhaseCompleted)
	}
	p.Stop(patience)
	w.foreign("final", velerov1.BackupPhaseFinalizing, `[{"spec":{"operationID":"1"},"status":{"phase":"Completed"}}]`)
	w.foreign("partly", velerov1.BackupPhaseFinalizingPartiallyFailed, `[]`)
	w.foreign("waits", velerov1.BackupPhaseWaitingForPluginOperations, `[{"spec":{"operationID":"1"},"status":{"phase":"InProgress"}}]`)
	w.serve()
	w.awaitBackup("final", velerov1.BackupPhaseCompleted)
	w.awaitBackup("partly", velerov1.BackupPhasePartiallyFailed)
	if b := w.awaitBackup("waits", velerov1.BackupPhasePartiallyFailed); !strings.HasPrefix(b.Status.FailureReason, "1 operations of another server") {
		t.Errorf("waits: %s", b.Status.FailureReason)
	}
	for name, phase := range map[string]string{"final": "Completed", "partly": "PartiallyFailed", "waits": "PartiallyFailed"} {
		text, err := os.ReadFile(filepath.Join(w.s3.BucketDir(w.ns), "backups", name, "velero-backup.json"))
		if err != nil || !strings.Contains(string(text), fmt.Sprintf(`"phase": %q`, phase)) {
			t.Errorf("record of %s, %v:\n%s", name, err, text)
		}
	}
	w.create(w.restore("r", "final", w.app+"-r"))
	w.awaitRestore("r", velerov1.RestorePhaseCompleted)
}
