// SPDX-License-Identifier: Apache-2.0

package blobtest

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"

	"hozon.dev/hozon/internal/blob"
	"hozon.dev/hozon/internal/fail"
)

// tree is in byte order: '-' and '.' come before '/', '0' after it, and capitals before small letters.
var tree = []string{"B", "a-", "a-b", "a-b.c/d", "a-b/c", "a.b", "a/b", "a/b-c", "a/b.c", "a/c/d", "a/c0", "a0", "ab/c", "b", "ü", "日本"}

func plant(t *testing.T, b blob.Bucket, keys []string) {
	t.Helper()
	for _, i := range []int{1, 0} { // not in order
		for j := i; j < len(keys); j += 2 {
			put(t, b, keys[len(keys)-1-j], "x")
		}
	}
}

func listOrder(t *testing.T, b blob.Bucket) {
	// "a-b" beside "a-b/c" is more than a file system can hold.
	keys := slices.DeleteFunc(slices.Clone(tree), func(k string) bool { return k == "a-b" })
	if !slices.IsSorted(keys) {
		t.Fatal("the test's own list is not in byte order")
	}
	plant(t, b, keys)
	wantList(t, b, "", false, keys...)
	wantList(t, b, "", true, "B", "a-", "a-b.c/", "a-b/", "a.b", "a/", "a0", "ab/", "b", "ü", "日本")
}

func listPrefix(t *testing.T, b blob.Bucket) {
	keys := slices.DeleteFunc(slices.Clone(tree), func(k string) bool { return k == "a-b" })
	plant(t, b, keys)
	for _, prefix := range []string{"a", "a-", "a-b", "a-b/", "a/", "a/b", "a/b-", "a/c", "a/c/", "a/c/d", "a/c/d/", "a/c/d/e", "b", "c", "c/d", "a/x/", "日", "a/."} {
		want := slices.DeleteFunc(slices.Clone(keys), func(k string) bool { return !strings.HasPrefix(k, prefix) })
		wantList(t, b, prefix, false, want...)
	}
}

func listShallow(t *testing.T, b blob.Bucket) {
	for _, key := range []string{"backups/a/1", "backups/a/2", "backups/a-b/1", "backups/note", "restores/r/1", "top"} {
		put(t, b, key, "x")
	}
	wantList(t, b, "", true, "backups/", "restores/", "top")
	wantList(t, b, "backups/", true, "backups/a-b/", "backups/a/", "backups/note")
	wantList(t, b, "backups", true, "backups/")
	wantList(t, b, "backups/a", true, "backups/a-b/", "backups/a/")
	wantList(t, b, "backups/a/", true, "backups/a/1", "backups/a/2")
	wantList(t, b, "backups/a/1", true, "backups/a/1")
	wantList(t, b, "restores/x/", true)
	// A prefix exists as long as something is in it, and no longer.
	for _, key := range []string{"backups/a/1", "backups/a/2"} {
		if err := b.Delete(t.Context(), key); err != nil {
			t.Fatal(err)
		}
	}
	wantList(t, b, "backups/", true, "backups/a-b/", "backups/note")
}

func listStops(t *testing.T, b blob.Bucket) {
	plant(t, b, []string{"a", "b", "c/d", "e"})
	enough := errors.New("enough")
	for _, shallow := range []bool{false, true} {
		calls := 0
		err := b.List(t.Context(), "", shallow, func(blob.Info) error {
			if calls++; calls == 2 {
				return enough
			}
			return nil
		})
		if !errors.Is(err, enough) || calls != 2 {
			t.Errorf("shallow %v: error %v after %d calls", shallow, err, calls)
		}
	}
}

// listAndDelete is how a backup is removed.
func listAndDelete(t *testing.T, b blob.Bucket) {
	for i := range 30 {
		put(t, b, fmt.Sprintf("backups/a/%02d/x", i), "x")
	}
	put(t, b, "backups/b/x", "x")
	seen := 0
	err := b.List(t.Context(), "backups/a/", false, func(info blob.Info) error {
		seen++
		return b.Delete(t.Context(), info.Key)
	})
	if err != nil || seen != 30 {
		t.Errorf("saw %d of 30 objects: %v", seen, err)
	}
	wantList(t, b, "", false, "backups/b/x")
}

// manyKeys goes beyond the page of 1,000 that S3 lists at most. It takes a few seconds on stores that sync every write.
func manyKeys(t *testing.T, b blob.Bucket) {
	const n = 1203
	keys := make([]string, n)
	for i := range keys {
		keys[i] = fmt.Sprintf("d/%04d/x", i)
		if i%3 == 0 {
			keys[i] = fmt.Sprintf("d/%04d.json", i)
		}
	}
	var work sync.WaitGroup
	for w := range 16 {
		work.Go(func() {
			for i := w; i < n; i += 16 {
				if _, err := b.Put(t.Context(), keys[i], strings.NewReader("x"), blob.PutOptions{}); err != nil {
					t.Errorf("put %s: %v", keys[i], err)
				}
			}
		})
	}
	work.Wait()
	wantList(t, b, "", false, keys...)
	wantList(t, b, "", true, "d/")
	rolled := make([]string, n)
	for i, key := range keys {
		rolled[i] = strings.TrimSuffix(key, "x")
	}
	wantList(t, b, "d/", true, rolled...)
	wantList(t, b, "d/110", false, keys[1100:1110]...)
}

