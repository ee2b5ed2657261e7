// SPDX-License-Identifier: Apache-2.0

package main

import (
	"os"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestUnchanged(t *testing.T) {
	smaps := strings.Join([]string{
		"00400000-00500000 r-xp 00000000 fe:00 1 /bin/hozon", "Rss: 64 kB", "Anonymous:             0 kB", "VmFlags: rd ex mr mw me",
		"00500000-00600000 r--p 00100000 fe:00 1 /bin/hozon", "Anonymous:             4 kB",
		"00600000-00700000 rw-p 00200000 fe:00 1 /bin/hozon", "Anonymous:             0 kB",
		"00700000-00800000 r--p 00000000 fe:00 2 /lib/libc.so", "Anonymous:             0 kB",
		"00800000-00800000 r--p 00000000 fe:00 1 /bin/hozon", "Anonymous:             0 kB",
		"00900000-00900001 r--p 00300000 fe:00 1 /bin/hozon", "Anonymous:             0 kB",
		"c000000000-c000400000 rw-p 00000000 00:00 0", "Anonymous:           400 kB",
	}, "\n")
	want := []mapping{{0x400000, 0x100000}, {0x900000, 1}}
	if diff := cmp.Diff(want, unchanged([]byte(smaps), "/bin/hozon"), cmp.AllowUnexported(mapping{})); diff != "" {
		t.Error(diff)
	}
}

// TestTrimmer drops the test's own pages, twice, and lives.
func TestTrimmer(t *testing.T) {
	trim := trimmer()
	trim()
	trim()
	exe, err := os.Readlink("/proc/self/exe")
	if err != nil {
		t.Fatal(err)
	}
	smaps, err := os.ReadFile("/proc/self/smaps")
	if err != nil {
		t.Fatal(err)
	}
	if len(unchanged(smaps, exe)) == 0 {
		t.Error("nothing was found to drop")
	}
}
