// SPDX-License-Identifier: Apache-2.0

package dir_test

import (
	"bufio"
	"context"
	"errors"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"hozon.dev/hozon/internal/blob"
	"hozon.dev/hozon/internal/blob/blobtest"
	"hozon.dev/hozon/internal/blob/dir"
	"hozon.dev/hozon/internal/fail"
)

func open(t *testing.T) (*dir.Bucket, string) {
	t.Helper()
	path := t.TempDir()
	b, err := dir.Open(path, false)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { b.Close() })
	return b, path
}

// TestBucket takes some seconds: every write is synced.
func TestBucket(t *testing.T) {
	blobtest.Run(t, func(t *testing.T) blob.Bucket { b, _ := open(t); return b })
}

func put(t *testing.T, b blob.Bucket, key, content string) {
	t.Helper()
	if _, err := b.Put(t.Context(), key, strings.NewReader(content), blob.PutOptions{}); err != nil {
		t.Fatal(err)
	}
}

func list(t *testing.T, b blob.Bucket) []string {
	t.Helper()
	keys := []string{}
	if err := b.List(t.Context(), "", false, func(i blob.Info) error { keys = append(keys, i.Key); return nil }); err != nil {
		t.Fatal(err)
	}
	return keys
}

// files lists everything on disk with its mode.
func files(t *testing.T, root string) []string {
	t.Helper()
	found := []string{}
	err := filepath.WalkDir(root, func(path string, entry fs.DirEntry, err error) error {
		if err != nil || path == root {
			return err
		}
		info, err := entry.Info()
		rel, _ := filepath.Rel(root, path)
		found = append(found, info.Mode().String()+" "+rel)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	slices.Sort(found)
	return found
}

func TestOpen(t *testing.T) {
	path := filepath.Join(t.TempDir(), "a b", "store")
	_, err := dir.Open(path, false)
	if !fail.Is(err, fail.NotFound) || !strings.Contains(err.Error(), "mkdir -p "+path) {
		t.Errorf("missing root: %v", err)
	}
	_, err = dir.Open(path, true)
	if !fail.Is(err, fail.NotFound) || !strings.Contains(err.Error(), "mkdir -p "+filepath.Dir(path)) {
		t.Errorf("missing parent: %v", err)
	}
	if err := os.Mkdir(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	b, err := dir.Open(path, true)
	if err != nil {
		t.Fatal(err)
	}
	defer b.Close()
	if info, err := os.Stat(path); err != nil || info.Mode().Perm() != 0o700 {
		t.Errorf("the new root: %v, %v", info.Mode(), err)
	}
	if want := "file://" + strings.ReplaceAll(path, " ", "%20"); b.String() != want {
		t.Errorf("it calls itself %s, want %s", b, want)
	}
	file := filepath.Join(path, "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := dir.Open(file, true); !fail.Is(err, fail.Invalid) {
		t.Errorf("a file as root: %v", err)
	}
	if _, err := dir.Open("", true); !fail.Is(err, fail.Invalid) {
		t.Errorf("no path: %v", err)
	}
}

func TestFilesOnDisk(t *testing.T) {
	b, root := open(t)
	put(t, b, "backups/a/x", "x")
	if _, err := b.Put(t.Context(), "backups/a/y", strings.NewReader("y"), blob.PutOptions{IfAbsent: true}); err != nil {
		t.Fatal(err)
	}
	want := []string{"-rw------- backups/a/x", "-rw------- backups/a/y", "drwx------ backups", "drwx------ backups/a"}
	if diff := cmp.Diff(want, files(t, root)); diff != "" {
		t.Errorf("after two puts, -want +got:\n%s", diff)
	}
	for _, key := range []string{"backups/a/x", "backups/a/y"} {
		if err := b.Delete(t.Context(), key); err != nil {
			t.Fatal(err)
		}
	}
	if got := files(t, root); len(got) != 0 {
		t.Errorf("deleting left %q", got)
	}
	broken := io.MultiReader(strings.NewReader("x"), readerFunc(func([]byte) (int, error) { return 0, io.ErrUnexpectedEOF }))
	if _, err := b.Put(t.Context(), "backups/a/z", broken, blob.PutOptions{}); err == nil {
		t.Error("a broken put passed")
	}
	if got := files(t, root); len(got) != 0 {
		t.Errorf("a broken put left %q", got)
	}
}

type readerFunc func([]byte) (int, error)

func (f readerFunc) Read(p []byte) (int, error) { return f(p) }

func TestReservedNames(t *testing.T) {
	b, root := open(t)
	for _, key := range []string{".hozon-tmp-x", "a/.hozon-tmp-x", ".hozon-tmp-x/a", "lost+found", "lost+found/a"} {
		if _, err := b.Put(t.Context(), key, strings.NewReader("x"), blob.PutOptions{}); !fail.Is(err, fail.Invalid) {
			t.Errorf("put %s: %v", key, err)
		}
	}
	put(t, b, "a/lost+found/x", "x") // nothing special there
	if err := os.MkdirAll(filepath.Join(root, "lost+found", "#123"), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(root, "lost+found", "#124"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{"a/lost+found/x"}, list(t, b)); diff != "" {
		t.Error(diff)
	}
}

func TestStaleTemporaryFiles(t *testing.T) {
	b, root := open(t)
	for _, name := range []string{"backups/a", "backups/b"} {
		if err := os.MkdirAll(filepath.Join(root, name), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(root, name, ".hozon-tmp-1"), []byte("x"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	old := time.Now().Add(-25 * time.Hour)
	if err := os.Chtimes(filepath.Join(root, "backups/a/.hozon-tmp-1"), old, old); err != nil {
		t.Fatal(err)
	}
	if got := list(t, b); len(got) != 0 {
		t.Errorf("listed %q", got)
	}
	want := []string{"-rw------- backups/b/.hozon-tmp-1", "drwx------ backups", "drwx------ backups/b"}
	if diff := cmp.Diff(want, files(t, root)); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
	err := b.List(t.Context(), "", true, func(i blob.Info) error { t.Errorf("listed %+v", i); return nil })
	if err != nil {
		t.Error(err)
	}
}

func TestShrunkenFile(t *testing.T) {
	b, root := open(t)
	put(t, b, "k", strings.Repeat("x", 100000))
	rc, err := b.Get(t.Context(), "k", 0, -1)
	if err != nil {
		t.Fatal(err)
	}
	defer rc.Close()
	if err := os.Truncate(filepath.Join(root, "k"), 10); err != nil {
		t.Fatal(err)
	}
	if _, err := io.ReadAll(rc); !errors.Is(err, io.ErrUnexpectedEOF) {
		t.Errorf("read of a file that lost its end: %v", err)
	}
}

// TestKilledPut kills a process in the middle of a Put: the old object stays and nothing new is listed.
func TestKilledPut(t *testing.T) {
	if path := os.Getenv("DIR_TEST_PUT"); path != "" {
		putForEver(path)
	}
	b, root := open(t)
	put(t, b, "backups/a/old", "old")
	cmd := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^TestKilledPut$")
	cmd.Env = append(os.Environ(), "DIR_TEST_PUT="+root)
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	for lines := bufio.NewScanner(out); lines.Scan() && lines.Text() != "written"; {
	}
	if err := cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = cmd.Wait() // it was killed
	if got := files(t, root); len(got) != 6 {
		t.Fatalf("the killed writer left %q, want two temporary files", got)
	}
	if diff := cmp.Diff([]string{"backups/a/old"}, list(t, b)); diff != "" {
		t.Error(diff)
	}
	err = b.List(t.Context(), "backups/", true, func(i blob.Info) error {
		if i.Key != "backups/a/" {
			t.Errorf("listed %+v", i)
		}
		return nil
	})
	if err != nil {
		t.Error(err)
	}
}

func putForEver(path string) {
	b, err := dir.Open(path, false)
	if err != nil {
		panic(err)
	}
	started := make(chan struct{}, 2)
	for _, key := range []string{"backups/a/old", "backups/new/x"} {
		go func() {
			left := 10
			r := readerFunc(func(p []byte) (int, error) {
				if left--; left == 0 {
					started <- struct{}{}
					select {}
				}
				return len(p), nil
			})
			_, err := b.Put(context.Background(), key, r, blob.PutOptions{})
			panic(err)
		}()
	}
	<-started
	<-started
	os.Stdout.WriteString("\nwritten\n")
	select {}
}
