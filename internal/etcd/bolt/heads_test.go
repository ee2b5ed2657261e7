// SPDX-License-Identifier: Apache-2.0

package bolt

import (
	"bytes"
	"strings"
	"testing"
)

// counted counts the bytes that are read.
type counted struct {
	*bytes.Reader
	n int
}

func (c *counted) ReadAt(p []byte, off int64) (int, error) {
	c.n += len(p)
	return c.Reader.ReadAt(p, off)
}

// keyBucket opens the bucket key of a file.
func keyBucket(t testing.TB, from *counted) *Bucket {
	t.Helper()
	db, err := Open(from, from.Size())
	if err != nil {
		t.Fatal(err)
	}
	all, err := db.Buckets()
	if err != nil {
		t.Fatal(err)
	}
	for i := range all {
		if all[i].Name == "key" {
			return &all[i]
		}
	}
	t.Fatal("there is no bucket key")
	return nil
}

// TestHeads reads the beginnings of values, with all keys and at will the whole value, and less than all of the file.
func TestHeads(t *testing.T) {
	const head = 100
	for _, pageSize := range []int{1024, 2048} {
		file, all := written(t, 7, 30, pageSize)
		want := all["key"]
		from := &counted{Reader: bytes.NewReader(file)}
		b := keyBucket(t, from)
		before, seen, cut := from.n, 0, 0
		err := b.Heads(head, func(e Entry) error {
			seen++
			value := want[string(e.Key)]
			if !strings.HasPrefix(value, string(e.Value)) || len(e.Value) < min(head, len(value)) || e.Cut() == (len(e.Value) == len(value)) {
				t.Fatalf("%s has %d bytes of %d", e.Key, len(e.Value), len(value))
			}
			if !e.Cut() {
				return nil
			}
			cut++
			if cut%10 == 0 {
				whole, err := e.Whole()
				if err != nil || string(whole) != value {
					t.Fatalf("%s: %v, %d bytes of %d", e.Key, err, len(whole), len(value))
				}
			}
			return nil
		})
		if err != nil || seen != len(want) || cut == 0 {
			t.Errorf("%v, %d keys of %d, %d cut", err, seen, len(want), cut)
		}
		heads := from.n - before
		before = from.n
		if err := b.Each(func(_, _ []byte) error { return nil }); err != nil {
			t.Fatal(err)
		}
		if whole := from.n - before; heads >= whole {
			t.Errorf("%d bytes were read for heads, %d for all", heads, whole)
		}
	}
}

// TestOn reads the keys of some pages, each of which comes, and not all others.
func TestOn(t *testing.T) {
	file, all := written(t, 8, 60, 1024)
	b := keyBucket(t, &counted{Reader: bytes.NewReader(file)})
	pages, asked := map[uint64]bool{}, map[string]bool{}
	n := 0
	err := b.Heads(1, func(e Entry) error {
		if n++; n%500 == 0 {
			pages[e.Page], asked[string(e.Key)] = true, true
		}
		return nil
	})
	if err != nil || len(asked) < 5 {
		t.Fatalf("%v, %d keys", err, len(asked))
	}
	seen := 0
	err = b.On(func(page uint64) bool { return pages[page] }, func(k, v []byte) error {
		if seen++; all["key"][string(k)] != string(v) {
			t.Errorf("%s has another value", k)
		}
		delete(asked, string(k))
		return nil
	})
	if err != nil || len(asked) > 0 || seen > len(all["key"])/2 {
		t.Errorf("%v, missing: %v, seen %d of %d", err, asked, seen, len(all["key"]))
	}
}
