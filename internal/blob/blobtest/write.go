// SPDX-License-Identifier: Apache-2.0

package blobtest

import (
	"context"
	"errors"
	"io"
	"runtime"
	"strings"
	"testing"
	"testing/iotest"

	"hozon.dev/hozon/internal/blob"
	"hozon.dev/hozon/internal/fail"
)

func overwrite(t *testing.T, b blob.Bucket) {
	put(t, b, "k", "a long first content")
	old, err := b.Get(t.Context(), "k", 0, -1)
	if err != nil {
		t.Fatal(err)
	}
	defer old.Close()
	put(t, b, "k", "second")
	if got := get(t, b, "k"); got != "second" {
		t.Errorf("got %q", got)
	}
	// A reader opened before sees one of the two, whole, or an error.
	if data, err := io.ReadAll(old); err == nil && string(data) != "a long first content" && string(data) != "second" {
		t.Errorf("the old reader gave %q", data)
	}
	wantList(t, b, "", false, "k")
}

func ifAbsent(t *testing.T, b blob.Bucket) {
	only := blob.PutOptions{IfAbsent: true}
	for _, key := range []string{"k", "new/folder/k"} {
		if n, err := b.Put(t.Context(), key, strings.NewReader("first"), only); err != nil || n != 5 {
			t.Fatalf("put %q: %d, %v", key, n, err)
		}
		_, err := b.Put(t.Context(), key, strings.NewReader("second"), only)
		wantKind(t, "second put", err, fail.Exists)
		if err != nil && !strings.Contains(err.Error(), key) {
			t.Errorf("%q does not name the key", err)
		}
		if got := get(t, b, key); got != "first" {
			t.Errorf("%q holds %q", key, got)
		}
		if err := b.Delete(t.Context(), key); err != nil {
			t.Fatal(err)
		}
		if _, err := b.Put(t.Context(), key, strings.NewReader("third"), only); err != nil {
			t.Errorf("put after delete: %v", err)
		}
	}
	_, err := b.Put(t.Context(), "k", pattern(20<<20), only)
	wantKind(t, "put of a large object", err, fail.Exists)
	if got := get(t, b, "k"); got != "third" {
		t.Errorf("a refused put left %q", got)
	}
}

// ifAbsentRace lets writers meet at the end of their streams, when each has found the key absent.
func ifAbsentRace(t *testing.T, b blob.Bucket) {
	if !b.Capabilities().AtomicPut {
		t.Skip("the store has no conditional write: Capabilities says so")
	}
	for _, size := range []int64{100, 9 << 20} { // the second needs several steps in stores with parts
		key := "race/" + string(rune('a'+size%26))
		const writers = 4
		ready, start := make(chan struct{}, writers), make(chan struct{})
		errs := make(chan error, writers)
		for range writers {
			go func() {
				gate := readerFunc(func([]byte) (int, error) {
					ready <- struct{}{}
					<-start
					return 0, io.EOF
				})
				_, err := b.Put(t.Context(), key, io.MultiReader(pattern(size), gate), blob.PutOptions{IfAbsent: true})
				errs <- err
			}()
		}
		for range writers {
			<-ready
		}
		close(start)
		won := 0
		for range writers {
			if err := <-errs; err == nil {
				won++
			} else {
				wantKind(t, "the loser", err, fail.Exists)
			}
		}
		if won != 1 {
			t.Errorf("%d of %d writers of %d bytes were told that they created the object", won, writers, size)
		}
		checkPattern(t, b, key, size)
	}
}

type readerFunc func([]byte) (int, error)

func (f readerFunc) Read(p []byte) (int, error) { return f(p) }

func checkPattern(t *testing.T, b blob.Bucket, key string, size int64) {
	t.Helper()
	rc, err := b.Get(t.Context(), key, 0, -1)
	if err != nil {
		t.Fatal(err)
	}
	defer rc.Close()
	if err := equalStreams(rc, pattern(size)); err != nil {
		t.Errorf("%q: %v", key, err)
	}
}

// readerFails breaks the stream early, between and after parts, with and without an old object.
func readerFails(t *testing.T, b blob.Bucket) {
	broken := fail.Errorf(fail.Busy, "the source broke")
	put(t, b, "old", "old content")
	for _, after := range []int64{0, 1, 100 << 10, 8 << 20, 21 << 20} {
		for _, key := range []string{"old", "new/key"} {
			r := io.MultiReader(pattern(after), iotest.ErrReader(broken))
			_, err := b.Put(t.Context(), key, r, blob.PutOptions{})
			if !errors.Is(err, broken) || !fail.Is(err, fail.Busy) {
				t.Errorf("put %q, broken after %d bytes: %v, want the reader's error with its kind", key, after, err)
			}
		}
		wantNothing(t, b, "new/key")
		if got := get(t, b, "old"); got != "old content" {
			t.Errorf("broken after %d bytes: the old object holds %d bytes", after, len(got))
		}
	}
	wantList(t, b, "", true, "old")
}

