// SPDX-License-Identifier: Apache-2.0

//go:build linux

package dir_test

import (
	"io"
	"os"
	"strings"
	"syscall"
	"testing"

	"hozon.dev/hozon/internal/blob"
	"hozon.dev/hozon/internal/blob/dir"
	"hozon.dev/hozon/internal/fail"
)

// mount returns a small file system of its own.
func mount(t *testing.T) string {
	t.Helper()
	path := t.TempDir()
	if err := syscall.Mount("hozon-test", path, "tmpfs", 0, "size=1m"); err != nil {
		t.Skipf("mounting a small tmpfs needs root: %v", err)
	}
	t.Cleanup(func() {
		if err := syscall.Unmount(path, syscall.MNT_DETACH); err != nil {
			t.Error(err)
		}
	})
	return path
}

func TestFullDisk(t *testing.T) {
	path := mount(t)
	b, err := dir.Open(path, false)
	if err != nil {
		t.Fatal(err)
	}
	defer b.Close()
	put(t, b, "old/k", "old")
	for _, key := range []string{"old/k", "new/k"} {
		_, err = b.Put(t.Context(), key, io.LimitReader(zeros{}, 4<<20), blob.PutOptions{})
		if !fail.Is(err, fail.Unknown) || err == nil || !strings.Contains(err.Error(), "put "+key+": the disk is full") {
			t.Errorf("put on a full disk: %v", err)
		}
	}
	if got := list(t, b); len(got) != 1 || got[0] != "old/k" {
		t.Errorf("listed %q", got)
	}
	if got := files(t, path); len(got) != 2 {
		t.Errorf("left on disk: %q", got)
	}
	put(t, b, "new/k", "there is room again")
}

type zeros struct{}

func (zeros) Read(p []byte) (int, error) { return len(p), nil }

func TestReadOnlyDisk(t *testing.T) {
	path := mount(t)
	b, err := dir.Open(path, false)
	if err != nil {
		t.Fatal(err)
	}
	defer b.Close()
	put(t, b, "a/k", "x")
	if err := syscall.Mount("", path, "", syscall.MS_REMOUNT|syscall.MS_RDONLY, ""); err != nil {
		t.Fatal(err)
	}
	wantReadOnly(t, b, "the store is read-only")
	if _, err := dir.Open(path+"/new", true); !fail.Is(err, fail.Denied) {
		t.Errorf("create a root there: %v", err)
	}
}

func TestReadOnlyFolder(t *testing.T) {
	if os.Geteuid() == 0 {
		t.Skip("root may write to every folder; TestReadOnlyDisk covers root")
	}
	b, path := open(t)
	put(t, b, "a/k", "x")
	if err := os.Chmod(path+"/a", 0o500); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.Chmod(path+"/a", 0o700) })
	wantReadOnly(t, b, "permission denied")
}

func wantReadOnly(t *testing.T, b blob.Bucket, text string) {
	t.Helper()
	_, putErr := b.Put(t.Context(), "a/new", strings.NewReader("x"), blob.PutOptions{})
	_, overErr := b.Put(t.Context(), "a/k", strings.NewReader("x"), blob.PutOptions{})
	for op, err := range map[string]error{"put": putErr, "overwrite": overErr, "delete": b.Delete(t.Context(), "a/k")} {
		if !fail.Is(err, fail.Denied) || !strings.Contains(err.Error(), text) {
			t.Errorf("%s: %v", op, err)
		}
	}
	if got := list(t, b); len(got) != 1 {
		t.Errorf("listed %q", got)
	}
}
