// SPDX-License-Identifier: Apache-2.0

package controller

import (
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/handler"
	"sigs.k8s.io/controller-runtime/pkg/manager"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"
	"sigs.k8s.io/controller-runtime/pkg/source"

	velerov1 "hozon.dev/hozon/api/velero/v1"
	"hozon.dev/hozon/internal/blob"
	"hozon.dev/hozon/internal/fail"
	"hozon.dev/hozon/internal/vault"
	"hozon.dev/hozon/internal/velero"
	"hozon.dev/hozon/internal/volume"
)

// Where the password of the repositories is, if it is not in the location: Velero's names.
const (
	passwordSecret = "velero-repo-credentials"
	passwordKey    = "repository-password"
)

const (
	connectTimeout     = 2 * time.Minute
	reconnectPeriod    = time.Minute // after a repository could not be opened
	maintenanceDefault = time.Hour
	recentMaintenances = 3
	maintenancesAtOnce = 2
)

// A Maintainer has a repository maintained, in another process than this one, and waits for it.
type Maintainer interface {
	Maintain(ctx context.Context, r *velerov1.BackupRepository) (Maintained, error)
}

// Maintained is what maintenance tells of its end. The command repo-maintenance writes it.
type Maintained struct {
	vault.Maintenance
	Usage vault.Usage `json:"usage"`
}

// Repositories opens the BackupRepositories, makes those that are missing, and has them maintained.
type Repositories struct {
	*Site
	Stores     *Stores
	Flights    *Flights
	Maintainer Maintainer
	Frequency  time.Duration // between two maintenances of repositories that do not say it; 0: an hour
	ConfigMap  string        // with the settings that new repositories get; "": none

	mu     sync.Mutex
	opened map[types.UID][sha256.Size]byte // of what place; a location that has changed is another place
	slots  chan struct{}
}

// Add hands the controller to a manager.
func (r *Repositories) Add(m manager.Manager) error {
	r.opened, r.slots = map[types.UID][sha256.Size]byte{}, make(chan struct{}, maintenancesAtOnce)
	return several(m, "repository", lookers).For(&velerov1.BackupRepository{}).
		Watches(&velerov1.BackupStorageLocation{}, handler.EnqueueRequestsFromMapFunc(r.inLocation)).
		WatchesRawSource(source.Channel(r.Flights.Ended, &handler.EnqueueRequestForObject{})).Complete(r)
}

// inLocation are the repositories of a location that changed.
func (r *Repositories) inLocation(ctx context.Context, l client.Object) []reconcile.Request {
	var all velerov1.BackupRepositoryList
	if err := r.Client.List(ctx, &all, client.InNamespace(r.Namespace)); err != nil {
		return nil
	}
	var found []reconcile.Request
	for i := range all.Items {
		if o := &all.Items[i]; o.Spec.BackupStorageLocation == l.GetName() && r.moved(o, l.(*velerov1.BackupStorageLocation)) {
			found = append(found, reconcile.Request{NamespacedName: client.ObjectKeyFromObject(o)})
		}
	}
	return found
}

// placeOf tells places, and ways to keep a repository there, apart.
func placeOf(o *velerov1.BackupRepository, l *velerov1.BackupStorageLocation) [sha256.Size]byte {
	text, err := json.Marshal([]any{l.Spec.Provider, l.Spec.ObjectStorage, l.Spec.Config, l.Spec.Credential, l.Spec.AccessMode, o.Spec.RepositoryConfig})
	if err != nil {
		return [sha256.Size]byte{}
	}
	return sha256.Sum256(text)
}

func (r *Repositories) moved(o *velerov1.BackupRepository, l *velerov1.BackupStorageLocation) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	at, ok := r.opened[o.UID]
	return !ok || at != placeOf(o, l)
}

