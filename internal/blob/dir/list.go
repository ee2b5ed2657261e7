// SPDX-License-Identifier: Apache-2.0

package dir

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"slices"
	"strings"
	"syscall"
	"time"

	"hozon.dev/hozon/internal/blob"
)

// staleAfter is how long a temporary file may go without a write before it counts as left behind.
const staleAfter = 24 * time.Hour

// List implements blob.Bucket. It holds the names of one folder at a time per level in memory.
func (b *Bucket) List(ctx context.Context, prefix string, shallow bool, fn func(blob.Info) error) error {
	if err := blob.CheckPrefix(prefix); err != nil {
		return fmt.Errorf("list: %w", err)
	}
	parent := prefix[:strings.LastIndexByte(prefix, '/')+1]
	w := walk{b: b, shallow: shallow, fn: fn}
	if parent != "" {
		first, _, _ := strings.Cut(parent, "/")
		if reserved("", first) {
			return nil
		}
		at, err := b.locate(strings.TrimSuffix(parent, "/"))
		if err != nil {
			return fmt.Errorf("list %s: %w", prefix, err)
		}
		if !at.dir {
			return nil
		}
	}
	return w.folder(ctx, parent, prefix[len(parent):])
}

type walk struct {
	b       *Bucket
	shallow bool
	fn      func(blob.Info) error
}

// folder visits what is below parent (empty, or ending in "/") and starts with start.
func (w walk) folder(ctx context.Context, parent, start string) error {
	names, err := w.b.names(parent)
	if err != nil {
		return fmt.Errorf("list %s: %w", parent, err)
	}
	for _, name := range names {
		if err := ctx.Err(); err != nil {
			return fmt.Errorf("list %s: %w", parent, err)
		}
		if !strings.HasPrefix(name, start) {
			continue
		}
		if err := w.visit(ctx, parent+name); err != nil {
			return err
		}
	}
	return nil
}

func (w walk) visit(ctx context.Context, key string) error {
	path, isFolder := strings.CutSuffix(key, "/")
	if isFolder && !w.shallow {
		return w.folder(ctx, key, "")
	}
	if isFolder {
		full, err := w.b.holdsObject(ctx, key)
		if err != nil {
			return fmt.Errorf("list %s: %w", key, err)
		}
		if !full {
			return nil
		}
		return w.fn(blob.Info{Key: key, Dir: true})
	}
	info, err := w.b.root.Lstat(path)
	if errors.Is(err, fs.ErrNotExist) || err == nil && !info.Mode().IsRegular() {
		return nil // changed since its folder was read
	}
	if err != nil {
		return fmt.Errorf("list %s: %w", key, classify(err))
	}
	return w.fn(blob.Info{Key: key, Size: info.Size(), Modified: info.ModTime()})
}

// names returns the names of files and folders below parent, folders with a "/", in the byte order of their keys. A folder that is gone is empty.
func (b *Bucket) names(parent string) ([]string, error) {
	var names []string
	err := b.each(parent, func(entry fs.DirEntry) bool {
		switch {
		case strings.HasPrefix(entry.Name(), tempPrefix):
			b.removeStale(parent + entry.Name())
		case reserved(parent, entry.Name()):
		case entry.IsDir():
			names = append(names, entry.Name()+"/")
		case entry.Type().IsRegular():
			names = append(names, entry.Name())
		}
		return true
	})
	slices.Sort(names)
	return names, err
}

// each calls fn for the entries of a folder in no order until fn returns false.
func (b *Bucket) each(parent string, fn func(fs.DirEntry) bool) error {
	path := strings.TrimSuffix(parent, "/")
	if path == "" {
		path = "."
	}
	f, err := b.root.Open(path)
	if isAny(err, syscall.ENOENT, syscall.ENOTDIR) {
		return nil
	}
	if err != nil {
		return classify(err)
	}
	defer f.Close()
	for {
		entries, err := f.ReadDir(1000)
		for _, entry := range entries {
			if !fn(entry) {
				return nil
			}
		}
		if err == io.EOF || errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		if err != nil {
			return classify(err)
		}
	}
}

// holdsObject reports whether there is an object anywhere below parent.
func (b *Bucket) holdsObject(ctx context.Context, parent string) (found bool, err error) {
	var folders []string
	err = b.each(parent, func(entry fs.DirEntry) bool {
		switch {
		case reserved(parent, entry.Name()):
		case entry.IsDir():
			folders = append(folders, parent+entry.Name()+"/")
		case entry.Type().IsRegular():
			found = true
		}
		return !found
	})
	for _, sub := range folders {
		if found || err != nil {
			break
		}
		if err = ctx.Err(); err == nil {
			found, err = b.holdsObject(ctx, sub)
		}
	}
	return found, err
}

// removeStale removes a temporary file that nobody has written to for staleAfter. On a read-only store it stays.
func (b *Bucket) removeStale(temp string) {
	info, err := b.root.Lstat(temp)
	if err == nil && info.Mode().IsRegular() && b.Now().Sub(info.ModTime()) > staleAfter {
		b.discard(temp)
	}
}
