// SPDX-License-Identifier: Apache-2.0

package dir_test

import (
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"hozon.dev/hozon/internal/blob"
	"hozon.dev/hozon/internal/blob/dir"
)

// FuzzKey stores under any key. One that is taken is listed and read back as it was given, and nothing is ever written beside the root.
func FuzzKey(f *testing.F) {
	for _, key := range []string{"a", "a/b.json", "../x", "a/../../x", "/etc/passwd", "a//b", "a/./b", "lost+found/a", ".hozon-tmp-1", "日本/é", "a\x00b", "a\\..\\b", strings.Repeat("n", 256)} {
		f.Add(key, key)
	}
	f.Fuzz(func(t *testing.T, key, prefix string) {
		top := t.TempDir()
		root := filepath.Join(top, "root")
		b, err := dir.Open(root, true)
		if err != nil {
			t.Fatal(err)
		}
		defer b.Close()
		_, err = b.Put(t.Context(), key, strings.NewReader("x"), blob.PutOptions{})
		stored := err == nil
		if stored && blob.CheckKey(key) != nil {
			t.Errorf("took key %q", key)
		}
		if found, err := os.ReadDir(top); err != nil || len(found) > 1 {
			t.Fatalf("beside the root: %v, %v", found, err)
		}
		if got := list(t, b); stored != slices.Contains(got, key) || !stored && len(got) > 0 {
			t.Errorf("stored %q: %v, listed %q", key, stored, got)
		}
		err = b.List(t.Context(), prefix, false, func(i blob.Info) error {
			if !strings.HasPrefix(i.Key, prefix) {
				t.Errorf("%q listed under %q", i.Key, prefix)
			}
			return nil
		})
		if (err != nil) != (blob.CheckPrefix(prefix) != nil) && len(prefix) < 200 {
			t.Errorf("prefix %q: %v", prefix, err)
		}
		if !stored {
			return
		}
		r, err := b.Get(t.Context(), key, 0, -1)
		if err != nil {
			t.Fatal(err)
		}
		defer r.Close()
		if data, err := io.ReadAll(r); err != nil || string(data) != "x" {
			t.Errorf("read %q, %v", data, err)
		}
	})
}
