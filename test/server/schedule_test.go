// SPDX-License-Identifier: Apache-2.0

package server

import (
	"strings"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	velerov1 "hozon.dev/hozon/api/velero/v1"
)

func (w *world) schedule(name, line string) *velerov1.Schedule {
	return &velerov1.Schedule{
		ObjectMeta: w.meta(name),
		Spec:       velerov1.ScheduleSpec{Schedule: line, Template: velerov1.BackupSpec{IncludedNamespaces: []string{w.app}}},
	}
}

func (w *world) backupsOf(schedule string) []velerov1.Backup {
	w.t.Helper()
	var all velerov1.BackupList
	if err := w.client.List(w.t.Context(), &all, client.InNamespace(w.ns), client.MatchingLabels{velerov1.LabelScheduleName: schedule}); err != nil {
		w.t.Fatal(err)
	}
	return all.Items
}

// lastBackup waits until a schedule has made a backup after a time, and returns when that was.
func (w *world) lastBackup(name string, from time.Time) time.Time {
	w.t.Helper()
	s := await(w, w.schedule(name, ""), &velerov1.ScheduleList{}, func(s *velerov1.Schedule) bool {
		return s.Status.LastBackup != nil && s.Status.LastBackup.After(from)
	})
	return s.Status.LastBackup.Time
}

// TestServerSchedule lets a schedule fire, and looks at how late it is, and at what it makes.
func TestServerSchedule(t *testing.T) {
	w := newWorld(t)
	w.serve()
	w.awaitLocation("default", velerov1.BackupStorageLocationPhaseAvailable)
	s := w.schedule("often", "@every 5s")
	s.Labels = map[string]string{"team": "a"}
	s.Spec.UseOwnerReferencesInBackup = new(true)
	w.create(s)
	due := s.CreationTimestamp.Add(5 * time.Second)
	first := w.lastBackup("often", s.CreationTimestamp.Time)
	late := time.Since(due)
	t.Logf("late by %v at most, with the way back", late)
	if late > 2*time.Second {
		t.Errorf("the schedule was late by %v", late)
	}
	w.lastBackup("often", first)
	edit(w, s, func(s *velerov1.Schedule) { s.Spec.Paused = true })
	made := w.backupsOf("often")
	if len(made) < 2 || len(made) > 3 {
		t.Fatalf("it made %d backups", len(made))
	}
	b := w.awaitBackup(made[0].Name, velerov1.BackupPhaseCompleted)
	if b.Labels["team"] != "a" || len(b.OwnerReferences) != 1 || b.OwnerReferences[0].UID != s.UID || !strings.HasPrefix(b.Name, "often-20") {
		t.Errorf("it made %+v", b.ObjectMeta)
	}
}

// TestServerMissed looks at what becomes of times that passed while no server ran: one backup, or none if the schedule says so.
func TestServerMissed(t *testing.T) {
	w := newWorld(t)
	hour := metav1.NewTime(time.Now().Add(-5 * time.Hour))
	for name, skip := range map[string]bool{"missed": false, "skipped": true} {
		s := w.schedule(name, "@every 1h")
		s.Spec.SkipImmediately = &skip
		s.Status = velerov1.ScheduleStatus{Phase: velerov1.SchedulePhaseEnabled, LastBackup: &hour}
		w.create(s)
	}
	bad := w.schedule("bad", "at noon")
	w.create(bad)
	w.serve()
	bad = await(w, bad, &velerov1.ScheduleList{}, func(s *velerov1.Schedule) bool { return s.Status.Phase == velerov1.SchedulePhaseFailedValidation })
	if got := bad.Status.ValidationErrors; len(got) != 1 || !strings.HasPrefix(got[0], "invalid schedule: expected exactly 5 fields") {
		t.Errorf("a bad line: %q", got)
	}
	skipped := await(w, w.schedule("skipped", ""), &velerov1.ScheduleList{}, func(s *velerov1.Schedule) bool { return s.Status.LastSkipped != nil })
	if *skipped.Spec.SkipImmediately || len(w.backupsOf("skipped")) > 0 {
		t.Errorf("skipped: %+v, %d backups", skipped.Spec, len(w.backupsOf("skipped")))
	}
	w.lastBackup("missed", hour.Time)
	w.serverPass()
	if made := w.backupsOf("missed"); len(made) != 1 {
		t.Errorf("for five times that were missed it made %d backups", len(made))
	}
	w.awaitMetrics([]string{`hozon_schedule_missed_total{schedule="missed"} 4`, `hozon_schedule_missed_total{schedule="skipped"} 0`})
}

// serverPass returns when the server has dealt with all that came before: it has one worker for schedules.
func (w *world) serverPass() {
	w.t.Helper()
	mark := w.schedule("mark", "no line")
	w.create(mark)
	await(w, mark, &velerov1.ScheduleList{}, func(s *velerov1.Schedule) bool { return s.Status.Phase != "" })
}

// TestServerRetry looks at a scheduled backup that failed: it is made again, twice at most, and not if somebody cancelled it.
func TestServerRetry(t *testing.T) {
	w := newWorld(t)
	before := metav1.NewTime(time.Now().Add(-11 * time.Minute))
	ago := metav1.NewTime(before.Add(time.Minute))
	for name, annotations := range map[string]map[string]string{
		"once": {"hozon.dev/retry": "0"}, "twice": {"hozon.dev/retry": "1"}, "enough": {"hozon.dev/retry": "2"},
		"cancelled": {"hozon.dev/retry": "0", "hozon.dev/cancel": "true"}, "by-hand": nil,
	} {
		s := w.schedule(name, "@every 1h")
		s.Status.LastBackup = &before
		w.create(s)
		b := w.backup(name + "-1")
		b.Labels, b.Annotations = map[string]string{velerov1.LabelScheduleName: name}, annotations
		b.Status = velerov1.BackupStatus{Phase: velerov1.BackupPhaseFailed, CompletionTimestamp: &ago}
		w.create(b)
	}
	w.serve()
	for name, retry := range map[string]string{"once": "1", "twice": "2"} {
		w.lastBackup(name, before.Time)
		made := w.backupsOf(name)
		if len(made) != 2 || made[0].Annotations["hozon.dev/retry"] != retry && made[1].Annotations["hozon.dev/retry"] != retry {
			t.Errorf("%s: %d backups", name, len(made))
		}
	}
	w.serverPass()
	for _, name := range []string{"enough", "cancelled", "by-hand"} {
		if made := w.backupsOf(name); len(made) != 1 {
			t.Errorf("%s: %d backups", name, len(made))
		}
	}
}
