// SPDX-License-Identifier: Apache-2.0

//go:build linux

package transfer

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"
)

// BenchmarkAgain is a pull of 10,000 files of which nothing has changed: what a further run costs before it sends anything.
func BenchmarkAgain(b *testing.B) {
	from, to := b.TempDir(), b.TempDir()
	for i := range 10_000 {
		dir := filepath.Join(from, fmt.Sprint(i/100))
		if err := os.MkdirAll(dir, 0o755); err != nil {
			b.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, fmt.Sprint(i)), []byte("x"), 0o644); err != nil {
			b.Fatal(err)
		}
	}
	pull := func() {
		if _, err := connect(b, Request{Local: to, Path: from}, -1); err != nil {
			b.Fatal(err)
		}
	}
	pull() // sends all
	for b.Loop() {
		pull()
	}
}
