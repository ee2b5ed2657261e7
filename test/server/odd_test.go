// SPDX-License-Identifier: Apache-2.0

package server

import (
	"testing"

	apierrors "k8s.io/apimachinery/pkg/api/errors"

	velerov1 "hozon.dev/hozon/api/velero/v1"
)

// TestServerOddStatus: objects whose status was written by hand, with dates that nobody can read, numbers below zero and fields that do not exist. The
// server starts, carries out the objects beside them, and lists and deletes them like any other.
func TestServerOddStatus(t *testing.T) {
	w := newWorld(t)
	const small, never = "2026-11-20t12:36:21z", "2026-11-20T12:36:21+00:99"
	progress := map[string]any{"totalItems": -7, "itemsBackedUp": -1}
	statuses := map[string]map[string]any{
		"Backup":                {"phase": "Completed", "startTimestamp": small, "completionTimestamp": never, "expiration": never, "errors": -3, "progress": progress},
		"Restore":               {"phase": "Completed", "startTimestamp": small, "completionTimestamp": never, "warnings": -3},
		"Schedule":              {"phase": "Enabled", "lastBackup": never, "lastSkipped": small},
		"DownloadRequest":       {"phase": "Processed", "expiration": never},
		"DeleteBackupRequest":   {"phase": "Processed", "errors": []any{"x"}},
		"ServerStatusRequest":   {"phase": "Processed", "processedTimestamp": never},
		"PodVolumeBackup":       {"phase": "Failed", "startTimestamp": never, "progress": map[string]any{"totalBytes": -1}},
		"PodVolumeRestore":      {"phase": "Failed", "startTimestamp": small, "completionTimestamp": never},
		"BackupRepository":      {"phase": "NotReady", "lastMaintenanceTime": never, "recentMaintenance": []any{map[string]any{"startTimestamp": small, "result": "Failed"}}},
		"BackupStorageLocation": {"phase": "Unavailable", "lastSyncedTime": never, "lastValidationTime": small},
	}
	specs := map[string]map[string]any{
		"Restore":               {"backupName": "odd"},
		"Schedule":              {"schedule": "0 0 1 1 *", "paused": true, "template": map[string]any{}},
		"DownloadRequest":       {"target": map[string]any{"kind": "BackupLog", "name": "odd"}},
		"DeleteBackupRequest":   {"backupName": "nobody"},
		"PodVolumeBackup":       {"backupStorageLocation": "default", "node": "n", "pod": map[string]any{}, "repoIdentifier": "r", "volume": "v"},
		"PodVolumeRestore":      {"backupStorageLocation": "default", "pod": map[string]any{}, "repoIdentifier": "r", "snapshotID": "s", "sourceNamespace": "n", "volume": "v"},
		"BackupRepository":      {"backupStorageLocation": "none", "maintenanceFrequency": "1h", "repositoryType": "restic", "resticIdentifier": "r", "volumeNamespace": "n"},
		"BackupStorageLocation": {"provider": "aws", "objectStorage": map[string]any{"bucket": "none"}, "config": map[string]any{"region": "x"}},
	}
	put := func(name string) {
		for kind, status := range statuses {
			status["nonsense"] = map[string]any{"a": -1}
			spec := specs[kind]
			if spec == nil {
				spec = map[string]any{}
			}
			o := w.object(kind, name, map[string]any{"spec": spec, "status": status})
			if err := w.client.Create(t.Context(), o); err != nil && !apierrors.IsAlreadyExists(err) {
				t.Fatalf("%s %s: %v", kind, name, err)
			}
		}
	}
	put("odd")
	w.serve()
	w.awaitLocation("default", velerov1.BackupStorageLocationPhaseAvailable)
	put("odder") // while the server watches
	w.create(w.backup("good"))
	w.awaitBackup("good", velerov1.BackupPhaseCompleted)
	w.create(w.restore("good", "good", w.app+"-r"))
	w.awaitRestore("good", velerov1.RestorePhaseCompleted)
	w.hozon([]string{"good"}, "backup", "get")
	w.hozon([]string{"good", "odd", "odder"}, "restore", "get")
	w.hozon([]string{"odd", "odder"}, "schedule", "get")
	w.hozon([]string{"default", "odd", "odder"}, "backup-location", "get")
	w.hozon([]string{"odd"}, "repo", "get")
	w.hozon([]string{"good"}, "backup", "describe", "good", "--details")
	w.hozon([]string{"Name:", "odd"}, "restore", "describe", "odd")
	w.hozon([]string{"odd"}, "restore", "delete", "odd", "--confirm")
	w.hozon(nil, "schedule", "delete", "odd", "--confirm")
	await(w, w.schedule("odd", ""), &velerov1.ScheduleList{}, deleted)
}
