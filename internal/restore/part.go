// SPDX-License-Identifier: Apache-2.0

package restore

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"

	"hozon.dev/hozon/internal/archive"
	"hozon.dev/hozon/internal/fail"
	"hozon.dev/hozon/internal/filter"
	"hozon.dev/hozon/internal/object"
	"hozon.dev/hozon/internal/store"
)

// maxPlaces bounds the places of items in the archive that are kept at a time.
const maxPlaces = 1 << 12

// relevant reports whether the plan has to know of an object: those of the namespaces that are asked for, and all that have no namespace.
func relevant(selector *filter.Filter, ref object.Ref) bool {
	return ref.Namespace == "" || selector.Namespace(ref.Namespace)
}

// partial reports whether the request is for so little of the backup that reading it by the index saves at least half of the archive. The
// index must be the one of the manifest; fail.Corrupt if it is not.
func (r *run) partial(ctx context.Context, selector *filter.Filter) (bool, error) {
	if !r.parts() || selector.Everywhere() {
		return false, nil
	}
	name := r.backup.Name
	recorded, ok := r.index.File(store.Index.Of(name))
	whole, known := r.index.File(store.Archive.Of(name))
	if !ok || !known {
		return false, nil // what the walk finds out says more
	}
	file, err := r.Store.Open(ctx, store.Backup, name, store.Index, 0, -1)
	if fail.Is(err, fail.NotFound) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	defer file.Close()
	sum, spans := sha256.New(), map[archive.Span]bool{}
	err = archive.ReadIndex(io.TeeReader(file, sum), func(e archive.IndexEntry) error {
		if relevant(selector, e.Ref) {
			spans[e.Block] = true
		}
		return context.Cause(ctx)
	})
	if err != nil {
		return false, fmt.Errorf("backup %s: %w", name, err)
	}
	if got := hex.EncodeToString(sum.Sum(nil)); got != recorded.SHA256 {
		return false, fail.Errorf(fail.Corrupt, "backup %s: the index has the SHA-256 %s, its manifest says %q", name, got, recorded.SHA256)
	}
	var size int64
	for span := range spans {
		size += span.Length
	}
	return size <= whole.Size/2, nil
}

// parts reports whether single items can be read by the index.
func (r *run) parts() bool { return r.index != nil && r.Store.Seekable() }

// pick reads the items that wants takes, by the index, and hands each to fn as walk does. Its bytes are those of the index's hash.
func (r *run) pick(ctx context.Context, wants func(archive.IndexEntry) bool, fn func(archive.Entry) error) error {
	return r.byIndex(ctx, everywhere, wants, func(e archive.IndexEntry, body []byte) error { return fn(archive.EntryOf(e, body)) })
}

// byIndex hands items and their bodies, which are fn's to keep, to fn: those that wants takes, of the blocks of the index that may has.
func (r *run) byIndex(ctx context.Context, may func(from, to *object.Ref) bool, wants func(archive.IndexEntry) bool, fn func(archive.IndexEntry, []byte) error) error {
	p := picker{run: r, fn: fn, places: map[archive.Span][]archive.IndexEntry{}}
	err := r.readIndex(ctx, may, func(e archive.IndexEntry) error {
		if !wants(e) {
			return context.Cause(ctx)
		}
		return p.add(ctx, e)
	})
	if err == nil {
		err = p.blocks(ctx)
	}
	if err != nil {
		return fmt.Errorf("backup %s: %w", r.backup.Name, err)
	}
	return nil
}

func everywhere(*object.Ref, *object.Ref) bool { return true }

// readIndex calls fn for each line of those blocks of the index of which may says that they matter: what is in them is not below from,
// and not above to (nil: there is no such bound).
func (r *run) readIndex(ctx context.Context, may func(from, to *object.Ref) bool, fn func(archive.IndexEntry) error) error {
	blocks := indexBlocks(r.index)
	if len(blocks) == 0 {
		file, err := r.Store.Open(ctx, store.Backup, r.backup.Name, store.Index, 0, -1)
		if err != nil {
			return err
		}
		defer file.Close()
		return archive.ReadIndex(file, fn)
	}
	for i := range blocks {
		var to *object.Ref
		if i+1 < len(blocks) {
			to = &blocks[i+1].First
		}
		if !may(&blocks[i].First, to) {
			continue
		}
		if err := r.readIndexBlock(ctx, blocks[i], fn); err != nil {
			return err
		}
	}
	return nil
}

func (r *run) readIndexBlock(ctx context.Context, b archive.IndexBlock, fn func(archive.IndexEntry) error) error {
	file, err := r.Store.Open(ctx, store.Backup, r.backup.Name, store.Index, b.Offset, b.Length)
	if err != nil {
		return err
	}
	return errors.Join(archive.ReadIndexBlock(file, b, fn), file.Close())
}

// indexBlocks is the manifest's table of the blocks of the index.
func indexBlocks(m *store.Manifest) []archive.IndexBlock {
	var blocks []archive.IndexBlock
	for _, b := range m.Index {
		group, resource := object.ParseGroupResource(b.Resource)
		blocks = append(blocks, archive.IndexBlock{
			First: object.Ref{Group: group, Resource: resource, Namespace: b.Namespace, Name: b.Name}, Version: b.Version,
			Offset: b.Offset, Length: b.Length, Lines: b.Lines,
		})
	}
	return blocks
}

// picker reads items of the archive, a bounded number of them at a time.
type picker struct {
	run    *run
	fn     func(archive.IndexEntry, []byte) error
	places map[archive.Span][]archive.IndexEntry
	n      int
}

func (p *picker) add(ctx context.Context, e archive.IndexEntry) error {
	p.places[e.Block] = append(p.places[e.Block], e)
	if p.n++; p.n < maxPlaces {
		return nil
	}
	return p.blocks(ctx)
}

// blocks reads what was added, block by block, in the order in which it lies in the archive.
func (p *picker) blocks(ctx context.Context) error {
	r := p.run
	spans := slices.SortedFunc(maps.Keys(p.places), func(a, b archive.Span) int { return cmp.Compare(a.Offset, b.Offset) })
	for _, span := range spans {
		block, err := r.Store.Open(ctx, store.Backup, r.backup.Name, store.Archive, span.Offset, span.Length)
		if err != nil {
			return err
		}
		err = archive.ReadItems(block, p.places[span], func(e archive.IndexEntry, body []byte) error {
			if err := context.Cause(ctx); err != nil {
				return err
			}
			return p.fn(e, body)
		})
		if err := errors.Join(err, block.Close()); err != nil {
			return err
		}
	}
	clear(p.places)
	p.n = 0
	return nil
}
