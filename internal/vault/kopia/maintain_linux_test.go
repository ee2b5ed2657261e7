// SPDX-License-Identifier: Apache-2.0

package kopia

import (
	"context"
	"io"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/kopia/kopia/repo"
	"github.com/kopia/kopia/repo/maintenance"
	"github.com/kopia/kopia/repo/manifest"
	"github.com/kopia/kopia/snapshot"
	"golang.org/x/sys/unix"

	"hozon.dev/hozon/internal/blob"
	"hozon.dev/hozon/internal/blob/mem"
	"hozon.dev/hozon/internal/vault"
	"hozon.dev/hozon/internal/vault/vaulttest"
)

// aging is a bucket, and a clock that a test sets: objects are as old as they would be.
type aging struct {
	*mem.Bucket

	mu    sync.Mutex
	at    time.Time
	times map[string]time.Time
}

func newAging() *aging {
	return &aging{Bucket: mem.New(), at: time.Now().Add(-30 * 24 * time.Hour), times: map[string]time.Time{}}
}

// now never stands still.
func (a *aging) now() time.Time {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.at = a.at.Add(time.Millisecond)
	return a.at
}

func (a *aging) pass(d time.Duration) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.at = a.at.Add(d)
}

func (a *aging) Put(ctx context.Context, key string, r io.Reader, o blob.PutOptions) (int64, error) {
	n, err := a.Bucket.Put(ctx, key, r, o)
	now := a.now()
	a.mu.Lock()
	defer a.mu.Unlock()
	a.times[key] = now
	return n, err
}

func (a *aging) aged(i blob.Info) blob.Info {
	a.mu.Lock()
	defer a.mu.Unlock()
	i.Modified = a.times[i.Key]
	return i
}

func (a *aging) Stat(ctx context.Context, key string) (blob.Info, error) {
	i, err := a.Bucket.Stat(ctx, key)
	return a.aged(i), err
}

func (a *aging) List(ctx context.Context, prefix string, flat bool, fn func(blob.Info) error) error {
	return a.Bucket.List(ctx, prefix, flat, func(i blob.Info) error { return fn(a.aged(i)) })
}

// open opens the repository at the bucket's time.
func (a *aging) open(t *testing.T) *Repository {
	t.Helper()
	r, err := open(t.Context(), &storage{near: vault.Near{Bucket: a}, prefix: Prefix("files"), now: a.now}, Options{Password: password})
	must(t, err)
	return r
}

func (a *aging) close(t *testing.T, r *Repository) {
	t.Helper()
	must(t, r.Close(context.WithoutCancel(t.Context())))
}

// TestMaintenance: what was forgotten is gone a day after full maintenance, what another snapshot has too is not, and the numbers tell.
func TestMaintenance(t *testing.T) {
	b := newAging()
	s := &storage{near: vault.Near{Bucket: b}, prefix: Prefix("files"), create: true, now: b.now}
	must(t, s.make(t.Context(), Options{Password: password}))
	r := b.open(t)
	source := grown(t, 60, 500_000)
	must(t, unix.Lsetxattr(filepath.Join(source, "d000", "f00001"), "user.kept", []byte("yes"), 0))
	first := save(t, r, source)
	for i := range 50 {
		must(t, os.Remove(filepath.Join(source, "d000", "f000"+string(rune('0'+i/10))+string(rune('0'+i%10)))))
	}
	b.pass(24 * time.Hour) // what is younger may belong to somebody who has not written his manifest yet
	second := save(t, r, source)
	must(t, r.Forget(t.Context(), first.Snapshot.ID))
	must(t, r.Forget(t.Context(), first.Snapshot.ID)) // it is gone already
	b.close(t, r)
	var freed bool
	for hours := 0; hours <= 24 && !freed; hours += 6 {
		b.pass(FullInterval)
		r = b.open(t)
		done, err := r.Maintain(t.Context(), false)
		must(t, err)
		if done.Mode != Full {
			t.Fatalf("after %d hours: %+v", hours, done)
		}
		usage, err := r.Stats(t.Context())
		must(t, err)
		if usage.Snapshots != 1 || usage.Logical != 10*500_000 || usage.Counted.IsZero() {
			t.Errorf("%+v", usage)
		}
		freed = usage.Stored < 10<<20 // of 30; kopia leaves the rest of a pack of which a good part is needed
		if reclaimable := usage.Reclaimable; !freed && (reclaimable < 24_000_000 || reclaimable > 26_000_000) {
			t.Errorf("after %d hours it is not told what can be reclaimed: %+v", hours, usage)
		}
		b.close(t, r)
	}
	if !freed {
		t.Error("the data of a snapshot that was forgotten is still there")
	}
	r = b.open(t)
	defer b.close(t, r)
	if done, err := r.Maintain(t.Context(), false); err != nil || done.Mode != None {
		t.Errorf("%+v, %v", done, err)
	}
	vaulttest.Compare(t, vaulttest.Disk(t, restored(t, r, second.Snapshot.ID)), vaulttest.Disk(t, source))
}

