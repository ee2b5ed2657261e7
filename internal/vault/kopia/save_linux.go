// SPDX-License-Identifier: Apache-2.0

package kopia

import (
	"context"
	"path/filepath"
	"sync"
	"time"

	kopiafs "github.com/kopia/kopia/fs"
	"github.com/kopia/kopia/repo"
	"github.com/kopia/kopia/snapshot"
	"golang.org/x/sys/unix"

	"hozon.dev/hozon/internal/vault"
)

// save walks the folder, writes what is new, and the manifest.
func (s *session) save(ctx context.Context, root string, old *tree, o vault.SaveOptions) (vault.Saved, error) {
	m := &snapshot.Manifest{StartTime: kopiafs.UTCTimestampFromTime(s.w.Time())}
	at, err := openDisk(root)
	if err != nil {
		return vault.Saved{}, err
	}
	defer at.close()
	walk := &saver{
		w: s.w, old: old, splits: s.repository.splitter() == dynamic, extras: &extraWriter{w: s.w}, progress: o.Progress,
		tokens: make(chan struct{}, o.Parallel-1),
	}
	defer walk.extras.close()
	stop := walk.beside(ctx, at)
	m.RootEntry, err = walk.root(ctx, at, filepath.Base(root))
	stop()
	if err != nil {
		return vault.Saved{}, err
	}
	walk.stats(m)
	if err := s.record(ctx, m, walk.extras); err != nil {
		return vault.Saved{}, err
	}
	return vault.Saved{Snapshot: describe(m), Incremental: walk.read.Load(), Failed: walk.failed, Lost: walk.lost, Problems: walk.problems}, nil
}

// splitter is the one of the repository.
func (r *Repository) splitter() string {
	direct, ok := r.rep.(repo.DirectRepository)
	if !ok {
		return ""
	}
	return direct.ObjectFormat().Splitter
}

// beside counts, and makes known what is written, until it is stopped.
func (s *saver) beside(ctx context.Context, at disk) (stop func()) {
	ctx, cancel := context.WithCancel(ctx)
	var wg sync.WaitGroup
	if s.progress != nil {
		wg.Go(func() {
			if again, err := at.open("."); err == nil {
				s.count(ctx, again, 0)
				again.close()
			}
		})
	}
	wg.Go(func() {
		tick := time.NewTicker(flushEvery)
		defer tick.Stop()
		for {
			select {
			case <-ctx.Done():
				return
			case <-tick.C:
				_ = s.w.Flush(ctx) // what fails here fails at the end too
			}
		}
	})
	return func() { cancel(); wg.Wait() }
}

func (s *saver) root(ctx context.Context, at disk, name string) (*snapshot.DirEntry, error) {
	var stat unix.Stat_t
	if err := at.stat(".", &stat); err != nil {
		return nil, err
	}
	e := entry(&stat)
	b := &branch{at: at}
	xattrs, err := at.xattrs(".")
	if err != nil {
		s.problem(b, "", err)
	}
	b.keep(extra{name: ".", xattrs: xattrs})
	if s.old != nil {
		b.old = s.list(ctx, &s.old.root)
	}
	e.Name, e.FileSize = name, 0
	e.ObjectID, e.DirSummary, err = s.folder(ctx, b, e.ModTime.ToTime())
	return e, err
}

func (s *saver) stats(m *snapshot.Manifest) {
	sum := m.RootEntry.DirSummary
	m.Stats = snapshot.Stats{
		TotalFileSize: sum.TotalFileSize, TotalFileCount: int32(sum.TotalFileCount), TotalDirectoryCount: int32(sum.TotalDirCount),
		CachedFiles: s.cached.Load(), NonCachedFiles: s.fresh.Load(), IgnoredErrorCount: int32(s.failed),
	}
}
