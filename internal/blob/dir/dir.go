// SPDX-License-Identifier: Apache-2.0

// Package dir keeps objects as files below a root folder; a key is the path of its file.
//
// A Put writes into a temporary file beside the target, syncs it, moves it into place in one step (rename; link or renameat2 with
// IfAbsent) and syncs every folder from there up to the root: what was acknowledged survives a power cut. Folders get mode 0700, files 0600.
//
// Invariants:
//   - nothing outside of the root is ever touched: all access goes through os.Root. A key whose path runs through a symbolic link is
//     refused, in or out of the root, and List does not follow links;
//   - only regular files are objects. Folders are no objects and show in a List as long as there is an object in them; what is
//     neither (sockets, devices, links) is refused by key and passed over by List;
//   - names that start with ".hozon-tmp-", and "lost+found" at the root, are not part of the key space: refused with fail.Invalid,
//     never listed. A temporary file that a killed process left is removed by a List that meets it after a day without a write;
//   - Delete removes the folders that it left empty. A Put that loses its folder to that makes it anew.
//
// A full disk is fail.Unknown: final, since only somebody who makes room can change it. A file system that has neither hard links nor
// renameat2(RENAME_NOREPLACE) refuses IfAbsent with fail.Unsupported. It does not guard against two hosts whose network file
// system does not offer atomic rename and link.
package dir

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/url"
	"os"
	"path/filepath"
	"syscall"
	"time"

	"hozon.dev/hozon/internal/blob"
	"hozon.dev/hozon/internal/fail"
)

const (
	fileMode = 0o600
	dirMode  = 0o700
)

// Bucket is a blob.Bucket in a folder. It holds one open folder until Close.
type Bucket struct {
	Now func() time.Time // tells which temporary files are stale; set before first use

	root *os.Root
	path string // absolute
}

var _ blob.Bucket = (*Bucket)(nil)

// Open opens the folder at path. If it is missing, create makes its last element; else that is fail.NotFound.
func Open(path string, create bool) (*Bucket, error) {
	if path == "" {
		return nil, fail.Errorf(fail.Invalid, "open store: the folder's path is empty")
	}
	abs, err := filepath.Abs(path)
	if err != nil {
		return nil, fmt.Errorf("open store %s: %w", path, err)
	}
	root, err := os.OpenRoot(abs)
	if create && errors.Is(err, fs.ErrNotExist) {
		if root, err = makeRoot(abs); errors.Is(err, fs.ErrNotExist) {
			return nil, fail.Errorf(fail.NotFound, "open store %s: its parent folder does not exist either: make it with \"mkdir -p %s\"", abs, filepath.Dir(abs))
		}
	}
	switch {
	case err == nil:
		return &Bucket{Now: time.Now, root: root, path: abs}, nil
	case errors.Is(err, fs.ErrNotExist):
		return nil, fail.Errorf(fail.NotFound, "open store %s: the folder does not exist: make it with \"mkdir -p %s\", or mount what should be there", abs, abs)
	}
	if info, statErr := os.Stat(abs); statErr == nil && !info.IsDir() || errors.Is(statErr, syscall.ENOTDIR) {
		return nil, fail.Errorf(fail.Invalid, "open store %s: it is not a folder", abs)
	}
	return nil, fmt.Errorf("open store %s: %w", abs, classify(err))
}

func makeRoot(abs string) (*os.Root, error) {
	if err := os.Mkdir(abs, dirMode); err != nil && !errors.Is(err, fs.ErrExist) {
		return nil, err
	}
	if parent, err := os.Open(filepath.Dir(abs)); err == nil { // a folder that we may not read cannot be synced
		err = syncFolder(parent)
		if err != nil {
			return nil, err
		}
	}
	return os.OpenRoot(abs)
}

// Close releases the folder. Readers that Get returned stay valid.
func (b *Bucket) Close() error { return b.root.Close() }

// String implements blob.Bucket.
func (b *Bucket) String() string {
	return (&url.URL{Scheme: "file", Path: filepath.ToSlash(b.path)}).String()
}

// Capabilities implements blob.Bucket: IfAbsent is one step or fail.Unsupported.
func (b *Bucket) Capabilities() blob.Capabilities { return blob.Capabilities{AtomicPut: true} }

// find returns what is at key, or fail.NotFound.
func (b *Bucket) find(ctx context.Context, key string) (fs.FileInfo, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	if err := checkKey(key); err != nil {
		return nil, err
	}
	at, err := b.locate(key)
	if err != nil {
		return nil, err
	}
	if at.info == nil {
		return nil, fail.Errorf(fail.NotFound, "no such object in %s", b)
	}
	return at.info, nil
}

// Get implements blob.Bucket.
func (b *Bucket) Get(ctx context.Context, key string, offset, length int64) (io.ReadCloser, error) {
	if _, err := b.find(ctx, key); err != nil {
		return nil, fmt.Errorf("get %s: %w", key, err)
	}
	rc, err := b.open(key, offset, length)
	if err != nil {
		return nil, fmt.Errorf("get %s: %w", key, err)
	}
	return rc, nil
}

func (b *Bucket) open(key string, offset, length int64) (io.ReadCloser, error) {
	// Without O_NONBLOCK a named pipe put there just now would hold us for ever.
	f, err := b.root.OpenFile(key, os.O_RDONLY|syscall.O_NONBLOCK, 0)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fail.Errorf(fail.NotFound, "no such object in %s", b)
	}
	if err != nil {
		return nil, classify(err)
	}
	n, err := seekTo(f, offset, length)
	if err != nil {
		f.Close()
		return nil, err
	}
	return blob.Exact(&reader{f}, n), nil
}

func seekTo(f *os.File, offset, length int64) (int64, error) {
	info, err := f.Stat()
	if err != nil {
		return 0, classify(err)
	}
	if !info.Mode().IsRegular() {
		return 0, irregular(info.Mode())
	}
	n, err := blob.Range(info.Size(), offset, length)
	if err != nil {
		return 0, err
	}
	_, err = f.Seek(offset, io.SeekStart)
	return n, classify(err)
}

// reader gives read errors their kind.
type reader struct{ f *os.File }

func (r *reader) Read(p []byte) (int, error) {
	n, err := r.f.Read(p)
	if err != nil && err != io.EOF {
		err = classify(err)
	}
	return n, err
}

func (r *reader) Close() error { return r.f.Close() }

// Stat implements blob.Bucket.
func (b *Bucket) Stat(ctx context.Context, key string) (blob.Info, error) {
	info, err := b.find(ctx, key)
	if err != nil {
		return blob.Info{}, fmt.Errorf("stat %s: %w", key, err)
	}
	return blob.Info{Key: key, Size: info.Size(), Modified: info.ModTime()}, nil
}
