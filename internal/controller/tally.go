// SPDX-License-Identifier: Apache-2.0

package controller

import (
	"context"
	"encoding/json"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/handler"
	"sigs.k8s.io/controller-runtime/pkg/manager"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	velerov1 "hozon.dev/hozon/api/velero/v1"
)

// tallyName is the ConfigMap that keeps the counters.
const tallyName = "hozon-counters"

// tally is what the counters stand at. A run is counted once, when its object is seen to be final: its UID is kept in the same write as the
// counter, until the object is gone. So a counter neither falls when an object goes nor starts again when the server does.
type tally struct {
	Counted   map[string]bool               `json:"counted"`
	Counters  map[string]map[string]float64 `json:"counters"`  // metric, schedule
	Durations map[string]*durations         `json:"durations"` // of backups, by schedule
}

// durations is a histogram with the bounds of buckets.
type durations struct {
	Count   uint64            `json:"count"`
	Sum     float64           `json:"sum"`
	Buckets map[string]uint64 `json:"buckets"` // by the upper bound, cumulative
}

// buckets are Velero's upper bounds for the time that backups take.
var buckets = []time.Duration{
	time.Minute, 5 * time.Minute, 10 * time.Minute, 15 * time.Minute, 30 * time.Minute, time.Hour, 2 * time.Hour, 3 * time.Hour, 4 * time.Hour,
}

// Tallies counts runs. It is a controller whose every event means the same: count again.
type Tallies struct {
	*Site

	mu   sync.Mutex
	last tally
	lead bool // this process has counted: it leads
}

// Add hands the controller to a manager.
func (r *Tallies) Add(m manager.Manager) error {
	all := handler.EnqueueRequestsFromMapFunc(func(context.Context, client.Object) []reconcile.Request {
		return []reconcile.Request{{NamespacedName: r.key(tallyName)}}
	})
	return build(m, "tally").Watches(&velerov1.Backup{}, all).Watches(&velerov1.Restore{}, all).Watches(&velerov1.Schedule{}, all).
		Watches(&velerov1.BackupStorageLocation{}, all).Complete(r)
}

// Reconcile counts what is final and was not counted.
func (r *Tallies) Reconcile(ctx context.Context, _ reconcile.Request) (reconcile.Result, error) {
	var backups velerov1.BackupList
	if err := r.Client.List(ctx, &backups, client.InNamespace(r.Namespace), client.UnsafeDisableDeepCopy); err != nil {
		return reconcile.Result{}, err
	}
	var restores velerov1.RestoreList
	if err := r.Client.List(ctx, &restores, client.InNamespace(r.Namespace), client.UnsafeDisableDeepCopy); err != nil {
		return reconcile.Result{}, err
	}
	return stale(r.update(ctx, func(t *tally) bool {
		here := map[string]bool{}
		changed := false
		for i := range backups.Items {
			b := &backups.Items[i]
			here[string(b.UID)] = true
			changed = t.once(b, done(b.Status.Phase), func() { t.backup(b) }) || changed
		}
		for i := range restores.Items {
			o := &restores.Items[i]
			here[string(o.UID)] = true
			changed = t.once(o, over(o.Status.Phase), func() { t.restore(o) }) || changed
		}
		for uid := range t.Counted {
			if !here[uid] {
				delete(t.Counted, uid)
				changed = true
			}
		}
		return changed
	}))
}

// add counts one more of something.
func (r *Tallies) add(ctx context.Context, metric, schedule string) { r.addN(ctx, metric, schedule, 1) }

func (r *Tallies) addN(ctx context.Context, metric, schedule string, n int) {
	err := r.update(ctx, func(t *tally) bool {
		t.count(metric, schedule, float64(n))
		return true
	})
	if err != nil {
		r.Log.Warn("not counted", "metric", metric, "error", err)
	}
}

