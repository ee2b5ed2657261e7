// SPDX-License-Identifier: Apache-2.0

//go:build unix

package dir_test

import (
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/google/go-cmp/cmp"

	"hozon.dev/hozon/internal/blob"
	"hozon.dev/hozon/internal/fail"
)

func TestLinksAndSpecialFiles(t *testing.T) {
	b, root := open(t)
	outside := t.TempDir()
	secret := filepath.Join(outside, "secret")
	if err := os.WriteFile(secret, []byte("secret"), 0o600); err != nil {
		t.Fatal(err)
	}
	put(t, b, "in/file", "x")
	links := map[string]string{"out-dir": outside, "out-file": secret, "up": "../" + filepath.Base(outside), "in-dir": "in", "in-file": "in/file", "loop": "loop", "nowhere": "nothing"}
	for name, target := range links {
		if err := os.Symlink(target, filepath.Join(root, name)); err != nil {
			t.Fatal(err)
		}
	}
	if err := syscall.Mkfifo(filepath.Join(root, "pipe"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, key := range []string{"out-dir/secret", "out-dir/new", "out-file", "up/secret", "in-dir/file", "in-dir/new", "in-file", "loop", "loop/x", "nowhere", "nowhere/x", "pipe", "pipe/x"} {
		_, putErr := b.Put(t.Context(), key, strings.NewReader("x"), blob.PutOptions{})
		_, onlyErr := b.Put(t.Context(), key, strings.NewReader("x"), blob.PutOptions{IfAbsent: true})
		_, getErr := b.Get(t.Context(), key, 0, -1)
		_, statErr := b.Stat(t.Context(), key)
		for op, err := range map[string]error{"put": putErr, "put if absent": onlyErr, "get": getErr, "stat": statErr, "delete": b.Delete(t.Context(), key)} {
			if !fail.Is(err, fail.Invalid) || !strings.Contains(err.Error(), key) {
				t.Errorf("%s %s: %v, want it refused", op, key, err)
			}
		}
	}
	if diff := cmp.Diff([]string{"in/file"}, list(t, b)); diff != "" {
		t.Error(diff)
	}
	err := b.List(t.Context(), "out-dir/", false, func(i blob.Info) error { t.Errorf("listed %+v", i); return nil })
	if !fail.Is(err, fail.Invalid) {
		t.Errorf("list through a link: %v", err)
	}
	if got, err := os.ReadDir(outside); err != nil || len(got) != 1 {
		t.Errorf("outside: %v, %v", got, err)
	}
}
