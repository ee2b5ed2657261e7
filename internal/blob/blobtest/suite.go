// SPDX-License-Identifier: Apache-2.0

// Package blobtest is the conformance suite of blob.Bucket: every promise of the contract as a test. Each driver and each decorator
// runs it in its own tests. It judges a Bucket by its methods alone, so it cannot see whether a write is durable.
package blobtest

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"hozon.dev/hozon/internal/blob"
	"hozon.dev/hozon/internal/fail"
)

// Suite is a run of the tests. Run is the short form for drivers of real stores.
type Suite struct {
	Open     func(t *testing.T) blob.Bucket // returns an empty bucket of its own at each call
	InMemory bool                           // the store is this process's memory: do not measure it
	Refused  []string                       // of the odd names, those that the store cannot keep: it must refuse them
	Skip     map[string]string              // tests that the server behind the driver cannot pass, with the reason
}

// Run tests the buckets that open returns. Each must be empty and shared with nobody.
func Run(t *testing.T, open func(t *testing.T) blob.Bucket) { Suite{Open: open}.Run(t) }

// Run runs every test of the suite as a subtest.
func (s Suite) Run(t *testing.T) {
	tests := []struct {
		name string
		run  func(*testing.T, blob.Bucket)
	}{
		{"RoundTrip", roundTrip},
		{"Empty", empty},
		{"Ranges", ranges},
		{"Missing", missing},
		{"Overwrite", overwrite},
		{"IfAbsent", ifAbsent},
		{"IfAbsentRace", ifAbsentRace},
		{"ReaderFails", readerFails},
		{"BadReaders", badReaders},
		{"Cancelled", cancelled},
		{"CancelledMidPut", cancelledMidPut},
		{"Stream", s.stream},
		{"ListOrder", listOrder},
		{"ListPrefix", listPrefix},
		{"ListShallow", listShallow},
		{"ListStops", listStops},
		{"ListAndDelete", listAndDelete},
		{"ManyKeys", manyKeys},
		{"OddNames", s.oddNames},
		{"BadKeys", badKeys},
		{"LongNames", longNames},
		{"KeyThroughKey", keyThroughKey},
		{"Delete", remove},
		{"Concurrent", concurrent},
		{"DeleteBesidePut", deleteBesidePut},
		{"Description", description},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if reason := s.Skip[tt.name]; reason != "" {
				t.Skip(reason)
			}
			tt.run(t, s.Open(t))
		})
	}
}

func put(t *testing.T, b blob.Bucket, key, content string) {
	t.Helper()
	n, err := b.Put(t.Context(), key, strings.NewReader(content), blob.PutOptions{})
	if err != nil {
		t.Fatalf("put %q: %v", key, err)
	}
	if n != int64(len(content)) {
		t.Fatalf("put %q: size %d, want %d", key, n, len(content))
	}
}

func get(t *testing.T, b blob.Bucket, key string) string {
	t.Helper()
	return getRange(t, b, key, 0, -1)
}

func getRange(t *testing.T, b blob.Bucket, key string, offset, length int64) string {
	t.Helper()
	rc, err := b.Get(t.Context(), key, offset, length)
	if err != nil {
		t.Fatalf("get %q [%d,+%d]: %v", key, offset, length, err)
	}
	data, err := io.ReadAll(rc)
	if err = errors.Join(err, rc.Close()); err != nil {
		t.Fatalf("read %q [%d,+%d]: %v", key, offset, length, err)
	}
	return string(data)
}

func wantKind(t *testing.T, what string, err error, kind fail.Kind) {
	t.Helper()
	if !fail.Is(err, kind) {
		t.Errorf("%s: error %v (%v), want %v", what, err, fail.Of(err), kind)
	}
}

// wantNothing checks by every way of looking that nothing is stored under key.
func wantNothing(t *testing.T, b blob.Bucket, key string) {
	t.Helper()
	_, err := b.Stat(t.Context(), key)
	wantKind(t, fmt.Sprintf("stat %q", key), err, fail.NotFound)
	rc, err := b.Get(t.Context(), key, 0, -1)
	if err == nil {
		rc.Close()
	}
	wantKind(t, fmt.Sprintf("get %q", key), err, fail.NotFound)
	if keys := list(t, b, "", false); slices.Contains(keys, key) {
		t.Errorf("%q is listed", key)
	}
}

func list(t *testing.T, b blob.Bucket, prefix string, shallow bool) []string {
	t.Helper()
	keys := []string{}
	err := b.List(t.Context(), prefix, shallow, func(info blob.Info) error {
		if info.Dir != strings.HasSuffix(info.Key, "/") {
			t.Errorf("list %q: %+v: Dir does not fit the key", prefix, info)
		}
		keys = append(keys, info.Key)
		return nil
	})
	if err != nil {
		t.Fatalf("list %q: %v", prefix, err)
	}
	return keys
}

func wantList(t *testing.T, b blob.Bucket, prefix string, shallow bool, want ...string) {
	t.Helper()
	if want == nil {
		want = []string{}
	}
	if diff := cmp.Diff(want, list(t, b, prefix, shallow)); diff != "" {
		t.Errorf("list %q (shallow %v), -want +got:\n%s", prefix, shallow, diff)
	}
}

// sized is the size that a bucket tells of an object of n bytes.
func sized(b blob.Bucket, n int64) int64 {
	if b.Capabilities().Sizeless {
		return -1
	}
	return n
}

// pattern is an endless stream of which every part is recognisable, so that exchanged or repeated blocks are found.
func pattern(n int64) io.Reader { return io.LimitReader(&counter{}, n) }

type counter struct{ at uint64 }

func (c *counter) Read(p []byte) (int, error) {
	var word [8]byte
	for n := 0; n < len(p); {
		binary.LittleEndian.PutUint64(word[:], (c.at>>3)*0x9e3779b97f4a7c15)
		k := copy(p[n:], word[c.at&7:])
		n, c.at = n+k, c.at+uint64(k)
	}
	return len(p), nil
}

// equalStreams compares without keeping either in memory.
func equalStreams(got, want io.Reader) error {
	a, b := make([]byte, 64<<10), make([]byte, 64<<10)
	for at := int64(0); ; {
		n, errA := io.ReadFull(got, a)
		m, errB := io.ReadFull(want, b)
		if n != m || !bytes.Equal(a[:n], b[:m]) {
			return fmt.Errorf("they differ in the %d bytes from %d on (%v)", len(a), at, errA)
		}
		at += int64(n)
		if errA != nil || errB != nil {
			if (errA == io.EOF || errA == io.ErrUnexpectedEOF) && errA == errB {
				return nil
			}
			return fmt.Errorf("after %d bytes: %v, want %v", at, errA, errB)
		}
	}
}