// Reconcile opens a repository if that was not done, and begins its maintenance when that is due.
func (r *Repositories) Reconcile(ctx context.Context, req reconcile.Request) (reconcile.Result, error) {
	var o velerov1.BackupRepository
	if err := r.Client.Get(ctx, req.NamespacedName, &o); err != nil {
		return reconcile.Result{}, client.IgnoreNotFound(err)
	}
	if o.DeletionTimestamp != nil || r.Flights.has(&o) {
		return reconcile.Result{}, nil
	}
	var l velerov1.BackupStorageLocation
	err := r.Client.Get(ctx, r.key(o.Spec.BackupStorageLocation), &l)
	if apierrors.IsNotFound(err) {
		return r.note(ctx, o.DeepCopy(), &o, fail.Errorf(fail.NotFound, "backup storage location %s not found", o.Spec.BackupStorageLocation))
	}
	if err != nil {
		return reconcile.Result{}, err
	}
	if o.Status.Phase != velerov1.BackupRepositoryPhaseReady || r.moved(&o, &l) {
		return r.open(ctx, &o, &l)
	}
	wait, due := r.due(&o, &l)
	if due {
		r.Flights.launch(ctx, &o, func(ctx context.Context) { r.maintain(ctx, &o) })
	}
	if due || wait <= 0 {
		return reconcile.Result{}, nil
	}
	return after(wait), nil
}

// open opens a repository, or makes it, and writes down whether that went well.
func (r *Repositories) open(ctx context.Context, o *velerov1.BackupRepository, l *velerov1.BackupStorageLocation) (reconcile.Result, error) {
	before := o.DeepCopy()
	bounded, cancel := context.WithTimeout(ctx, connectTimeout)
	err := r.configure(bounded, o)
	if err == nil {
		err = r.connect(bounded, o, l)
	}
	cancel()
	if ctx.Err() != nil {
		return reconcile.Result{}, nil
	}
	if err == nil {
		r.mu.Lock()
		r.opened[o.UID] = placeOf(o, l)
		r.mu.Unlock()
	}
	return r.note(ctx, before, o, err)
}

func (r *Repositories) connect(ctx context.Context, o *velerov1.BackupRepository, l *velerov1.BackupStorageLocation) error {
	st, err := r.Stores.of(ctx, l)
	if err != nil {
		return err
	}
	if o.Spec.RepositoryType == velerov1.RepositoryTypeRestic { // it is only read, when something is restored
		return nil
	}
	passwords, err := r.Stores.passwords(ctx, st.Bucket())
	if err != nil {
		return err
	}
	if l.Spec.AccessMode == velerov1.BackupStorageLocationAccessModeReadOnly {
		return peek(ctx, st.Bucket(), o.Spec.VolumeNamespace, passwords)
	}
	opened, err := volume.Ensure(ctx, st.Bucket(), o.Spec.VolumeNamespace, passwords)
	if err != nil {
		return err
	}
	if every := sweepInterval(o.Spec.RepositoryConfig); every > 0 {
		err = opened.SweepEvery(ctx, every)
	}
	return errors.Join(err, opened.Close(context.WithoutCancel(ctx)))
}

// peek opens a repository in a location that is only read: nothing is made there.
func peek(ctx context.Context, b blob.Bucket, namespace string, passwords []string) error {
	opened, err := volume.Open(ctx, b, namespace, passwords)
	if fail.Is(err, fail.NotFound) {
		return fail.Errorf(fail.NotFound, "%w, and the location is read-only: none is made there", err)
	}
	if err != nil {
		return err
	}
	return opened.Close(context.WithoutCancel(ctx))
}

// passwords are those that the repositories of a location may have.
func (s *Stores) passwords(ctx context.Context, b blob.Bucket) ([]string, error) {
	var secret corev1.Secret
	err := s.Live.Get(ctx, s.key(passwordSecret), &secret)
	if err != nil && !apierrors.IsNotFound(err) {
		return nil, fail.Errorf(fail.Transient, "read Secret %s/%s: %w", s.Namespace, passwordSecret, err)
	}
	return volume.Passwords(ctx, b, secret.Data[passwordKey])
}

