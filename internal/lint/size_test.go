// SPDX-License-Identifier: Apache-2.0

package lint

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// TestSizes keeps what is built out of the repository.
func TestSizes(t *testing.T) {
	const most = 512 << 10
	dir := root(t)
	out, err := exec.CommandContext(t.Context(), "git", "-C", dir, "ls-files", "-z").Output()
	if err != nil {
		t.Skipf("not a checkout: %v", err)
	}
	for name := range strings.SplitSeq(strings.TrimSuffix(string(out), "\x00"), "\x00") {
		info, err := os.Lstat(filepath.Join(dir, name))
		if err != nil {
			continue // removed, and not committed yet
		}
		if info.Size() > most {
			t.Errorf("%s has %d bytes: what can be built or fetched is not committed", name, info.Size())
		}
	}
}
