// SPDX-License-Identifier: Apache-2.0

// Package faulty wraps a blob.Bucket to make it fail at will and to write down what was asked of it, for tests of what
// stands on a Bucket: arm a Fault at the n-th operation, for every n, and see that nothing half-done is visible.
//
// With nothing armed it is as good a Bucket as the one inside.
package faulty

import (
	"context"
	"fmt"
	"io"
	"path"
	"slices"
	"sync"

	"hozon.dev/hozon/internal/blob"
	"hozon.dev/hozon/internal/fail"
)

// Op is a method of blob.Bucket.
type Op string

const (
	Any    Op = ""
	Put    Op = "put"
	Get    Op = "get"
	List   Op = "list"
	Stat   Op = "stat"
	Delete Op = "delete"
)

// Mode is what happens to an operation that is struck.
type Mode uint8

const (
	// Fail does nothing and returns the error. The reader of a Put is not touched.
	Fail Mode = iota
	// Tear breaks off midway: the reader of a Put fails after After bytes, that of a Get too, a List after After entries. Stat and Delete just fail.
	Tear
	// Lose does all of it, and then returns the error: the answer got lost. In a Get and a List that shows at the end of the bytes or entries.
	Lose
	// Block waits until the context ends and returns its error.
	Block
)

// Fault says which operation is struck and how.
type Fault struct {
	Op   Op     // Any: of every kind
	Key  string // pattern of path.Match for the key, or the prefix of a List; empty: all
	N    int    // strike the n-th that fits, counted from 1 since Arm; 0: every one
	Mode Mode
	// After is how much passes before a Tear. Zero: all bytes of a Put (so the error stands in place of the end), half of a Get's, one entry of a List.
	After int64
	Err   error // nil: ErrInjected
}

// ErrInjected is what a struck operation returns unless its Fault says otherwise.
var ErrInjected = fail.Errorf(fail.Transient, "injected fault")

// Bucket is a blob.Bucket that obeys. Make one with New.
type Bucket struct {
	inner blob.Bucket

	mu    sync.Mutex
	armed []*armed
	lines []string
}

type armed struct {
	Fault
	seen   int
	struck chan struct{}
}

var _ blob.Bucket = (*Bucket)(nil)

// New wraps inner, with nothing armed.
func New(inner blob.Bucket) *Bucket { return &Bucket{inner: inner} }

// Arm adds a fault. The channel is closed when it first strikes, at the start of the operation.
func (b *Bucket) Arm(f Fault) <-chan struct{} {
	if f.Err == nil {
		f.Err = ErrInjected
	}
	if _, err := path.Match(f.Key, ""); err != nil {
		panic("faulty: bad pattern in the test: " + f.Key)
	}
	a := &armed{Fault: f, struck: make(chan struct{})}
	b.mu.Lock()
	defer b.mu.Unlock()
	b.armed = append(b.armed, a)
	return a.struck
}

// Disarm takes all faults away.
func (b *Bucket) Disarm() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.armed = nil
}

// Ops returns the operations so far, in the order of their starts, one a line: "put backups/a/a.tar.gz (if absent)", "get k",
// "get k [5,+10]", "list backups/ (shallow)", "stat k", "delete k".
func (b *Bucket) Ops() []string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return slices.Clone(b.lines)
}

// Forget empties the record of Ops.
func (b *Bucket) Forget() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.lines = nil
}

// begin records an operation, and returns the fault that strikes it, or one that does nothing.
func (b *Bucket) begin(op Op, key, note string) *Fault {
	b.mu.Lock()
	defer b.mu.Unlock()
	line := string(op) + " " + key
	if note != "" {
		line += " " + note
	}
	b.lines = append(b.lines, line)
	var hit *Fault
	for _, a := range b.armed {
		if a.Op != Any && a.Op != op {
			continue
		}
		if ok, _ := path.Match(a.Key, key); a.Key != "" && !ok {
			continue
		}
		a.seen++
		if a.N == 0 || a.N == a.seen {
			if hit == nil {
				hit = &a.Fault
			}
			if a.seen == max(a.N, 1) {
				close(a.struck)
			}
		}
	}
	return hit
}

// now is what to do about f before the operation: return the error, if any.
func (f *Fault) now(ctx context.Context, op Op, key string) error {
	switch {
	case f == nil:
		return nil
	case f.Mode == Block:
		<-ctx.Done()
		return fmt.Errorf("%s %s: %w", op, key, ctx.Err())
	case f.Mode == Fail, f.Mode == Tear && (op == Stat || op == Delete):
		return fmt.Errorf("%s %s: %w", op, key, f.Err)
	}
	return nil
}