// note writes what became of opening it.
func (r *Repositories) note(ctx context.Context, before, o *velerov1.BackupRepository, problem error) (reconcile.Result, error) {
	if o.Spec.MaintenanceFrequency.Duration == 0 && o.Spec.MaintenanceFrequency.Bad == "" {
		o.Spec.MaintenanceFrequency.Duration = r.frequency()
	}
	o.Status.Phase, o.Status.Message = velerov1.BackupRepositoryPhaseReady, ""
	if problem != nil {
		o.Status.Phase, o.Status.Message = velerov1.BackupRepositoryPhaseNotReady, problem.Error()
	}
	// Who has changed its settings meanwhile is not undone.
	if err := r.Client.Patch(ctx, o, client.MergeFromWithOptions(before, client.MergeFromWithOptimisticLock{})); err != nil {
		return stale(err)
	}
	if problem == nil {
		if before.Status.Phase != o.Status.Phase {
			r.Log.Info("repository is ready", "repository", o.Name)
		}
		return after(time.Millisecond), nil // its maintenance may be due
	}
	if before.Status.Message != o.Status.Message {
		r.Log.Warn("repository is not ready", "repository", o.Name, "error", problem)
		r.warning(o, "NotReady", "Open", problem.Error())
	}
	return after(reconnectPeriod), nil
}

func (r *Repositories) frequency() time.Duration {
	if r.Frequency > 0 {
		return r.Frequency
	}
	return maintenanceDefault
}

// due says whether maintenance is due, and else in what time; 0: never.
func (r *Repositories) due(o *velerov1.BackupRepository, l *velerov1.BackupStorageLocation) (time.Duration, bool) {
	every := o.Spec.MaintenanceFrequency.Duration
	if every <= 0 || o.Spec.RepositoryType == velerov1.RepositoryTypeRestic || l.Spec.AccessMode == velerov1.BackupStorageLocationAccessModeReadOnly || r.Maintainer == nil {
		return 0, false
	}
	last := o.CreationTimestamp.Time
	for _, m := range o.Status.RecentMaintenance {
		if m.StartTimestamp != nil && m.StartTimestamp.After(last) {
			last = m.StartTimestamp.Time
		}
	}
	wait := last.Add(every).Sub(r.Now())
	return wait, wait <= 0
}

// maintain has a repository maintained, and writes down how that ended.
func (r *Repositories) maintain(ctx context.Context, o *velerov1.BackupRepository) {
	select {
	case r.slots <- struct{}{}:
		defer func() { <-r.slots }()
	case <-ctx.Done():
		return
	}
	start := metav1.NewTime(r.Now())
	done, err := r.Maintainer.Maintain(ctx, o)
	if ctx.Err() != nil {
		return // whoever leads next takes it up
	}
	if err != nil { // it may not be what it was: it is opened again
		r.mu.Lock()
		delete(r.opened, o.UID)
		r.mu.Unlock()
	}
	end := metav1.NewTime(r.Now())
	entry := velerov1.BackupRepositoryMaintenanceStatus{Result: velerov1.BackupRepositoryMaintenanceSucceeded, StartTimestamp: &start, CompleteTimestamp: &end}
	if err != nil {
		entry.Result, entry.Message = velerov1.BackupRepositoryMaintenanceFailed, err.Error()
		r.Log.Warn("repository was not maintained", "repository", o.Name, "error", err)
	} else {
		r.Log.Info("repository was maintained", "repository", o.Name, "mode", done.Mode, "before", done.Before, "after", done.After)
	}
	r.rest(ctx, r.change(ctx, o, func() bool {
		recent := append(o.Status.RecentMaintenance, entry)
		o.Status.RecentMaintenance = recent[max(len(recent)-recentMaintenances, 0):]
		if err == nil {
			o.Status.LastMaintenanceTime = &end
			velero.Annotate(o, velerov1.AnnotationUsage, usageText(done.Usage, end.Time))
		}
		return true
	}))
}

// usageText is what a repository holds, as its annotation has it.
func usageText(u vault.Usage, at time.Time) string {
	text, err := json.Marshal(velerov1.RepositoryUsage{
		Logical: u.Logical, Stored: u.Stored, Reclaimable: u.Reclaimable, Snapshots: u.Snapshots, At: metav1.NewTime(at),
	})
	if err != nil {
		return fmt.Sprint(err)
	}
	return string(text)
}
