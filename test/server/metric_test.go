// SPDX-License-Identifier: Apache-2.0

package server

import (
	"slices"
	"strings"
	"testing"
	"time"

	eventsv1 "k8s.io/api/events/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	velerov1 "hozon.dev/hozon/api/velero/v1"
)

// metrics are the lines of ours and Velero's at /metrics, without those of times.
func (w *world) metrics() []string {
	var lines []string
	for line := range strings.Lines(w.http("/metrics")) {
		own := strings.HasPrefix(line, "velero_") || strings.HasPrefix(line, "hozon_")
		if own && !strings.Contains(line, "duration") && !strings.Contains(line, "_age_") {
			lines = append(lines, strings.TrimSpace(line))
		}
	}
	return lines
}

// TestServerMetrics looks at the metrics, and that neither a restart nor a deletion changes what has been counted.
func TestServerMetrics(t *testing.T) {
	w := newWorld(t)
	s := w.schedule("nightly", "@every 24h")
	w.create(s)
	p := w.servePod()
	w.awaitLocation("default", velerov1.BackupStorageLocationPhaseAvailable)
	b := w.backup("a")
	b.Labels = map[string]string{velerov1.LabelScheduleName: "nightly"}
	w.create(b)
	w.awaitBackup("a", velerov1.BackupPhaseCompleted)
	w.create(&velerov1.Backup{ObjectMeta: w.meta("bad"), Spec: velerov1.BackupSpec{StorageLocation: "gone"}})
	w.awaitBackup("bad", velerov1.BackupPhaseFailedValidation)
	w.create(w.restore("r", "a", w.app+"-r"))
	w.awaitRestore("r", velerov1.RestorePhaseCompleted)
	want := []string{
		`velero_backup_attempt_total{schedule="nightly"} 1`,
		`velero_backup_success_total{schedule="nightly"} 1`,
		`velero_backup_failure_total{schedule="nightly"} 0`,
		`velero_backup_validation_failure_total{schedule=""} 1`,
		`velero_backup_last_status{schedule="nightly"} 1`,
		`velero_backup_total 2`,
		`velero_restore_success_total{schedule="nightly"} 1`,
		`velero_backup_location_status_gauge{backup_location_name="default"} 1`,
		`hozon_schedule_late_seconds{schedule="nightly"} 0`,
	}
	before := w.awaitMetrics(want)
	p.Kill()
	w.servePod()
	after := w.awaitMetrics(want)
	slices.Sort(before)
	slices.Sort(after)
	if !slices.Equal(before, after) {
		t.Errorf("a restart changed\n%s\nto\n%s", strings.Join(before, "\n"), strings.Join(after, "\n"))
	}
	if !strings.Contains(w.http("/metrics"), `velero_backup_duration_seconds_count{schedule="nightly"} 1`) {
		t.Error("the duration was not counted")
	}
	w.create(w.deletion("d", "a"))
	await(w, w.backup("a"), &velerov1.BackupList{}, deleted)
	w.awaitMetrics([]string{
		`velero_backup_success_total{schedule="nightly"} 1`, `velero_backup_deletion_attempt_total{schedule="nightly"} 1`,
		`velero_backup_deletion_success_total{schedule="nightly"} 1`, `velero_backup_total 1`,
	})
}

// awaitMetrics waits until all lines are there: they follow the cache. It returns all.
func (w *world) awaitMetrics(want []string) []string {
	w.t.Helper()
	var lines, missing []string
	for deadline := time.Now().Add(patience); time.Now().Before(deadline); time.Sleep(20 * time.Millisecond) {
		lines, missing = w.metrics(), nil
		for _, line := range want {
			if !slices.Contains(lines, line) {
				missing = append(missing, line)
			}
		}
		if len(missing) == 0 {
			return lines
		}
	}
	w.t.Fatalf("missing: %v in\n%s", missing, strings.Join(lines, "\n"))
	return nil
}

// TestServerEvents looks at the events that tell what became of a backup.
func TestServerEvents(t *testing.T) {
	w := newWorld(t)
	w.serve()
	w.create(w.backup("a"))
	w.awaitBackup("a", velerov1.BackupPhaseCompleted)
	w.awaitEvent("Backup", "a", "the backup begins")
	w.awaitEvent("Backup", "a", "Completed")
}

// awaitEvent waits for an event about an object whose reason or text has some words.
func (w *world) awaitEvent(kind, name, words string) {
	w.t.Helper()
	var notes []string
	for deadline := time.Now().Add(patience); time.Now().Before(deadline); time.Sleep(20 * time.Millisecond) {
		var all eventsv1.EventList
		if err := w.client.List(w.t.Context(), &all, client.InNamespace(w.ns)); err != nil {
			w.t.Fatal(err)
		}
		notes = nil
		for _, e := range all.Items {
			if e.Regarding.Kind == kind && e.Regarding.Name == name {
				notes = append(notes, e.Reason+": "+e.Note)
			}
		}
		if strings.Contains(strings.Join(notes, "\n"), words) {
			return
		}
	}
	w.t.Errorf("no event of %s %s says %q: there are %q", kind, name, words, notes)
}