func (s Suite) oddNames(t *testing.T, b blob.Bucket) {
	keys := []string{
		" leading", "trailing ", "two  blanks", "a+b", "a%2Fb", "a%b", "100%", "a&b=c", "a?b", "a#b", "a;b", "a:b", "a@b", "a,b", "a'b", `a"b`,
		`a\b`, "a*b", "a|b", "<a>", "{a}", "[a]", "~a", "$a", "!a", "(a)", ".hidden", "..a", "a..", "...", "-rf", "ä", "a\u0308", "日本語/保存", "🚀", "con", "a.tar.gz",
		"folder with blank/+/%41",
	}
	for _, key := range s.Refused {
		_, err := b.Put(t.Context(), key, strings.NewReader(key), blob.PutOptions{})
		wantKind(t, fmt.Sprintf("put %q, which this store cannot keep", key), err, fail.Invalid)
		keys = slices.DeleteFunc(keys, func(k string) bool { return k == key })
	}
	for _, key := range keys {
		put(t, b, key, key)
	}
	slices.Sort(keys)
	wantList(t, b, "", false, keys...)
	for _, key := range keys {
		if got := get(t, b, key); got != key {
			t.Errorf("%q holds %q", key, got)
		}
		if info, err := b.Stat(t.Context(), key); err != nil || info.Key != key {
			t.Errorf("stat %q: %+v, %v", key, info, err)
		}
		wantList(t, b, key, false, key)
		if err := b.Delete(t.Context(), key); err != nil {
			t.Errorf("delete %q: %v", key, err)
		}
	}
	wantList(t, b, "", false)
}

func badKeys(t *testing.T, b blob.Bucket) {
	bad := []string{"", "/", "/a", "a/", "a//b", ".", "..", "../a", "a/../b", "a/./b", "a/..", "./a", "a\x00b", "a\nb", "a\x7f", "\xff", "a/\xc3("}
	for _, key := range bad {
		_, putErr := b.Put(t.Context(), key, strings.NewReader("x"), blob.PutOptions{})
		rc, getErr := b.Get(t.Context(), key, 0, -1)
		if getErr == nil {
			rc.Close()
		}
		_, statErr := b.Stat(t.Context(), key)
		for op, err := range map[string]error{"put": putErr, "get": getErr, "stat": statErr, "delete": b.Delete(t.Context(), key)} {
			wantKind(t, fmt.Sprintf("%s %q", op, key), err, fail.Invalid)
		}
	}
	for _, prefix := range []string{"/", "/a", "a//", "../", "a/../", "./a", "\xff", "a\x00"} {
		err := b.List(t.Context(), prefix, false, func(blob.Info) error { return nil })
		wantKind(t, fmt.Sprintf("list %q", prefix), err, fail.Invalid)
	}
	wantList(t, b, "", false)
}

// longNames: each is either stored well or refused, never cut.
func longNames(t *testing.T, b blob.Bucket) {
	for _, key := range []string{
		strings.Repeat("n", 200), strings.Repeat("n", 300), strings.Repeat("ü", 130), "d/" + strings.Repeat("n", 5000), strings.Repeat("deep/", 150) + "x", strings.Repeat("deep/", 900) + "x",
	} {
		_, err := b.Put(t.Context(), key, strings.NewReader("x"), blob.PutOptions{})
		if err == nil {
			wantList(t, b, "", false, key)
			if err := b.Delete(t.Context(), key); err != nil {
				t.Error(err)
			}
			continue
		}
		wantKind(t, fmt.Sprintf("put a key of %d bytes", len(key)), err, fail.Invalid)
		if len(key) <= 200 {
			t.Errorf("a name of %d bytes is refused: %v", len(key), err)
		}
	}
	wantList(t, b, "", false)
}

// keyThroughKey: a store holds both keys, or refuses the second and keeps the first.
func keyThroughKey(t *testing.T, b blob.Bucket) {
	for _, pair := range [][2]string{{"a", "a/b"}, {"c/d/e", "c/d"}, {"f", "f/g/h"}} {
		put(t, b, pair[0], "first")
		for _, opts := range []blob.PutOptions{{}, {IfAbsent: true}} {
			_, err := b.Put(t.Context(), pair[1], strings.NewReader("second"), opts)
			if err == nil {
				if got := get(t, b, pair[1]); got != "second" {
					t.Errorf("%q holds %q", pair[1], got)
				}
				if err := b.Delete(t.Context(), pair[1]); err != nil {
					t.Error(err)
				}
			} else {
				wantKind(t, fmt.Sprintf("put %q beside %q", pair[1], pair[0]), err, fail.Invalid)
			}
			if got := get(t, b, pair[0]); got != "first" {
				t.Errorf("%q holds %q", pair[0], got)
			}
			wantNothing(t, b, pair[1])
		}
	}
	wantList(t, b, "", false, "a", "c/d/e", "f")
}
