// SPDX-License-Identifier: Apache-2.0

package vault

import (
	"bytes"
	"context"
	"errors"
	"io"
	"slices"
	"sync"
	"time"

	"hozon.dev/hozon/internal/blob"
	"hozon.dev/hozon/internal/fail"
)

// attempts are for reads whose connection breaks in the middle; drivers themselves repeat what does not get through at all.
const attempts = 4

// Target is what Fetch fills. *bytes.Buffer is one.
type Target interface {
	io.Writer
	Reset()
}

// Fetch reads length bytes of an object from an offset, or fewer where it ends before, all of it if length < 0. It tries again when a
// connection breaks.
func Fetch(ctx context.Context, b blob.Bucket, key string, offset, length int64, out Target) error {
	for attempt := 1; ; attempt++ {
		out.Reset()
		err := fetchOnce(ctx, b, key, offset, length, out)
		if err == nil || attempt == attempts || !fail.Is(err, fail.Transient) || ctx.Err() != nil {
			return err
		}
		if err := pause(ctx, attempt); err != nil {
			return err
		}
	}
}

func fetchOnce(ctx context.Context, b blob.Bucket, key string, offset, length int64, out io.Writer) error {
	r, err := b.Get(ctx, key, offset, length)
	if err != nil {
		return err
	}
	defer r.Close()
	_, source, sink := blob.Copy(ctx, out, r)
	return errors.Join(source, sink)
}

// pause waits longer after each attempt.
func pause(ctx context.Context, attempt int) error {
	timer := time.NewTimer(100 * time.Millisecond << (2 * attempt))
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return context.Cause(ctx)
	case <-timer.C:
		return nil
	}
}

// Small files lie in a pack in the order in which they were saved, and are read back in nearly the same. One request for a stretch of the pack
// answers for thousands of them, where one for each would cost a round trip each.
const (
	NearLimit  = 256 << 10 // longest read that should be answered from a stretch
	nearSize   = 1 << 20   // bytes of a stretch
	nearNumber = 24        // stretches held; readers side by side are at different places
)

// Near reads from packs, which never change, and holds the stretches that were read lately. It may be used from several goroutines.
type Near struct {
	Bucket blob.Bucket

	mu   sync.Mutex
	held []*stretch // the one used last is last
}

type stretch struct {
	key  string
	from int64

	once sync.Once
	data []byte
	err  error
}

// Read returns length bytes of an object, which must have them: an object that ends before is fail.Corrupt. What is returned is not to be changed.
func (n *Near) Read(ctx context.Context, key string, offset, length int64) ([]byte, error) {
	if offset < 0 || length < 0 || length > NearLimit {
		return nil, fail.Errorf(fail.Corrupt, "%s: %d bytes at %d cannot be", key, length, offset)
	}
	from := offset / nearSize * nearSize
	first, err := n.stretch(ctx, key, from)
	if err != nil {
		return nil, err
	}
	at := offset - from
	if at+length <= int64(len(first)) {
		return first[at : at+length], nil
	}
	if int64(len(first)) < nearSize {
		return nil, Short(key, offset, length)
	}
	second, err := n.stretch(ctx, key, from+nearSize)
	if err != nil {
		return nil, err
	}
	rest := at + length - nearSize
	if rest > int64(len(second)) {
		return nil, Short(key, offset, length)
	}
	return slices.Concat(first[at:], second[:rest]), nil
}

// Short is the error about a pack that is smaller than what an index says of it.
func Short(key string, offset, length int64) error {
	return fail.Errorf(fail.Corrupt, "%s ends before byte %d", key, offset+length)
}

func (n *Near) stretch(ctx context.Context, key string, from int64) ([]byte, error) {
	x := n.take(key, from)
	x.once.Do(func() {
		var out bytes.Buffer
		x.err = Fetch(ctx, n.Bucket, key, from, nearSize, &out)
		x.data = out.Bytes()
	})
	if x.err == nil {
		return x.data, nil
	}
	n.drop(x)
	if errors.Is(x.err, context.Canceled) && ctx.Err() == nil {
		return n.stretch(ctx, key, from) // somebody else was called off
	}
	if fail.Is(x.err, fail.Invalid) { // it begins behind the end
		return nil, Short(key, from, 1)
	}
	return nil, x.err
}

// take returns a stretch, read or not, and makes room for it.
func (n *Near) take(key string, from int64) *stretch {
	n.mu.Lock()
	defer n.mu.Unlock()
	i := slices.IndexFunc(n.held, func(x *stretch) bool { return x.key == key && x.from == from })
	x := &stretch{key: key, from: from}
	switch {
	case i >= 0:
		x = n.held[i]
		n.held = slices.Delete(n.held, i, i+1)
	case len(n.held) >= nearNumber:
		n.held = slices.Delete(n.held, 0, 1)
	}
	n.held = append(n.held, x)
	return x
}

// drop forgets a stretch that could not be read, so that the next one who wants it tries again.
func (n *Near) drop(x *stretch) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.held = slices.DeleteFunc(n.held, func(y *stretch) bool { return x == y })
}
