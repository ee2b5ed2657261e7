// SPDX-License-Identifier: Apache-2.0

package scale

import (
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"testing"
)

// program is the path of the real hozon, built for t.
func program(t *testing.T) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "hozon")
	out, err := exec.CommandContext(t.Context(), "go", "build", "-trimpath", "-o", path, "hozon.dev/hozon/cmd/hozon").CombinedOutput()
	if err != nil {
		t.Fatalf("build hozon: %v\n%s", err, out)
	}
	return path
}

// size is how large the cluster gets.
type size struct {
	steps      []int // objects at which it is measured, ascending
	namespaces int
	kinds      int // custom ones
	large      int // objects of 1.4 MB
}

const (
	small = 3_000
	// base is where costs per object are compared from. Below, what a run costs in itself is more than what the objects do.
	base = 10_000
)

func sizes(t *testing.T) size {
	n := small
	if text := os.Getenv("HOZON_SCALE"); text != "" {
		var err error
		if n, err = strconv.Atoi(text); err != nil || n < 1000 {
			t.Fatalf("HOZON_SCALE=%q: a number of objects from 1000 on is wanted", text)
		}
	}
	s := size{namespaces: max(40, min(1000, n/100)), kinds: max(20, min(200, n/500)), large: max(3, min(20, n/5000))}
	for _, step := range []int{base, 100_000} {
		if step < n {
			s.steps = append(s.steps, step)
		}
	}
	s.steps = append(s.steps, n)
	return s
}
