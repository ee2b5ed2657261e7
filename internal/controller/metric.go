// SPDX-License-Identifier: Apache-2.0

package controller

import (
	"context"
	"maps"
	"strconv"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"sigs.k8s.io/controller-runtime/pkg/client"

	velerov1 "hozon.dev/hozon/api/velero/v1"
)

// Metrics are Velero's metrics, and some of ours, made of what is stored when they are asked for: a restart changes none of them.
// Only the process that leads has them.
type Metrics struct {
	*Tallies
	ControlPlanes *ControlPlanes // nil: nobody looks at their archives
}

// counters are the counters with Velero's label schedule.
var counters = map[string]string{
	"backup_attempt_total":            "Backups that were begun",
	"backup_success_total":            "Backups that were completed",
	"backup_partial_failure_total":    "Backups that were completed with errors",
	"backup_failure_total":            "Backups that failed",
	"backup_validation_failure_total": "Backups that were refused",
	"backup_warning_total":            "Warnings of backups",
	"backup_deletion_attempt_total":   "Deletions of backups that were begun",
	"backup_deletion_success_total":   "Deletions of backups that were completed",
	"backup_deletion_failure_total":   "Deletions of backups that failed",
	"restore_attempt_total":           "Restores that were begun",
	"restore_success_total":           "Restores that were completed",
	"restore_partial_failure_total":   "Restores that were completed with errors",
	"restore_failed_total":            "Restores that failed",
	"restore_validation_failed_total": "Restores that were refused",
	"volume_snapshot_attempt_total":   "Native snapshots that were begun",
	"volume_snapshot_success_total":   "Native snapshots that were taken",
	"volume_snapshot_failure_total":   "Native snapshots that failed",
}

// Describe implements prometheus.Collector. What there is depends on the schedules, so nothing is promised.
func (m *Metrics) Describe(chan<- *prometheus.Desc) {}

