// SPDX-License-Identifier: Apache-2.0

//go:build linux

package dir

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"testing"
)

// TestRenameNoReplace tests the way of file systems without hard links, on one that has them.
func TestRenameNoReplace(t *testing.T) {
	root := t.TempDir()
	b, err := Open(root, false)
	if err != nil {
		t.Fatal(err)
	}
	defer b.Close()
	write := func(name, content string) {
		t.Helper()
		path := filepath.Join(root, name)
		if err := errors.Join(os.MkdirAll(filepath.Dir(path), 0o700), os.WriteFile(path, []byte(content), 0o600)); err != nil {
			t.Fatal(err)
		}
	}
	write("d/temp", "new")
	if err := b.renameNoReplace("d/temp", "d/k"); err != nil {
		t.Fatal(err)
	}
	write("d/temp", "newer")
	if err := b.renameNoReplace("d/temp", "d/k"); !errors.Is(err, fs.ErrExist) {
		t.Errorf("a second move: %v", err)
	}
	if got, err := os.ReadFile(filepath.Join(root, "d/k")); err != nil || string(got) != "new" {
		t.Errorf("it holds %q, %v", got, err)
	}
}

// TestRemoveFolderSparesFiles: a Put may place an object at the path of a folder that was just removed.
func TestRemoveFolderSparesFiles(t *testing.T) {
	root := t.TempDir()
	b, err := Open(root, false)
	if err != nil {
		t.Fatal(err)
	}
	defer b.Close()
	if err := os.WriteFile(filepath.Join(root, "a"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	b.prune("a")
	if _, err := os.Stat(filepath.Join(root, "a")); err != nil {
		t.Errorf("prune removed an object: %v", err)
	}
}
