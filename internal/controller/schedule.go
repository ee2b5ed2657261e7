// SPDX-License-Identifier: Apache-2.0

package controller

import (
	"context"
	"fmt"
	"reflect"
	"strconv"
	"sync"
	"time"

	"github.com/robfig/cron/v3"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/handler"
	"sigs.k8s.io/controller-runtime/pkg/manager"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	velerov1 "hozon.dev/hozon/api/velero/v1"
	"hozon.dev/hozon/internal/filter"
	"hozon.dev/hozon/internal/schedule"
	"hozon.dev/hozon/internal/velero"
)

// retries are the pauses before a scheduled Backup that failed is made again.
var retries = []time.Duration{time.Minute, 5 * time.Minute}

// Schedules makes Backups at their times. A time that was missed is made up for once; a Backup that failed is repeated within its interval.
type Schedules struct {
	*Site
	Tallies         *Tallies
	SkipImmediately bool // the default of spec.skipImmediately

	mu    sync.Mutex
	fired map[types.UID]time.Time // what the cache may not have heard of yet
}

// Add hands the controller to a manager.
func (r *Schedules) Add(m manager.Manager) error {
	r.fired = map[types.UID]time.Time{}
	return build(m, "schedule").For(&velerov1.Schedule{}).Watches(&velerov1.Backup{}, handler.EnqueueRequestsFromMapFunc(r.scheduleOf)).Complete(r)
}

// scheduleOf makes the end of a Backup an event of its Schedule.
func (r *Schedules) scheduleOf(_ context.Context, o client.Object) []reconcile.Request {
	name := o.GetLabels()[velerov1.LabelScheduleName]
	if name == "" {
		return nil
	}
	return []reconcile.Request{{NamespacedName: r.key(name)}}
}

// Reconcile makes the Backup that is due, and says when the next one is.
func (r *Schedules) Reconcile(ctx context.Context, req reconcile.Request) (reconcile.Result, error) {
	var s velerov1.Schedule
	if err := r.Client.Get(ctx, req.NamespacedName, &s); err != nil {
		return reconcile.Result{}, client.IgnoreNotFound(err)
	}
	if s.DeletionTimestamp != nil {
		return reconcile.Result{}, nil
	}
	plan, err := r.judge(ctx, &s)
	if err != nil {
		return stale(err)
	}
	if plan == nil || s.Spec.Paused {
		return reconcile.Result{}, nil
	}
	if r.skips(&s) {
		return stale(r.skip(ctx, &s))
	}
	last, err := r.last(ctx, &s)
	if err != nil {
		return reconcile.Result{}, err
	}
	now := r.Now()
	due := plan.Next(r.since(&s, last))
	if due.IsZero() {
		return reconcile.Result{}, nil // the time never comes: 30 February
	}
	if !now.Before(due) {
		return r.fire(ctx, &s, last, now, missed(plan, due, now))
	}
	wait := due.Sub(now)
	if again, ok := r.retryAt(&s, last, due); ok {
		if !now.Before(again) {
			return r.retry(ctx, &s, last, now)
		}
		wait = min(wait, again.Sub(now))
	}
	return after(wait), nil
}

// judge validates a Schedule and notes the outcome; nil: it is not valid.
func (r *Schedules) judge(ctx context.Context, s *velerov1.Schedule) (cron.Schedule, error) {
	before := s.DeepCopy()
	plan, text := parseCron(s.Spec.Schedule)
	problems := filter.CheckDurations("spec", s.Spec)
	if text != "" {
		problems = append([]string{text}, problems...)
	}
	s.Status.Phase, s.Status.ValidationErrors = velerov1.SchedulePhaseEnabled, problems
	if len(problems) > 0 {
		plan, s.Status.Phase = nil, velerov1.SchedulePhaseFailedValidation
	}
	if reflect.DeepEqual(before.Status, s.Status) {
		return plan, nil
	}
	if len(problems) > 0 {
		r.warning(s, "FailedValidation", "Validate", join(problems))
	}
	return plan, r.Client.Patch(ctx, s, client.MergeFrom(before))
}

// parseCron reads a line of cron as Velero does; the text is what is wrong with it.
func parseCron(line string) (plan cron.Schedule, text string) {
	if line == "" {
		return nil, "Schedule must be a non-empty valid Cron expression"
	}
	defer func() { // the parser is known to panic on some lines
		if p := recover(); p != nil {
			plan, text = nil, fmt.Sprintf("invalid schedule: %v", p)
		}
	}()
	plan, err := cron.ParseStandard(line)
	if err != nil {
		return nil, fmt.Sprintf("invalid schedule: %v", err)
	}
	return plan, ""
}

func (r *Schedules) skips(s *velerov1.Schedule) bool {
	if s.Spec.SkipImmediately != nil {
		return *s.Spec.SkipImmediately
	}
	return r.SkipImmediately
}

// skip lets pass what is due until now.
func (r *Schedules) skip(ctx context.Context, s *velerov1.Schedule) error {
	before := s.DeepCopy()
	now := metav1.NewTime(r.Now())
	s.Status.LastSkipped = &now
	s.Spec.SkipImmediately = new(false)
	return r.Client.Patch(ctx, s, client.MergeFromWithOptions(before, client.MergeFromWithOptimisticLock{}))
}

