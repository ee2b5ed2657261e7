// SPDX-License-Identifier: Apache-2.0

package blobtest

import (
	"strings"
	"testing"
	"time"

	"hozon.dev/hozon/internal/blob"
	"hozon.dev/hozon/internal/fail"
)

func roundTrip(t *testing.T, b blob.Bucket) {
	put(t, b, "backups/a/velero-backup.json", "content")
	if got := get(t, b, "backups/a/velero-backup.json"); got != "content" {
		t.Errorf("got %q", got)
	}
	info, err := b.Stat(t.Context(), "backups/a/velero-backup.json")
	if err != nil {
		t.Fatal(err)
	}
	if !info.Modified.IsZero() && time.Since(info.Modified).Abs() > 24*time.Hour {
		t.Errorf("the object was modified at %v", info.Modified)
	}
	var listed []blob.Info
	err = b.List(t.Context(), "", false, func(i blob.Info) error { listed = append(listed, i); return nil })
	if err != nil || len(listed) != 1 {
		t.Fatalf("listed %+v, error %v", listed, err)
	}
	// A listing may have finer times than a header.
	if d := listed[0].Modified.Sub(info.Modified).Abs(); d > time.Second {
		t.Errorf("list says %v, stat %v", listed[0].Modified, info.Modified)
	}
	listed[0].Modified, info.Modified = time.Time{}, time.Time{}
	want := blob.Info{Key: "backups/a/velero-backup.json", Size: sized(b, 7)}
	if info != want || listed[0] != want {
		t.Errorf("stat %+v, list %+v, want %+v", info, listed[0], want)
	}
}

func empty(t *testing.T, b blob.Bucket) {
	wantList(t, b, "", false)
	wantList(t, b, "", true)
	wantList(t, b, "no/such/", true)
	put(t, b, "e", "")
	if got := get(t, b, "e"); got != "" {
		t.Errorf("got %q", got)
	}
	if got := getRange(t, b, "e", 0, 5); got != "" {
		t.Errorf("range: got %q", got)
	}
	info, err := b.Stat(t.Context(), "e")
	if err != nil || info.Size != sized(b, 0) {
		t.Errorf("stat: %+v, %v", info, err)
	}
	_, err = b.Get(t.Context(), "e", 1, -1)
	wantKind(t, "get beyond the end of an empty object", err, fail.Invalid)
}

func ranges(t *testing.T, b blob.Bucket) {
	const content = "0123456789"
	put(t, b, "r", content)
	tests := []struct {
		offset, length int64
		want           string
	}{
		{0, -1, content},
		{0, 10, content},
		{0, 1, "0"},
		{3, 4, "3456"},
		{9, 1, "9"},
		{9, -1, "9"},
		{4, -1, "456789"},
		{4, 100, "456789"},
		{1, 1<<63 - 1, "123456789"},
		{0, 0, ""},
		{5, 0, ""},
		{10, -1, ""},
		{10, 0, ""},
		{10, 3, ""},
	}
	for _, tt := range tests {
		if got := getRange(t, b, "r", tt.offset, tt.length); got != tt.want {
			t.Errorf("[%d,+%d]: %q, want %q", tt.offset, tt.length, got, tt.want)
		}
	}
	for _, bad := range [][2]int64{{11, -1}, {11, 0}, {11, 1}, {1 << 62, 1 << 62}, {-1, -1}, {-1, 2}} {
		rc, err := b.Get(t.Context(), "r", bad[0], bad[1])
		if err == nil {
			rc.Close()
		}
		wantKind(t, "get "+strings.Join([]string{"outside of", content}, " "), err, fail.Invalid)
	}
}

func missing(t *testing.T, b blob.Bucket) {
	wantNothing(t, b, "a")
	wantNothing(t, b, "a/b/c")
	put(t, b, "a/b/c", "x")
	wantNothing(t, b, "a")
	wantNothing(t, b, "a/b")
	wantNothing(t, b, "a/b/c/d")
	wantNothing(t, b, "a/b/cc")
	for _, r := range [][2]int64{{0, 0}, {0, 1}, {5, -1}} {
		rc, err := b.Get(t.Context(), "a/x", r[0], r[1])
		if err == nil {
			rc.Close()
		}
		wantKind(t, "get a range of nothing", err, fail.NotFound)
	}
	// The error must tell what is missing.
	if _, err := b.Stat(t.Context(), "a/x"); err != nil && !strings.Contains(err.Error(), "a/x") {
		t.Errorf("%q does not name the key", err)
	}
}

func description(t *testing.T, b blob.Bucket) {
	name, can := b.String(), b.Capabilities()
	put(t, b, "k", "x")
	if _, err := b.Put(t.Context(), "k", strings.NewReader("x"), blob.PutOptions{IfAbsent: true}); err == nil {
		t.Error("put over an object")
	}
	if name == "" || b.String() != name {
		t.Errorf("the bucket calls itself %q, then %q", name, b)
	}
	if b.Capabilities() != can {
		t.Errorf("capabilities changed from %+v to %+v", can, b.Capabilities())
	}
}