// TestSidecarLeft: when Velero deletes a snapshot of ours, maintenance removes its sidecar; when the sidecar is gone, the rest is read, and told.
func TestSidecarLeft(t *testing.T) {
	b := newAging()
	s := &storage{near: vault.Near{Bucket: b}, prefix: Prefix("files"), create: true, now: b.now}
	must(t, s.make(t.Context(), Options{Password: password}))
	r := b.open(t)
	defer b.close(t, r)
	saved := save(t, r, odd(t))
	m, err := snapshot.LoadSnapshot(t.Context(), r.rep, manifest.ID(saved.Snapshot.ID))
	must(t, err)
	side := manifest.ID(m.Tags[sidecarTag])
	remove := func(id manifest.ID) {
		must(t, repo.WriteSession(t.Context(), r.rep, repo.WriteSessionOptions{}, func(ctx context.Context, w repo.RepositoryWriter) error { return w.DeleteManifest(ctx, id) }))
		must(t, r.rep.Refresh(t.Context()))
	}
	b.pass(2 * time.Hour)
	must(t, r.dropSidecars(t.Context(), b.now()))
	if tree, err := r.Tree(t.Context(), saved.Snapshot.ID); err != nil || tree.Keeps().Lost != nil || !tree.Keeps().Xattrs {
		t.Fatalf("a sidecar that is needed was removed: %v", err)
	}
	second := save(t, r, odd(t))
	remove(manifest.ID(second.Snapshot.ID))
	b.pass(2 * time.Hour)
	must(t, r.dropSidecars(t.Context(), b.now()))
	must(t, r.rep.Refresh(t.Context()))
	ids, err := snapshot.ListSnapshotManifests(t.Context(), r.rep, nil, nil)
	must(t, err)
	if len(ids) != 2 {
		t.Errorf("%v are left of two snapshots, of which one was deleted", ids)
	}
	remove(side)
	tree, err := r.Tree(t.Context(), saved.Snapshot.ID)
	must(t, err)
	if keeps := tree.Keeps(); keeps.Lost == nil || keeps.Xattrs {
		t.Errorf("%+v", keeps)
	}
	if _, damages := vaulttest.Read(t, tree); len(damages) > 0 {
		t.Errorf("%v", damages)
	}
}

// TestSweepEvery: how often full maintenance is due can be set, and stays.
func TestSweepEvery(t *testing.T) {
	b := mem.New()
	r := created(t, b)
	for _, every := range []time.Duration{24 * time.Hour, 24 * time.Hour, 12 * time.Hour} {
		must(t, r.SweepEvery(t.Context(), every))
		p, err := maintenance.GetParams(t.Context(), reopen(t, b))
		must(t, err)
		if p.FullCycle.Interval != every || !p.FullCycle.Enabled || p.Owner != "default@default" || !p.QuickCycle.Enabled {
			t.Errorf("%+v", p)
		}
	}
}
