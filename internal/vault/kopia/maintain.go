// SPDX-License-Identifier: Apache-2.0

package kopia

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/kopia/kopia/repo"
	kopia "github.com/kopia/kopia/repo/blob"
	"github.com/kopia/kopia/repo/content"
	"github.com/kopia/kopia/repo/maintenance"
	"github.com/kopia/kopia/repo/maintenancestats"
	"github.com/kopia/kopia/repo/manifest"
	"github.com/kopia/kopia/snapshot"
	"github.com/kopia/kopia/snapshot/snapshotmaintenance"

	"hozon.dev/hozon/internal/fail"
	"hozon.dev/hozon/internal/vault"
)

// Forget removes snapshots and their sidecars. Those that are not there are forgotten already. Their data goes with full maintenance.
func (r *Repository) Forget(ctx context.Context, ids ...string) error {
	if r.storage.readOnly {
		return fail.Errorf(fail.Denied, "forget snapshots of %s: it was opened to be read", r.at)
	}
	err := r.session(ctx, "forget", func(ctx context.Context, w repo.RepositoryWriter) error {
		for _, id := range ids {
			if err := forget(ctx, w, manifest.ID(id)); err != nil {
				return fmt.Errorf("snapshot %s: %w", id, damaged(err))
			}
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("forget snapshots of %s: %w", r.at, err)
	}
	return nil
}

func forget(ctx context.Context, w repo.RepositoryWriter, id manifest.ID) error {
	m, err := snapshot.LoadSnapshot(ctx, w, id)
	if errors.Is(err, snapshot.ErrSnapshotNotFound) {
		return nil
	}
	if err != nil {
		return err
	}
	if side := m.Tags[sidecarTag]; side != "" && side != sidecarNone {
		if err := forgetSidecar(ctx, w, manifest.ID(side)); err != nil {
			return err
		}
	}
	return w.DeleteManifest(ctx, id)
}

// forgetSidecar removes nothing that is not one: a tag can name anything.
func forgetSidecar(ctx context.Context, w repo.RepositoryWriter, id manifest.ID) error {
	m, err := snapshot.LoadSnapshot(ctx, w, id)
	if errors.Is(err, snapshot.ErrSnapshotNotFound) || err == nil && m.Source.Path != sidecarPath {
		return nil
	}
	if err != nil {
		return err
	}
	return w.DeleteManifest(ctx, id)
}

// SweepEvery sets how often full maintenance is due.
func (r *Repository) SweepEvery(ctx context.Context, every time.Duration) (err error) {
	defer r.guard(&err)
	p, err := maintenance.GetParams(ctx, r.rep)
	if err != nil {
		return fmt.Errorf("read how %s is maintained: %w", r.at, damaged(err))
	}
	if p.FullCycle.Enabled && p.FullCycle.Interval == every {
		return nil
	}
	p.FullCycle.Enabled, p.FullCycle.Interval = true, every
	err = r.session(ctx, "maintenance", func(ctx context.Context, w repo.RepositoryWriter) error { return maintenance.SetParams(ctx, w, p) })
	if err != nil {
		return fmt.Errorf("set how %s is maintained: %w", r.at, err)
	}
	return nil
}

// Modes of maintenance, as kopia calls them.
const (
	Full  = string(maintenance.ModeFull)
	Quick = string(maintenance.ModeQuick)
	None  = string(maintenance.ModeNone)
)

// Maintain does what is due by the repository's own schedule, or everything if full. Data that no snapshot needs go in several runs with hours between
// them, so that nobody who saves or restores meanwhile is hurt: kopia's own rules, which are the same for all who write into the repository.
func (r *Repository) Maintain(ctx context.Context, full bool) (done vault.Maintenance, err error) {
	defer r.guard(&err)
	direct, ok := r.rep.(repo.DirectRepository)
	if !ok || r.storage.readOnly {
		return done, fail.Errorf(fail.Denied, "maintain %s: it was opened to be read", r.at)
	}
	done.Start, done.Mode = direct.Time(), None
	if done.Before, err = r.stored(ctx); err != nil {
		return done, err
	}
	before, err := maintenance.GetSchedule(ctx, direct)
	if err != nil {
		return done, fmt.Errorf("maintain %s: %w", r.at, damaged(err))
	}
	mode := maintenance.ModeAuto
	if full {
		mode = maintenance.ModeFull
	}
	if err := r.dropSidecars(ctx, done.Start); err != nil {
		return done, fmt.Errorf("maintain %s: %w", r.at, err)
	}
	err = repo.DirectWriteSession(ctx, direct, repo.WriteSessionOptions{Purpose: "maintenance"}, func(ctx context.Context, w repo.DirectRepositoryWriter) error {
		return snapshotmaintenance.Run(ctx, w, mode, false, maintenance.SafetyFull)
	})
	if err != nil {
		return done, fmt.Errorf("maintain %s: %w", r.at, explainMaintenance(err))
	}
	after, err := maintenance.GetSchedule(ctx, direct)
	if err != nil {
		return done, fmt.Errorf("maintain %s: %w", r.at, damaged(err))
	}
	switch {
	case full || !after.NextFullMaintenanceTime.Equal(before.NextFullMaintenanceTime):
		done.Mode = Full
	case !after.NextQuickMaintenanceTime.Equal(before.NextQuickMaintenanceTime):
		done.Mode = Quick
	}
	done.End = direct.Time()
	done.After, err = r.stored(ctx)
	return done, err
}

func explainMaintenance(err error) error {
	var other maintenance.NotOwnedError
	if errors.As(err, &other) {
		return fail.Errorf(fail.Denied, "it is left to %q: kopia maintenance set --owner %s@%s gives it to us", other.Owner, user, host)
	}
	return damaged(err)
}

// leftAfter is the age of a sidecar that no snapshot names. Both are written at once, so that only Velero leaves one, when it deletes a backup of ours.
const leftAfter = time.Hour

// dropSidecars removes those whose snapshots are gone.
func (r *Repository) dropSidecars(ctx context.Context, now time.Time) error {
	return r.session(ctx, "sidecars", func(ctx context.Context, w repo.RepositoryWriter) error {
		ids, err := snapshot.ListSnapshotManifests(ctx, w, nil, nil)
		if err != nil {
			return damaged(err)
		}
		named, left := map[string]bool{}, map[manifest.ID]bool{}
		for _, id := range ids {
			m, err := snapshot.LoadSnapshot(ctx, w, id)
			if err != nil {
				return damaged(err) // it may name one
			}
			if m.Source.Path == sidecarPath && m.Source.Host == host && now.Sub(m.EndTime.ToTime()) > leftAfter {
				left[id] = true
			}
			named[m.Tags[sidecarTag]] = true
		}
		for id := range left {
			if !named[string(id)] {
				if err := w.DeleteManifest(ctx, id); err != nil {
					return err
				}
			}
		}
		return nil
	})
}

// stored adds up the objects of the repository.
func (r *Repository) stored(ctx context.Context) (int64, error) {
	var sum int64
	err := r.storage.ListBlobs(ctx, "", func(m kopia.Metadata) error {
		sum += max(m.Length, 0)
		return nil
	})
	return sum, err
}

// Stats counts what the repository holds. What can be reclaimed is all of its packs but for the pieces that are not known to be unneeded.
func (r *Repository) Stats(ctx context.Context) (u vault.Usage, err error) {
	defer r.guard(&err)
	direct, ok := r.rep.(repo.DirectRepository)
	if !ok {
		return u, fail.Errorf(fail.Unsupported, "count %s: it is not reached directly", r.at)
	}
	all, err := r.Snapshots(ctx)
	if err != nil {
		return u, err
	}
	for i := range all {
		u.Snapshots++
		u.Logical += all[i].Bytes
	}
	var packs, needed int64
	err = r.storage.ListBlobs(ctx, "", func(m kopia.Metadata) error {
		if u.Stored += max(m.Length, 0); immutable(m.BlobID) {
			packs += max(m.Length, 0)
		}
		return nil
	})
	if err != nil {
		return u, err
	}
	err = direct.ContentReader().IterateContents(ctx, content.IterateOptions{}, func(i content.Info) error {
		needed += int64(i.PackedLength)
		return nil
	})
	if err != nil {
		return u, fmt.Errorf("count %s: %w", r.at, damaged(err))
	}
	recent, counted, err := lastSweep(ctx, direct)
	if err != nil {
		return u, fmt.Errorf("count %s: %w", r.at, err)
	}
	u.Reclaimable, u.Counted = max(packs-needed, recent, 0), counted
	return u, nil
}

// lastSweep is when full maintenance looked last for what no snapshot needs, and how much of it was too young to go, marked already or not.
func lastSweep(ctx context.Context, direct repo.DirectRepository) (int64, time.Time, error) {
	s, err := maintenance.GetSchedule(ctx, direct)
	if err != nil {
		return 0, time.Time{}, damaged(err)
	}
	for _, run := range s.Runs[maintenance.TaskSnapshotGarbageCollection] { // the latest is first
		if !run.Success {
			continue
		}
		var found maintenancestats.SnapshotGCStats
		for _, e := range run.Extra {
			if e.Kind == found.Kind() {
				if err := json.Unmarshal(e.Data, &found); err != nil {
					return 0, run.End, fail.As(fail.Corrupt, err)
				}
			}
		}
		return found.UnreferencedRecentContentSize, run.End, nil
	}
	return 0, time.Time{}, nil
}
