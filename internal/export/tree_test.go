// SPDX-License-Identifier: Apache-2.0

package export_test

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"

	"hozon.dev/hozon/internal/export"
)

// TestTree: files of many folders, written side by side, all lie where they belong; a second export removes what is gone, writes what has changed,
// leaves alone what has not, and what is not its own.
func TestTree(t *testing.T) {
	dir := t.TempDir()
	name := func(i int) string { return fmt.Sprintf("objects/ns%d/configmaps/c%d.yaml", i%200, i) }
	write := func(n int, text func(i int) string) {
		tree, err := export.OpenTree(dir)
		if err != nil {
			t.Fatal(err)
		}
		var wait sync.WaitGroup
		for lane := range 4 {
			wait.Go(func() {
				for i := lane; i < n; i += 4 {
					if err := tree.Put(name(i), i == 7, []byte(text(i))); err != nil {
						t.Error(err)
					}
				}
			})
		}
		wait.Wait()
		if err := tree.Close(); err != nil {
			t.Fatal(err)
		}
	}
	write(1000, func(i int) string { return fmt.Sprint(i) })
	before, err := os.Stat(filepath.Join(dir, name(0)))
	if err != nil {
		t.Fatal(err)
	}
	if info, err := os.Stat(filepath.Join(dir, name(7))); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("a Secret: %v, %v", info, err)
	}
	mine := filepath.Join(dir, "objects/ns1/README")
	if err := os.WriteFile(mine, nil, 0o644); err != nil {
		t.Fatal(err)
	}
	write(600, func(i int) string { return fmt.Sprint(i + i%2*i) })
	for i := range 1000 {
		got, err := os.ReadFile(filepath.Join(dir, name(i)))
		if want := fmt.Sprint(i + i%2*i); i < 600 && string(got) != want || i >= 600 && !os.IsNotExist(err) {
			t.Errorf("%s: %q, %v", name(i), got, err)
		}
	}
	if after, err := os.Stat(filepath.Join(dir, name(0))); err != nil || !os.SameFile(before, after) || !after.ModTime().Equal(before.ModTime()) {
		t.Errorf("what has not changed was written: %v, %v", after, err)
	}
	if _, err := os.Stat(mine); err != nil {
		t.Errorf("a file of somebody else: %v", err)
	}
}

// TestTreeFullDisk: no half manifest is left, and what was whole stays.
func TestTreeFullDisk(t *testing.T) {
	dir := t.TempDir()
	if err := syscall.Mount("tmpfs", dir, "tmpfs", 0, "size=64k"); err != nil {
		t.Skipf("only root may mount the small disk of this test: %v", err)
	}
	defer syscall.Unmount(dir, 0)
	tree, err := export.OpenTree(dir)
	if err != nil {
		t.Fatal(err)
	}
	defer tree.Abandon()
	whole := strings.Repeat("x", 20<<10)
	var full error
	n := 0
	for ; full == nil && n < 10; n++ {
		full = tree.Put(fmt.Sprintf("objects/a/configmaps/c%d.yaml", n), false, []byte(whole))
	}
	if !errors.Is(full, syscall.ENOSPC) || !strings.Contains(full.Error(), "c"+fmt.Sprint(n-1)) {
		t.Fatalf("after %d files: %v", n, full)
	}
	files, _ := filepath.Glob(filepath.Join(dir, "objects/a/configmaps/*"))
	if len(files) != n-1 || n < 2 {
		t.Errorf("%d files after %d were put", len(files), n)
	}
	for _, file := range files {
		if got, err := os.ReadFile(file); string(got) != whole {
			t.Errorf("%s: %d bytes, %v", file, len(got), err)
		}
	}
}
