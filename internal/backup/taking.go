// SPDX-License-Identifier: Apache-2.0

package backup

import (
	"context"
	"errors"
	"fmt"
	"time"

	"hozon.dev/hozon/internal/fail"
	"hozon.dev/hozon/internal/report"
	"hozon.dev/hozon/internal/store"
)

// Dropper removes snapshots.
type Dropper interface {
	Drop(ctx context.Context, s store.Snapshot) error
}

// taking is the record of a run's snapshots, which the store has before they are made: who finds it after the run has died removes them.
type taking struct {
	store.Taking
	begun bool  // the store may have it
	last  int   // snapshots that were told before the volume that is being looked at
	err   error // why it could not be written
}

// intend returns what tells the record of a snapshot that is about to be taken.
func (r *run) intend(v *volume) func(context.Context, store.Snapshot) error {
	t := &r.taking
	t.last = len(t.Snapshots)
	return func(ctx context.Context, s store.Snapshot) error {
		t.Backup, t.Run, t.Cluster, t.Namespace = r.backup.Name, r.options.Run, r.clusterUID, r.backup.Namespace
		s.Spec.BackupName, s.Spec.BackupUID, s.Spec.Volume, s.Status = r.backup.Name, string(r.backup.UID), v.Metadata.Name, store.SnapshotStatus{}
		t.Snapshots, t.begun = append(t.Snapshots, s), true
		t.err = r.Store.PutTaking(ctx, t.Taking)
		return t.err
	}
}

// settleTaking writes down what came of the snapshot that was intended, if one was. A store that does not take the record ends the run.
func (r *run) settleTaking(ctx context.Context, s *store.Snapshot) error {
	t := &r.taking
	if t.err != nil || len(t.Snapshots) == t.last {
		return t.err
	}
	t.Snapshots = t.Snapshots[:t.last]
	if s != nil && s.Status.ID != "" {
		t.Snapshots = append(t.Snapshots, *s)
	}
	return r.Store.PutTaking(ctx, t.Taking)
}

// dropTimeout bounds the removal of snapshots after a run that came to nothing.
const dropTimeout = time.Minute

// dropSnapshots removes what the run has taken, unless it was committed after all. What cannot be removed now is removed by a later ReleaseAll.
func (r *run) dropSnapshots(ctx context.Context) error {
	if !r.taking.begun {
		return nil
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), dropTimeout)
	defer cancel()
	_, err := r.release(ctx, r.options.Snapshots, r.taking.Taking)
	return err
}

// forgetTaking removes the record of snapshots that belong to a backup now. Where that does not work, a later ReleaseAll finds that none is loose.
func (r *run) forgetTaking(ctx context.Context) {
	if !r.taking.begun {
		return
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), dropTimeout)
	defer cancel()
	_ = r.Store.DropTaking(ctx, r.taking.Taking)
}

// releaseEarlier removes the snapshots of earlier runs of this backup that came to nothing. What does not work is a warning, and is tried again by a later ReleaseAll.
func (r *run) releaseEarlier(ctx context.Context) {
	if r.options.Snapshots == nil || r.clusterUID == "" {
		return
	}
	all, err := r.Store.Takings(ctx, r.backup.Name)
	if err != nil {
		r.doubt(err.Error())
	}
	for _, t := range all {
		if t.Cluster != r.clusterUID || t.Namespace != r.backup.Namespace {
			continue
		}
		doubts, err := r.release(ctx, r.options.Snapshots, t)
		for _, text := range doubts {
			r.doubt(text)
		}
		if err != nil {
			r.doubt(err.Error())
		}
	}
}

// doubt makes a warning, also of the attempts that look at the cluster anew.
func (r *run) doubt(text string) {
	r.options.Notes = append(r.options.Notes, text)
	r.doubts = append(r.doubts, report.Note{Text: text})
}

// release removes the snapshots of a run that belong to no backup, and the record of them. It returns a text for each that the run had begun to take
// and whose id nobody knows.
func (e *Engine) release(ctx context.Context, d Dropper, t store.Taking) (doubts []string, err error) {
	loose, err := e.Store.Loose(ctx, t)
	if err != nil {
		return nil, fmt.Errorf("remove %s: %w", t, err)
	}
	var left []store.Snapshot
	var errs []error
	for _, s := range loose {
		if s.Status.ID == "" {
			doubts = append(doubts, fmt.Sprintf("a snapshot of volume %s (location %s, %s) was being taken when run %s of backup %s was ended, and its id is not known: "+
				"if the storage has one with the tags velero.io/backup=%s and velero.io/pv=%s that no backup lists, delete it there",
				s.Spec.Volume, s.Spec.Location, s.Spec.VolumeID, t.Run, t.Backup, t.Backup, s.Spec.Volume))
			continue
		}
		if err := d.Drop(ctx, s); err != nil {
			left = append(left, s)
			errs = append(errs, fmt.Errorf("snapshot %s of volume %s, taken by an unfinished run of backup %s, stays: %w", s.Status.ID, s.Spec.Volume, t.Backup, err))
		}
	}
	if len(left) == 0 {
		return doubts, e.Store.DropTaking(ctx, t)
	}
	t.Snapshots = left
	return doubts, errors.Join(append(errs, e.Store.PutTaking(ctx, t))...)
}

// ReleaseAll removes what dead runs of this cluster have taken of snapshots with the locations of a namespace. pass says which backups are left to others;
// told hears of each that nobody can remove.
func (e *Engine) ReleaseAll(ctx context.Context, namespace string, d Dropper, pass func(backup string) bool, told func(backup, text string)) error {
	all, err := e.Store.Takings(ctx, "")
	if len(all) == 0 {
		return err
	}
	errs := []error{err}
	uid, err := e.clusterUID(ctx)
	if err != nil {
		return errors.Join(append(errs, err)...)
	}
	for _, t := range all {
		if uid == "" || t.Cluster != uid || t.Namespace != namespace || pass(t.Backup) {
			continue
		}
		doubts, err := e.release(ctx, d, t)
		for _, text := range doubts {
			told(t.Backup, text)
		}
		if !fail.Is(err, fail.Busy) {
			errs = append(errs, err)
		}
	}
	return errors.Join(errs...)
}
