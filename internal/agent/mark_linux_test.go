// SPDX-License-Identifier: Apache-2.0

package agent

import (
	"os"
	"path/filepath"
	"testing"
	"time"
)

// TestMark: a volume says that it is filled, also where the one who asks may not look into it, and is as it was afterwards.
func TestMark(t *testing.T) {
	dir, outside := t.TempDir(), t.TempDir()
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	then := time.Date(2001, 2, 3, 4, 5, 6, 789, time.UTC)
	must(os.WriteFile(filepath.Join(outside, "kept"), nil, 0o600))
	must(os.Symlink(outside, filepath.Join(dir, DoneFolder))) // the snapshot's, made to do harm
	must(os.Chtimes(dir, then, then))
	if filled, err := Filled(dir, "uid"); filled || err != nil {
		t.Errorf("%v, %v", filled, err)
	}
	f, err := openFolder(dir, false)
	must(err)
	defer f.Close()
	must(markDone(f, "uid"))
	if filled, err := Filled(dir, "uid"); !filled || err != nil {
		t.Errorf("%v, %v", filled, err)
	}
	if filled, _ := Filled(dir, "other"); filled {
		t.Error("another restore is done")
	}
	if left, err := os.ReadDir(outside); err != nil || len(left) != 1 {
		t.Errorf("outside: %v, %v", left, err)
	}
	info, err := os.Stat(dir)
	must(err)
	if !lastRead(info).Equal(DoneTime("uid")) || !info.ModTime().Equal(then) {
		t.Errorf("times %s, %s", lastRead(info), info.ModTime())
	}
	unmark(f, "uid", time.Now())
	info, err = os.Stat(dir)
	must(err)
	if left, err := os.ReadDir(dir); err != nil || len(left) != 0 || lastRead(info).Equal(DoneTime("uid")) || !info.ModTime().Equal(then) {
		t.Errorf("%v, %v, %v", left, info.ModTime(), err)
	}
	for _, uid := range []string{"", "..", "a/b"} {
		if err := markDone(f, uid); err == nil {
			t.Errorf("%q is a restore", uid)
		}
	}
}
