// SPDX-License-Identifier: Apache-2.0

package store_test

import (
	"bytes"
	"errors"
	"io"
	"math/rand/v2"
	"slices"
	"testing"

	"hozon.dev/hozon/internal/blob/mem"
	"hozon.dev/hozon/internal/fail"
	"hozon.dev/hozon/internal/store"
)

func TestShelf(t *testing.T) {
	s, err := store.Open(t.Context(), mem.New())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := s.Shelf(store.Clusters, "../x"); !fail.Is(err, fail.Invalid) {
		t.Errorf("a name that leads out: %v", err)
	}
	f, err := s.Shelf(store.Clusters, "prod")
	if err != nil {
		t.Fatal(err)
	}
	content := make([]byte, 20<<20+17) // more windows than are kept
	for i := range content {
		content[i] = byte(rand.Uint32())
	}
	write := func(w io.Writer) error { _, err := w.Write(content); return err }
	if n, err := f.Put(t.Context(), "a", write); err != nil || n != int64(len(content)) {
		t.Fatalf("%d, %v", n, err)
	}
	if _, err := f.Put(t.Context(), "a", write); !fail.Is(err, fail.Exists) {
		t.Errorf("put twice: %v", err)
	}
	broken := errors.New("broken")
	if _, err := f.Put(t.Context(), "b", func(io.Writer) error { return broken }); !errors.Is(err, broken) {
		t.Errorf("a writer that fails: %v", err)
	}
	if err := f.PutJSON(t.Context(), "a.json", 3); err != nil {
		t.Fatal(err)
	}
	if names, err := f.List(t.Context()); err != nil || !slices.Equal(names, []string{"a", "a.json"}) {
		t.Errorf("%v, %v", names, err)
	}
	if names, err := s.Shelves(t.Context(), store.Clusters); err != nil || !slices.Equal(names, []string{"prod"}) {
		t.Errorf("%v, %v", names, err)
	}
	r, err := f.Open(t.Context(), "a")
	if err != nil || r.Size != int64(len(content)) {
		t.Fatal(err)
	}
	for range 60 {
		at := rand.IntN(len(content))
		part := make([]byte, rand.IntN(3<<20))
		n, err := r.ReadAt(part, int64(at))
		if want := content[at:min(at+len(part), len(content))]; !bytes.Equal(part[:n], want) || (n < len(part)) != errors.Is(err, io.EOF) {
			t.Fatalf("%d bytes at %d: %d, %v", len(part), at, n, err)
		}
	}
	if err := f.Delete(t.Context(), "a", "a.json", "a"); err != nil {
		t.Error(err)
	}
	if _, err := f.Open(t.Context(), "a"); !fail.Is(err, fail.NotFound) {
		t.Errorf("deleted: %v", err)
	}
}
