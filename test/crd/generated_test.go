// SPDX-License-Identifier: Apache-2.0

package crd

import (
	"bytes"
	"io/fs"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"testing"

	"hozon.dev/hozon/test/daemon"
)

// TestGenerated regenerates everything into another folder and compares. It takes seconds, since the generator
// type-checks the packages, and minutes on a machine that has to build the generator first.
func TestGenerated(t *testing.T) {
	if testing.Short() {
		t.Skip("it builds the generator")
	}
	root, err := daemon.Root()
	if err != nil {
		t.Fatal(err)
	}
	fresh := t.TempDir()
	cmd := exec.CommandContext(t.Context(), filepath.Join(root, "tools/gen/run"), fresh)
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	want, have := generated(t, fresh), generated(t, root)
	if len(want) != 16 {
		t.Errorf("the generator wrote %d files, not 13 CRDs, 2 deep copies and the messages of plugins: %v", len(want), slices.Sorted(maps.Keys(want)))
	}
	for name, text := range want {
		if !bytes.Equal(have[name], text) {
			t.Errorf("%s is not what `make gen` writes", name)
		}
	}
	for name := range have {
		if want[name] == nil {
			t.Errorf("%s is not written by `make gen` any more", name)
		}
	}
}

func generated(t *testing.T, root string) map[string][]byte {
	t.Helper()
	found := map[string][]byte{}
	for _, pattern := range []string{"api/velero/*/zz_generated.*.go", "deploy/crd/*", "internal/plugin/wire/*.pb.go"} {
		names, err := fs.Glob(os.DirFS(root), pattern)
		if err != nil {
			t.Fatal(err)
		}
		for _, name := range names {
			if found[name], err = os.ReadFile(filepath.Join(root, name)); err != nil {
				t.Fatal(err)
			}
		}
	}
	return found
}
