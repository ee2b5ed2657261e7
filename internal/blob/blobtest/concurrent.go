// SPDX-License-Identifier: Apache-2.0

package blobtest

import (
	"fmt"
	"io"
	"strings"
	"sync"
	"testing"

	"hozon.dev/hozon/internal/blob"
	"hozon.dev/hozon/internal/fail"
)

// concurrent overwrites one key from several sides while others read it: each reader sees one whole version.
func concurrent(t *testing.T, b blob.Bucket) {
	version := func(w, i int) string { return strings.Repeat(fmt.Sprintf("%d.%d;", w, i), 5000+1000*w) }
	valid := map[string]bool{}
	for w := range 3 {
		for i := range 8 {
			valid[version(w, i)] = true
		}
	}
	put(t, b, "shared/k", version(0, 0))
	var work sync.WaitGroup
	for w := range 3 {
		work.Go(func() {
			for i := range 8 {
				if _, err := b.Put(t.Context(), "shared/k", strings.NewReader(version(w, i)), blob.PutOptions{}); err != nil {
					t.Errorf("put: %v", err)
				}
				own := fmt.Sprintf("own/%d/%d", w, i)
				if _, err := b.Put(t.Context(), own, strings.NewReader(own), blob.PutOptions{}); err != nil {
					t.Errorf("put %s: %v", own, err)
				}
			}
		})
		work.Go(func() {
			for range 16 {
				if got, err := readAll(t, b, "shared/k"); err != nil || !valid[got] {
					t.Errorf("read a mixture of %d bytes, error %v", len(got), err)
				}
				if err := b.List(t.Context(), "", false, func(blob.Info) error { return nil }); err != nil {
					t.Errorf("list: %v", err)
				}
			}
		})
	}
	work.Wait()
	if got := len(list(t, b, "own/", false)); got != 24 {
		t.Errorf("%d of 24 objects are there", got)
	}
}

func readAll(t *testing.T, b blob.Bucket, key string) (string, error) {
	rc, err := b.Get(t.Context(), key, 0, -1)
	if err != nil {
		return "", err
	}
	defer rc.Close()
	data, err := io.ReadAll(rc)
	return string(data), err
}

// deleteBesidePut empties a prefix while another writer fills it: no Put may fail or get lost.
func deleteBesidePut(t *testing.T, b blob.Bucket) {
	var work sync.WaitGroup
	for w := range 4 {
		work.Go(func() {
			for i := range 25 {
				key := fmt.Sprintf("p/q/%d/%d", i%2, w)
				if _, err := b.Put(t.Context(), key, strings.NewReader(key), blob.PutOptions{}); err != nil {
					t.Errorf("put %s: %v", key, err)
					continue
				}
				if got, err := readAll(t, b, key); err != nil || got != key {
					t.Errorf("%s is lost: %q, %v", key, got, err)
				}
				if err := b.Delete(t.Context(), key); err != nil {
					t.Errorf("delete %s: %v", key, err)
				}
				if _, err := b.Stat(t.Context(), key); !fail.Is(err, fail.NotFound) {
					t.Errorf("stat %s after its delete: %v", key, err)
				}
			}
		})
	}
	work.Wait()
	wantList(t, b, "", true)
}
