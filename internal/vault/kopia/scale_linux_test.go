// SPDX-License-Identifier: Apache-2.0

package kopia

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"hozon.dev/hozon/internal/blob/dir"
	"hozon.dev/hozon/internal/transfer"
	"hozon.dev/hozon/internal/vault"
)

const (
	scaleEnv   = "HOZON_SCALE_STEP"
	scaleFiles = 12_000
	// scaleLimit is well above what a step needs for so many files (90 to 150 MiB), and below what it would need if it held 10 KiB for each. `make scale-volumes`
	// is the whole: 500,000 files within 512 MiB.
	scaleLimit = 192 << 20
)

// TestScale: no step of a volume's life holds its files in memory. Each is a process of its own, which tells its peak.
func TestScale(t *testing.T) {
	if testing.Short() {
		t.Skip("makes many files")
	}
	root := t.TempDir()
	for _, folder := range []string{"source", "repository", "cache", "target"} {
		must(t, os.Mkdir(filepath.Join(root, folder), 0o755))
	}
	for i := range scaleFiles {
		folder := filepath.Join(root, "source", strconv.Itoa(i/1000))
		if i%1000 == 0 {
			must(t, os.Mkdir(folder, 0o755))
		}
		must(t, os.WriteFile(filepath.Join(folder, strconv.Itoa(i)), bytes.Repeat([]byte(strconv.Itoa(i)), 40), 0o644))
	}
	for _, step := range []string{"create", "save", "save", "restore", "forget", "maintain"} {
		c := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^TestScaleStep$", "-test.v")
		c.Env = append(os.Environ(), scaleEnv+"="+step, "HOZON_SCALE_ROOT="+root)
		out, err := c.CombinedOutput()
		_, text, found := strings.Cut(string(out), "peak: ")
		var peak int64
		if _, scan := fmt.Sscan(text, &peak); err != nil || !found || scan != nil {
			t.Fatalf("%s: %v\n%s", step, err, out)
		}
		t.Logf("%s: %d MiB", step, peak>>20)
		if peak > scaleLimit {
			t.Errorf("%s of %d files of 200 bytes took %d MiB of memory, more than %d", step, scaleFiles, peak>>20, scaleLimit>>20)
		}
	}
	if files, err := filepath.Glob(filepath.Join(root, "target/*/*")); err != nil || len(files) != scaleFiles {
		t.Errorf("%d files came back, %v", len(files), err)
	}
}

// TestScaleStep is one of the processes.
func TestScaleStep(t *testing.T) {
	step, root := os.Getenv(scaleEnv), os.Getenv("HOZON_SCALE_ROOT")
	if step == "" {
		t.Skip("is a part of TestScale")
	}
	bucket, err := dir.Open(filepath.Join(root, "repository"), false)
	must(t, err)
	o := Options{Password: password, Cache: filepath.Join(root, "cache")}
	if step == "create" {
		must(t, Create(t.Context(), bucket, Prefix("files"), o))
	} else {
		r, err := OpenWrite(t.Context(), bucket, Prefix("files"), o)
		must(t, err)
		scaleStep(t, r, step, root)
		must(t, r.Close(context.WithoutCancel(t.Context())))
	}
	status, err := os.ReadFile("/proc/self/status")
	must(t, err)
	_, text, _ := strings.Cut(string(status), "VmHWM:")
	var peak int64
	_, err = fmt.Sscan(text, &peak)
	must(t, err)
	fmt.Println("peak:", peak<<10)
}

func scaleStep(t *testing.T, r *Repository, step, root string) {
	all, err := r.Snapshots(t.Context())
	must(t, err)
	switch step {
	case "save":
		saved, err := r.Save(t.Context(), filepath.Join(root, "source"), someVolume, vault.SaveOptions{Progress: func(_, _ int64) {}})
		must(t, err)
		if saved.Failed > 0 || len(all) > 0 && saved.Incremental > 0 {
			t.Errorf("%+v", saved)
		}
	case "restore":
		tree, err := r.Tree(t.Context(), all[len(all)-1].ID)
		must(t, err)
		stats, err := transfer.Restore(t.Context(), transfer.Snapshot{Tree: tree}, filepath.Join(root, "target"), transfer.Options{}, nil)
		must(t, err)
		if stats.Failed > 0 {
			t.Errorf("%+v", stats)
		}
	case "forget":
		must(t, r.Forget(t.Context(), all[0].ID))
	case "maintain":
		_, err := r.Maintain(t.Context(), true)
		must(t, err)
	}
}
