// SPDX-License-Identifier: Apache-2.0

// Package mem keeps objects in memory, for tests and drills. It keeps every promise of blob.Bucket but two: nothing is
// durable, and an object takes as much memory as it has bytes.
package mem

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"slices"
	"strings"
	"sync"
	"time"

	"hozon.dev/hozon/internal/blob"
	"hozon.dev/hozon/internal/fail"
)

// Bucket is a blob.Bucket in memory. Make one with New.
type Bucket struct {
	Now func() time.Time // the store's clock, set before first use; nil: objects have no time

	mu      sync.RWMutex
	objects map[string]object
}

type object struct {
	data     []byte // never changed
	modified time.Time
}

var _ blob.Bucket = (*Bucket)(nil)

// New returns an empty bucket.
func New() *Bucket { return &Bucket{objects: map[string]object{}} }

func (b *Bucket) find(ctx context.Context, op, key string) (object, error) {
	if err := ctx.Err(); err != nil {
		return object{}, fmt.Errorf("%s %s: %w", op, key, err)
	}
	if err := blob.CheckKey(key); err != nil {
		return object{}, fmt.Errorf("%s: %w", op, err)
	}
	b.mu.RLock()
	defer b.mu.RUnlock()
	o, ok := b.objects[key]
	if !ok {
		return object{}, fail.Errorf(fail.NotFound, "%s %s: no such object in %s", op, key, b)
	}
	return o, nil
}

// Get implements blob.Bucket.
func (b *Bucket) Get(ctx context.Context, key string, offset, length int64) (io.ReadCloser, error) {
	o, err := b.find(ctx, "get", key)
	if err != nil {
		return nil, err
	}
	n, err := blob.Range(int64(len(o.data)), offset, length)
	if err != nil {
		return nil, fmt.Errorf("get %s: %w", key, err)
	}
	return io.NopCloser(bytes.NewReader(o.data[offset : offset+n])), nil
}

// Put implements blob.Bucket.
func (b *Bucket) Put(ctx context.Context, key string, r io.Reader, opts blob.PutOptions) (int64, error) {
	if err := blob.CheckKey(key); err != nil {
		return 0, fmt.Errorf("put: %w", err)
	}
	var buf bytes.Buffer
	n, err, _ := blob.Copy(ctx, &buf, r)
	if err != nil {
		return 0, fmt.Errorf("put %s: %w", key, err)
	}
	o := object{data: buf.Bytes()}
	if b.Now != nil {
		o.modified = b.Now()
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	if _, ok := b.objects[key]; ok && opts.IfAbsent {
		return 0, fail.Errorf(fail.Exists, "put %s: the object exists already in %s", key, b)
	}
	b.objects[key] = o
	return n, nil
}

// Stat implements blob.Bucket.
func (b *Bucket) Stat(ctx context.Context, key string) (blob.Info, error) {
	o, err := b.find(ctx, "stat", key)
	if err != nil {
		return blob.Info{}, err
	}
	return blob.Info{Key: key, Size: int64(len(o.data)), Modified: o.modified}, nil
}

// List implements blob.Bucket. It shows the state of one moment.
func (b *Bucket) List(ctx context.Context, prefix string, shallow bool, fn func(blob.Info) error) error {
	if err := blob.CheckPrefix(prefix); err != nil {
		return fmt.Errorf("list: %w", err)
	}
	for _, info := range b.snapshot(prefix, shallow) {
		if err := ctx.Err(); err != nil {
			return fmt.Errorf("list %s: %w", prefix, err)
		}
		if err := fn(info); err != nil {
			return err
		}
	}
	return nil
}

func (b *Bucket) snapshot(prefix string, shallow bool) []blob.Info {
	b.mu.RLock()
	defer b.mu.RUnlock()
	var infos []blob.Info
	dirs := map[string]bool{}
	for key, o := range b.objects {
		rest, ok := strings.CutPrefix(key, prefix)
		if !ok {
			continue
		}
		if i := strings.IndexByte(rest, '/'); shallow && i >= 0 {
			dirs[prefix+rest[:i+1]] = true
			continue
		}
		infos = append(infos, blob.Info{Key: key, Size: int64(len(o.data)), Modified: o.modified})
	}
	for dir := range dirs {
		infos = append(infos, blob.Info{Key: dir, Dir: true})
	}
	slices.SortFunc(infos, func(x, y blob.Info) int { return strings.Compare(x.Key, y.Key) })
	return infos
}

// Delete implements blob.Bucket.
func (b *Bucket) Delete(ctx context.Context, key string) error {
	if err := ctx.Err(); err != nil {
		return fmt.Errorf("delete %s: %w", key, err)
	}
	if err := blob.CheckKey(key); err != nil {
		return fmt.Errorf("delete: %w", err)
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	delete(b.objects, key)
	return nil
}

// Capabilities implements blob.Bucket.
func (b *Bucket) Capabilities() blob.Capabilities { return blob.Capabilities{AtomicPut: true} }

// String implements blob.Bucket.
func (b *Bucket) String() string { return "mem://" }