// late is the error of an operation that was done and then lost.
func (f *Fault) late(op Op, key string, err error) error {
	if f != nil && f.Mode == Lose && err == nil {
		return fmt.Errorf("%s %s: %w", op, key, f.Err)
	}
	return err
}

// Get implements blob.Bucket.
func (b *Bucket) Get(ctx context.Context, key string, offset, length int64) (io.ReadCloser, error) {
	note := ""
	if offset != 0 || length >= 0 {
		note = fmt.Sprintf("[%d,+%d]", offset, length)
	}
	f := b.begin(Get, key, note)
	if err := f.now(ctx, Get, key); err != nil {
		return nil, err
	}
	rc, err := b.inner.Get(ctx, key, offset, length)
	if err != nil || f == nil {
		return rc, err
	}
	n := f.After
	if f.Mode == Tear && n == 0 {
		n, err = b.half(ctx, key, offset, length)
		if err != nil {
			rc.Close()
			return nil, err
		}
	}
	if f.Mode == Lose {
		n = 1 << 62
	}
	return struct {
		io.Reader
		io.Closer
	}{&torn{rc, n, fmt.Errorf("read %s: %w", key, f.Err)}, rc}, nil
}

func (b *Bucket) half(ctx context.Context, key string, offset, length int64) (int64, error) {
	info, err := b.inner.Stat(ctx, key)
	if err != nil {
		return 0, err
	}
	n, err := blob.Range(info.Size, offset, length)
	return n / 2, err
}

// torn yields left bytes of r, or all if it has fewer, and then err.
type torn struct {
	r    io.Reader
	left int64
	err  error
}

func (t *torn) Read(p []byte) (int, error) {
	if t.left <= 0 {
		return 0, t.err
	}
	n, err := t.r.Read(p[:min(int64(len(p)), t.left)])
	t.left -= int64(n)
	if err == io.EOF {
		err = t.err
	}
	return n, err
}

// Put implements blob.Bucket.
func (b *Bucket) Put(ctx context.Context, key string, r io.Reader, opts blob.PutOptions) (int64, error) {
	note := ""
	if opts.IfAbsent {
		note = "(if absent)"
	}
	f := b.begin(Put, key, note)
	if err := f.now(ctx, Put, key); err != nil {
		return 0, err
	}
	if f != nil && f.Mode == Tear {
		n := f.After
		if n == 0 {
			n = 1 << 62
		}
		r = &torn{r, n, f.Err}
	}
	n, err := b.inner.Put(ctx, key, r, opts)
	if err = f.late(Put, key, err); err != nil {
		return 0, err
	}
	return n, nil
}

// Stat implements blob.Bucket.
func (b *Bucket) Stat(ctx context.Context, key string) (blob.Info, error) {
	f := b.begin(Stat, key, "")
	if err := f.now(ctx, Stat, key); err != nil {
		return blob.Info{}, err
	}
	info, err := b.inner.Stat(ctx, key)
	return info, f.late(Stat, key, err)
}

// List implements blob.Bucket.
func (b *Bucket) List(ctx context.Context, prefix string, shallow bool, fn func(blob.Info) error) error {
	note := ""
	if shallow {
		note = "(shallow)"
	}
	f := b.begin(List, prefix, note)
	if err := f.now(ctx, List, prefix); err != nil {
		return err
	}
	if f != nil && f.Mode == Tear {
		left, inner := max(f.After, 1), fn
		fn = func(info blob.Info) error {
			if left--; left < 0 {
				return fmt.Errorf("list %s: %w", prefix, f.Err)
			}
			return inner(info)
		}
		if err := b.inner.List(ctx, prefix, shallow, fn); err != nil {
			return err
		}
		return fmt.Errorf("list %s: %w", prefix, f.Err) // also if there were too few entries
	}
	return f.late(List, prefix, b.inner.List(ctx, prefix, shallow, fn))
}

// Delete implements blob.Bucket.
func (b *Bucket) Delete(ctx context.Context, key string) error {
	f := b.begin(Delete, key, "")
	if err := f.now(ctx, Delete, key); err != nil {
		return err
	}
	return f.late(Delete, key, b.inner.Delete(ctx, key))
}

// Capabilities implements blob.Bucket.
func (b *Bucket) Capabilities() blob.Capabilities { return b.inner.Capabilities() }

// String implements blob.Bucket.
func (b *Bucket) String() string { return b.inner.String() }