// since is the time from which the next one counts.
func (r *Schedules) since(s *velerov1.Schedule, last *velerov1.Backup) time.Time {
	from := s.CreationTimestamp.Time
	later := func(t time.Time) {
		if t.After(from) {
			from = t
		}
	}
	if s.Status.LastBackup != nil {
		from = s.Status.LastBackup.Time // also where the Schedule is younger: it was restored
	}
	if s.Status.LastSkipped != nil {
		later(s.Status.LastSkipped.Time)
	}
	if last != nil && made(last) { // a server that died after it made the Backup did not write lastBackup
		later(last.CreationTimestamp.Time)
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	later(r.fired[s.UID])
	return from
}

// made says that a Backup was made by a schedule of this cluster at its time, and not found in the bucket or made by hand from a schedule.
func made(b *velerov1.Backup) bool { return b.Annotations[velerov1.AnnotationRetry] != "" }

// last is the newest Backup of a Schedule in this cluster that the schedule made; nil: there is none.
func (r *Schedules) last(ctx context.Context, s *velerov1.Schedule) (*velerov1.Backup, error) {
	var all velerov1.BackupList
	named := client.MatchingLabels{velerov1.LabelScheduleName: velerov1.LabelValue(s.Name)}
	if err := r.Client.List(ctx, &all, client.InNamespace(r.Namespace), named); err != nil {
		return nil, err
	}
	var newest *velerov1.Backup
	for i := range all.Items {
		b := &all.Items[i]
		if newest == nil || newest.CreationTimestamp.Before(&b.CreationTimestamp) {
			newest = b
		}
	}
	return newest, nil
}

// fire makes the Backup that is due, unless the last one is not over: its end is an event.
func (r *Schedules) fire(ctx context.Context, s *velerov1.Schedule, last *velerov1.Backup, now time.Time, missed int) (reconcile.Result, error) {
	if last != nil && !done(last.Status.Phase) {
		return after(time.Minute), nil // in case that its end has no event: names that are too long for a label do not lead back
	}
	if missed > 0 {
		r.Tallies.addN(ctx, "schedule_missed_total", s.Name, missed)
		r.warning(s, "Missed", "Schedule", fmt.Sprintf("%d times have passed without a backup; one is made now", missed))
	}
	return r.make(ctx, s, now, 0)
}

// maxMissed bounds how many missed times are counted.
const maxMissed = 10_000

// missed counts the times of a plan, from the first on that was due, that passed without a backup: all but the one that is made now, and that one, too, if
// it comes more than a minute late.
func missed(plan cron.Schedule, due, now time.Time) int {
	n := 0
	for !due.IsZero() && !now.Before(due) && n < maxMissed {
		if now.Sub(due) > time.Minute {
			n++
		}
		due = plan.Next(due)
	}
	return n
}

// retryAt is when the last Backup is repeated, if it failed, and that is before the next one is due.
func (r *Schedules) retryAt(s *velerov1.Schedule, last *velerov1.Backup, due time.Time) (time.Time, bool) {
	if last == nil || !made(last) || last.Status.Phase != velerov1.BackupPhaseFailed || cancelled(last) || last.Status.CompletionTimestamp == nil {
		return time.Time{}, false
	}
	n, err := strconv.Atoi(last.Annotations[velerov1.AnnotationRetry])
	if err != nil || n < 0 || n >= len(retries) {
		return time.Time{}, false
	}
	r.mu.Lock()
	fired := r.fired[s.UID]
	r.mu.Unlock()
	if fired.After(last.Status.CompletionTimestamp.Time) {
		return time.Time{}, false // it was, and the cache does not know
	}
	at := last.Status.CompletionTimestamp.Add(retries[n])
	return at, at.Before(due)
}

func (r *Schedules) retry(ctx context.Context, s *velerov1.Schedule, last *velerov1.Backup, now time.Time) (reconcile.Result, error) {
	n, _ := strconv.Atoi(last.Annotations[velerov1.AnnotationRetry]) // retryAt has read it
	r.warning(s, "Retrying", "Schedule", fmt.Sprintf("backup %s failed, and is made again", last.Name))
	return r.make(ctx, s, now, n+1)
}

// make makes a Backup now, and notes that.
func (r *Schedules) make(ctx context.Context, s *velerov1.Schedule, now time.Time, retry int) (reconcile.Result, error) {
	b := schedule.Backup(s, schedule.Name(s.Name, now))
	velero.Annotate(b, velerov1.AnnotationRetry, strconv.Itoa(retry))
	if err := r.Client.Create(ctx, b); err != nil && !apierrors.IsAlreadyExists(err) {
		r.warning(s, "NotCreated", "Schedule", "create backup "+b.Name+": "+err.Error())
		return reconcile.Result{}, err
	}
	r.mu.Lock()
	r.fired[s.UID] = now
	r.mu.Unlock()
	r.Log.Info("schedule made a backup", "schedule", s.Name, "backup", b.Name, "retry", retry)
	before := s.DeepCopy()
	at := metav1.NewTime(now)
	s.Status.LastBackup = &at
	if err := r.Client.Patch(ctx, s, client.MergeFrom(before)); err != nil {
		return stale(err)
	}
	return after(time.Millisecond), nil
}