// update changes the stored tally.
func (r *Tallies) update(ctx context.Context, change func(*tally) bool) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	stored := &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Namespace: r.Namespace, Name: tallyName}}
	err := r.Live.Get(ctx, client.ObjectKeyFromObject(stored), stored)
	missing := apierrors.IsNotFound(err)
	if err != nil && !missing {
		return err
	}
	var t tally
	if text := stored.Data["tally"]; text != "" {
		if err := json.Unmarshal([]byte(text), &t); err != nil {
			r.Log.Warn("the counters cannot be read, and start anew", "object", tallyName, "error", err)
			t = tally{}
		}
	}
	t.init()
	if change(&t) {
		data, err := json.Marshal(t)
		if err != nil {
			return err
		}
		stored.Data = map[string]string{"tally": string(data)}
		if missing {
			err = r.Client.Create(ctx, stored)
		} else {
			err = r.Client.Update(ctx, stored)
		}
		if err != nil {
			return err
		}
	}
	r.last, r.lead = t, true
	return nil
}

func (t *tally) init() {
	if t.Counted == nil {
		t.Counted = map[string]bool{}
	}
	if t.Counters == nil {
		t.Counters = map[string]map[string]float64{}
	}
	if t.Durations == nil {
		t.Durations = map[string]*durations{}
	}
}

// once counts an object that is final, was carried out in this cluster, and was not counted before.
func (t *tally) once(o client.Object, final bool, count func()) bool {
	uid := string(o.GetUID())
	if !final || run(o) == "" || t.Counted[uid] {
		return false
	}
	t.Counted[uid] = true
	count()
	return true
}

func (t *tally) count(metric, schedule string, n float64) {
	if t.Counters[metric] == nil {
		t.Counters[metric] = map[string]float64{}
	}
	t.Counters[metric][schedule] += n
}

func (t *tally) backup(b *velerov1.Backup) {
	schedule := b.Labels[velerov1.LabelScheduleName]
	if b.Status.Phase == velerov1.BackupPhaseFailedValidation {
		t.count("backup_validation_failure_total", schedule, 1)
		return
	}
	t.count("backup_attempt_total", schedule, 1)
	switch b.Status.Phase {
	case velerov1.BackupPhasePartiallyFailed:
		t.count("backup_partial_failure_total", schedule, 1)
	case velerov1.BackupPhaseFailed:
		t.count("backup_failure_total", schedule, 1)
	default: // Completed, or Deleting before it was counted
		t.count("backup_success_total", schedule, 1)
	}
	t.count("backup_warning_total", schedule, float64(b.Status.Warnings))
	attempted, completed := b.Status.VolumeSnapshotsAttempted, b.Status.VolumeSnapshotsCompleted
	t.count("volume_snapshot_attempt_total", schedule, float64(attempted))
	t.count("volume_snapshot_success_total", schedule, float64(completed))
	t.count("volume_snapshot_failure_total", schedule, float64(attempted-completed))
	if b.Status.StartTimestamp == nil || b.Status.CompletionTimestamp == nil {
		return
	}
	d := t.Durations[schedule]
	if d == nil {
		d = &durations{Buckets: map[string]uint64{}}
		t.Durations[schedule] = d
	}
	took := b.Status.CompletionTimestamp.Sub(b.Status.StartTimestamp.Time)
	d.Count++
	d.Sum += took.Seconds()
	for _, bound := range buckets {
		if took <= bound {
			d.Buckets[bound.String()]++
		}
	}
}

func (t *tally) restore(o *velerov1.Restore) {
	schedule := o.Labels[velerov1.LabelScheduleName]
	if o.Status.Phase == velerov1.RestorePhaseFailedValidation {
		t.count("restore_validation_failed_total", schedule, 1)
		return
	}
	t.count("restore_attempt_total", schedule, 1)
	switch o.Status.Phase {
	case velerov1.RestorePhasePartiallyFailed:
		t.count("restore_partial_failure_total", schedule, 1)
	case velerov1.RestorePhaseFailed:
		t.count("restore_failed_total", schedule, 1)
	default:
		t.count("restore_success_total", schedule, 1)
	}
}

// over says that the phase of a Restore is final.
func over(p velerov1.RestorePhase) bool {
	switch p {
	case velerov1.RestorePhaseFailedValidation, velerov1.RestorePhaseCompleted, velerov1.RestorePhasePartiallyFailed, velerov1.RestorePhaseFailed:
		return true
	}
	return false
}
