// SPDX-License-Identifier: Apache-2.0

package mem_test

import (
	"strings"
	"testing"
	"time"

	"hozon.dev/hozon/internal/blob"
	"hozon.dev/hozon/internal/blob/blobtest"
	"hozon.dev/hozon/internal/blob/mem"
)

func TestBucket(t *testing.T) {
	blobtest.Suite{Open: func(*testing.T) blob.Bucket { return mem.New() }, InMemory: true}.Run(t)
}

func TestClock(t *testing.T) {
	at := time.Date(2026, 11, 20, 3, 0, 0, 0, time.UTC)
	b := mem.New()
	b.Now = func() time.Time { return at }
	if _, err := b.Put(t.Context(), "k", strings.NewReader("x"), blob.PutOptions{}); err != nil {
		t.Fatal(err)
	}
	if info, err := b.Stat(t.Context(), "k"); err != nil || !info.Modified.Equal(at) {
		t.Errorf("stat: %+v, %v", info, err)
	}
}