// Collect implements prometheus.Collector.
func (m *Metrics) Collect(out chan<- prometheus.Metric) {
	m.mu.Lock()
	lead := m.lead
	t := tally{Counters: map[string]map[string]float64{}, Durations: map[string]*durations{}}
	for name, by := range m.last.Counters {
		t.Counters[name] = maps.Clone(by)
	}
	maps.Copy(t.Durations, m.last.Durations) // each is replaced, never changed, once it is in last
	m.mu.Unlock()
	if !lead {
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	g := &gatherer{Metrics: m, out: out}
	g.gather(ctx, t)
}

type gatherer struct {
	*Metrics
	out       chan<- prometheus.Metric
	schedules map[string]bool
}

func (g *gatherer) gather(ctx context.Context, t tally) {
	var schedules velerov1.ScheduleList
	var backups velerov1.BackupList
	var restores velerov1.RestoreList
	var locations velerov1.BackupStorageLocationList
	for _, list := range []client.ObjectList{&schedules, &backups, &restores, &locations} {
		if err := g.Client.List(ctx, list, client.InNamespace(g.Namespace), client.UnsafeDisableDeepCopy); err != nil {
			g.Log.Warn("metrics are not complete", "error", err)
			return
		}
	}
	g.schedules = map[string]bool{"": true}
	for i := range schedules.Items {
		g.schedules[schedules.Items[i].Name] = true
	}
	for name, help := range counters {
		g.bySchedule(prometheus.CounterValue, "velero_"+name, help, t.Counters[name])
	}
	g.bySchedule(prometheus.CounterValue, "hozon_schedule_missed_total", "Times of a schedule that passed without a backup", t.Counters["schedule_missed_total"])
	g.verified(backups.Items)
	g.histogram(t)
	g.value("velero_backup_total", "Backups that exist", float64(len(backups.Items)))
	g.value("velero_restore_total", "Restores that exist", float64(len(restores.Items)))
	g.latest(backups.Items)
	g.controlPlanes()
	for i := range locations.Items {
		l := &locations.Items[i]
		g.send(prometheus.GaugeValue, "velero_backup_location_status_gauge", "Whether a location is available", "backup_location_name", l.Name, one(l.Status.Phase == velerov1.BackupStorageLocationPhaseAvailable))
	}
	for i := range schedules.Items {
		s := &schedules.Items[i]
		g.send(prometheus.GaugeValue, "hozon_schedule_late_seconds", "How long a backup of a schedule has been due", "schedule", s.Name, g.late(s))
	}
}

func (g *gatherer) bySchedule(kind prometheus.ValueType, name, help string, values map[string]float64) {
	for schedule := range g.schedules {
		g.send(kind, name, help, "schedule", schedule, values[schedule])
	}
	for schedule, value := range values {
		if !g.schedules[schedule] {
			g.send(kind, name, help, "schedule", schedule, value)
		}
	}
}

func (g *gatherer) histogram(t tally) {
	desc := prometheus.NewDesc("velero_backup_duration_seconds", "How long backups took", []string{"schedule"}, nil)
	for schedule, d := range t.Durations {
		bounds := map[float64]uint64{}
		for _, b := range buckets {
			bounds[b.Seconds()] = d.Buckets[b.String()]
		}
		g.out <- prometheus.MustNewConstHistogram(desc, d.Count, d.Sum, bounds, schedule)
	}
}

// latest are the gauges about the newest Backup of each schedule.
func (g *gatherer) latest(all []velerov1.Backup) {
	success, newest := map[string]float64{}, map[string]*velerov1.Backup{}
	for i := range all {
		b := &all[i]
		schedule := b.Labels[velerov1.LabelScheduleName]
		if !done(b.Status.Phase) || b.Status.Phase == velerov1.BackupPhaseDeleting || b.Status.CompletionTimestamp == nil {
			continue
		}
		if b.Status.Phase == velerov1.BackupPhaseCompleted {
			success[schedule] = max(success[schedule], float64(b.Status.CompletionTimestamp.Unix()))
		}
		if n := newest[schedule]; n == nil || n.Status.CompletionTimestamp.Before(b.Status.CompletionTimestamp) {
			newest[schedule] = b
		}
	}
	for schedule, at := range success {
		g.send(prometheus.GaugeValue, "velero_backup_last_successful_timestamp", "When the last backup was completed", "schedule", schedule, at)
	}
	for schedule, b := range newest {
		items := 0
		if b.Status.Progress != nil {
			items = b.Status.Progress.ItemsBackedUp
		}
		g.send(prometheus.GaugeValue, "velero_backup_last_status", "Whether the last backup was completed without errors", "schedule", schedule, one(b.Status.Phase == velerov1.BackupPhaseCompleted))
		g.send(prometheus.GaugeValue, "velero_backup_items_total", "Objects of the last backup", "schedule", schedule, float64(items))
		g.send(prometheus.GaugeValue, "velero_backup_items_errors", "Errors of the last backup", "schedule", schedule, float64(b.Status.Errors))
		if size, err := strconv.ParseFloat(b.Annotations[velerov1.AnnotationArchiveBytes], 64); err == nil {
			g.send(prometheus.GaugeValue, "velero_backup_tarball_size_bytes", "Size of the last backup's archive", "schedule", schedule, size)
		}
	}
}

// verified says how long ago a backup of each schedule was read and found intact, and how many that exist are damaged. Where none was found intact, the
// age is that of the oldest backup that could have been.
func (g *gatherer) verified(all []velerov1.Backup) {
	last, oldest, damaged := map[string]time.Time{}, map[string]time.Time{}, map[string]float64{}
	for i := range all {
		b := &all[i]
		schedule := b.Labels[velerov1.LabelScheduleName]
		if !verifiable(b) {
			continue
		}
		damaged[schedule] += one(b.Annotations[velerov1.AnnotationDamage] != "")
		if at := b.Status.CompletionTimestamp.Time; oldest[schedule].IsZero() || at.Before(oldest[schedule]) {
			oldest[schedule] = at
		}
		at, ok := verifiedAt(b)
		if ok && b.Annotations[velerov1.AnnotationDamage] == "" && at.After(last[schedule]) {
			last[schedule] = at
		}
	}
	for schedule, since := range oldest {
		if at, ok := last[schedule]; ok {
			since = at
		}
		g.send(prometheus.GaugeValue, "hozon_backup_last_verified_age_seconds", "How long ago a backup was read and found intact", "schedule", schedule, g.Now().Sub(since).Seconds())
		g.send(prometheus.GaugeValue, "hozon_backup_damaged", "Backups that are damaged", "schedule", schedule, damaged[schedule])
	}
}

// late is for how long, in seconds, a schedule's backup has been due.
func (g *gatherer) late(s *velerov1.Schedule) float64 {
	plan, text := parseCron(s.Spec.Schedule)
	if text != "" || s.Spec.Paused {
		return 0
	}
	from := s.CreationTimestamp.Time
	if s.Status.LastBackup != nil {
		from = s.Status.LastBackup.Time
	}
	if s.Status.LastSkipped != nil && s.Status.LastSkipped.After(from) {
		from = s.Status.LastSkipped.Time
	}
	due := plan.Next(from)
	if due.IsZero() {
		return 0
	}
	return max(0, g.Now().Sub(due).Seconds())
}

func (g *gatherer) value(name, help string, value float64) {
	g.out <- prometheus.MustNewConstMetric(prometheus.NewDesc(name, help, nil, nil), prometheus.GaugeValue, value)
}

func (g *gatherer) send(kind prometheus.ValueType, name, help, label, at string, value float64) {
	g.out <- prometheus.MustNewConstMetric(prometheus.NewDesc(name, help, []string{label}, nil), kind, value, at)
}

func one(yes bool) float64 {
	if yes {
		return 1
	}
	return 0
}