func badReaders(t *testing.T, b blob.Bucket) {
	const text = "some text of no great length"
	readers := map[string]io.Reader{
		"one":  iotest.OneByteReader(strings.NewReader(text)),
		"half": iotest.HalfReader(strings.NewReader(text)),
		"data": iotest.DataErrReader(strings.NewReader(text)), // the last bytes come with io.EOF
	}
	for key, r := range readers {
		if n, err := b.Put(t.Context(), key, r, blob.PutOptions{}); err != nil || n != int64(len(text)) {
			t.Errorf("%s: %d, %v", key, n, err)
		} else if got := get(t, b, key); got != text {
			t.Errorf("%s: got %q", key, got)
		}
	}
	stuck := readerFunc(func([]byte) (int, error) { return 0, nil })
	if _, err := b.Put(t.Context(), "stuck", stuck, blob.PutOptions{}); !errors.Is(err, io.ErrNoProgress) {
		t.Errorf("a reader that never gives anything: %v", err)
	}
	wantNothing(t, b, "stuck")
}

func cancelled(t *testing.T, b blob.Bucket) {
	put(t, b, "k", "x")
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, putErr := b.Put(ctx, "new", strings.NewReader("x"), blob.PutOptions{})
	_, statErr := b.Stat(ctx, "k")
	listErr := b.List(ctx, "", false, func(blob.Info) error { return nil })
	for op, err := range map[string]error{"put": putErr, "stat": statErr, "list": listErr, "delete": b.Delete(ctx, "k")} {
		if !errors.Is(err, context.Canceled) {
			t.Errorf("%s with an ended context: %v", op, err)
		}
	}
	wantList(t, b, "", false, "k")
}

func cancelledMidPut(t *testing.T, b blob.Bucket) {
	put(t, b, "old", "old content")
	for _, after := range []int64{10, 20 << 20} {
		for _, key := range []string{"old", "new/key"} {
			ctx, cancel := context.WithCancel(t.Context())
			trip := readerFunc(func(p []byte) (int, error) { cancel(); p[0] = 0; return 1, nil })
			r := io.MultiReader(pattern(after), trip)
			if _, err := b.Put(ctx, key, r, blob.PutOptions{}); !errors.Is(err, context.Canceled) {
				t.Errorf("put %q cancelled after %d bytes: %v", key, after, err)
			}
		}
		wantNothing(t, b, "new/key")
		if got := get(t, b, "old"); got != "old content" {
			t.Errorf("cancelled after %d bytes: the old object holds %d bytes", after, len(got))
		}
	}
}

// stream puts 40 MiB of unknown length and watches the heap while doing so: 38 MiB are allowed, which is less than the object and
// room for four buffers of 8 MiB.
func (s Suite) stream(t *testing.T, b blob.Bucket) {
	const size, limit = 40<<20 + 12345, 38 << 20
	var stats runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&stats)
	before, peak, seen := stats.HeapAlloc, uint64(0), int64(0)
	r := pattern(size)
	watched := readerFunc(func(p []byte) (int, error) {
		n, err := r.Read(p)
		if seen += int64(n); seen > 4<<20 {
			seen = 0
			runtime.GC() // what is not in use does not count
			runtime.ReadMemStats(&stats)
			peak = max(peak, stats.HeapAlloc)
		}
		return n, err
	})
	n, err := b.Put(t.Context(), "big", watched, blob.PutOptions{})
	if err != nil || n != size {
		t.Fatalf("put: %d, %v", n, err)
	}
	if used := int64(peak) - int64(before); used > limit && !s.InMemory {
		t.Errorf("a put of %d bytes took %d bytes of memory", size, used)
	}
	if info, err := b.Stat(t.Context(), "big"); err != nil || info.Size != sized(b, size) {
		t.Errorf("stat: %+v, %v", info, err)
	}
	checkPattern(t, b, "big", size)
	rc, err := b.Get(t.Context(), "big", size-100, -1)
	if err != nil {
		t.Fatal(err)
	}
	defer rc.Close()
	tail := pattern(size)
	if _, err := io.CopyN(io.Discard, tail, size-100); err != nil {
		t.Fatal(err)
	}
	if err := equalStreams(rc, tail); err != nil {
		t.Errorf("the last 100 bytes: %v", err)
	}
}

func remove(t *testing.T, b blob.Bucket) {
	put(t, b, "a/b/c", "x")
	put(t, b, "a/b/d", "x")
	put(t, b, "a/e", "x")
	for _, key := range []string{"a/b/x", "a/x", "x", "x/y", "a", "a/b", "a/b/c/d"} {
		if err := b.Delete(t.Context(), key); err != nil {
			t.Errorf("delete of the missing %q: %v", key, err)
		}
	}
	wantList(t, b, "", false, "a/b/c", "a/b/d", "a/e")
	for _, key := range []string{"a/b/c", "a/b/d"} {
		if err := b.Delete(t.Context(), key); err != nil {
			t.Errorf("delete %q: %v", key, err)
		}
		wantNothing(t, b, key)
		if err := b.Delete(t.Context(), key); err != nil {
			t.Errorf("second delete of %q: %v", key, err)
		}
	}
	wantList(t, b, "a/", true, "a/e")
}
