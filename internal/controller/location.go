// SPDX-License-Identifier: Apache-2.0

package controller

import (
	"context"
	"reflect"
	"slices"
	"sync"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/manager"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	velerov1 "hozon.dev/hozon/api/velero/v1"
)

// soon is how long after a failed look at a location the next one comes, if its period is not shorter.
const soon = 10 * time.Second

// lookTimeout bounds one look at a location.
const lookTimeout = 30 * time.Second

// Locations looks after the BackupStorageLocations: whether they can be reached, and that one at most is the default.
type Locations struct {
	*Site
	Stores *Stores
	Period time.Duration // between two looks, unless the location says otherwise

	mu   sync.Mutex
	seen map[types.UID]look
}

// look is what was looked at, and when.
type look struct {
	spec velerov1.BackupStorageLocationSpec
	at   time.Time
	ok   bool
}

// Add hands the controller to a manager.
func (r *Locations) Add(m manager.Manager) error {
	r.seen = map[types.UID]look{}
	return several(m, "location", lookers).For(&velerov1.BackupStorageLocation{}).Complete(r)
}

// Reconcile looks at a location if its time has come, or its spec has changed.
func (r *Locations) Reconcile(ctx context.Context, req reconcile.Request) (reconcile.Result, error) {
	var l velerov1.BackupStorageLocation
	if err := r.Client.Get(ctx, req.NamespacedName, &l); err != nil {
		return reconcile.Result{}, client.IgnoreNotFound(err)
	}
	if l.DeletionTimestamp != nil {
		return reconcile.Result{}, nil
	}
	if err := r.oneDefault(ctx, &l); err != nil {
		return stale(err)
	}
	if wait, due := r.due(&l); !due {
		if wait == 0 {
			return reconcile.Result{}, nil
		}
		return after(wait), nil
	}
	looking, cancel := context.WithTimeout(ctx, lookTimeout)
	_, err := r.Stores.of(looking, &l)
	cancel()
	if ctx.Err() != nil {
		return reconcile.Result{}, nil
	}
	if err := r.note(ctx, &l, err); err != nil {
		return stale(err)
	}
	r.mu.Lock()
	r.seen[l.UID] = look{l.Spec, r.Now(), err == nil}
	r.mu.Unlock()
	if wait, _ := r.due(&l); wait > 0 {
		return after(wait), nil
	}
	return reconcile.Result{}, nil
}

// due says whether a look is due, and else in what time: 0 is never.
func (r *Locations) due(l *velerov1.BackupStorageLocation) (time.Duration, bool) {
	r.mu.Lock()
	last, ok := r.seen[l.UID]
	r.mu.Unlock()
	if !ok || !reflect.DeepEqual(last.spec, l.Spec) {
		return 0, true
	}
	period := r.Period
	if l.Spec.ValidationFrequency != nil && l.Spec.ValidationFrequency.Bad == "" {
		period = l.Spec.ValidationFrequency.Duration
	}
	if period <= 0 {
		return 0, false
	}
	if !last.ok {
		period = min(period, soon)
	}
	wait := last.at.Add(period).Sub(r.Now())
	return wait, wait <= 0
}

// note writes what the look came to.
func (r *Locations) note(ctx context.Context, l *velerov1.BackupStorageLocation, problem error) error {
	before := l.DeepCopy()
	now := metav1.NewTime(r.Now())
	l.Status.LastValidationTime = &now
	l.Status.Phase, l.Status.Message = velerov1.BackupStorageLocationPhaseAvailable, ""
	if problem != nil {
		l.Status.Phase, l.Status.Message = velerov1.BackupStorageLocationPhaseUnavailable, problem.Error()
	}
	if err := r.Client.Patch(ctx, l, client.MergeFrom(before)); err != nil {
		return err
	}
	if before.Status.Phase == l.Status.Phase && before.Status.Message == l.Status.Message {
		return nil
	}
	if problem != nil {
		r.Log.Warn("location is unavailable", "location", l.Name, "error", problem)
		r.warning(l, "Unavailable", "Validate", problem.Error())
		return nil
	}
	r.Log.Info("location is available", "location", l.Name)
	r.normal(l, "Available", "Validate", "the bucket can be reached")
	return nil
}

// oneDefault takes the mark of the default from all locations but the newest that has it.
func (r *Locations) oneDefault(ctx context.Context, l *velerov1.BackupStorageLocation) error {
	if !l.Spec.Default {
		return nil
	}
	newest, err := r.defaultLocation(ctx)
	if err != nil || newest == nil || newest.UID == l.UID {
		return err
	}
	before := l.DeepCopy()
	l.Spec.Default = false
	if err := r.Client.Patch(ctx, l, client.MergeFromWithOptions(before, client.MergeFromWithOptimisticLock{})); err != nil {
		return err
	}
	r.warning(l, "NotDefault", "Validate", "location "+newest.Name+" is newer and the default, too: only the newest can be; reset spec.default")
	return nil
}

// defaultLocation is the newest one with spec.default; nil: there is none.
func (s *Site) defaultLocation(ctx context.Context) (*velerov1.BackupStorageLocation, error) {
	var all velerov1.BackupStorageLocationList
	if err := s.Client.List(ctx, &all, client.InNamespace(s.Namespace)); err != nil {
		return nil, err
	}
	marked := slices.DeleteFunc(all.Items, func(l velerov1.BackupStorageLocation) bool { return !l.Spec.Default || l.DeletionTimestamp != nil })
	if len(marked) == 0 {
		return nil, nil
	}
	newest := slices.MaxFunc(marked, func(a, b velerov1.BackupStorageLocation) int {
		if c := a.CreationTimestamp.Compare(b.CreationTimestamp.Time); c != 0 {
			return c
		}
		if a.Name < b.Name {
			return -1
		}
		return 1
	})
	return &newest, nil
}
