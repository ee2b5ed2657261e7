// SPDX-License-Identifier: Apache-2.0

package transfer

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"hozon.dev/hozon/internal/vault/vaulttest"
)

// TestSpecial: ACLs, capabilities and devices come as they are, also where something else was, and a folder's list for new files is not for those that are brought.
func TestSpecial(t *testing.T) {
	needRoot(t)
	from, to := t.TempDir(), t.TempDir()
	vaulttest.Special(t, from)
	must(t, os.Remove(filepath.Join(from, "special/socket"))) // only repositories have sockets to give
	copyTree(t, false, from, to, Options{Devices: true})
	vaulttest.Compare(t, vaulttest.Disk(t, to), vaulttest.Disk(t, from))

	// What is made anew in a folder with a list for new files, and an owner whose change takes the capability away.
	capable, without := filepath.Join(to, "special/capable"), filepath.Join(to, "special/inherits/without")
	value := make([]byte, 64)
	n, err := unix.Getxattr(capable, "security.capability", value)
	must(t, err)
	must(t, os.Chown(capable, 0, 0))
	must(t, unix.Setxattr(capable, "security.capability", value[:n], 0))
	must(t, os.Remove(without))
	must(t, os.Remove(filepath.Join(to, "special/inherits/pipe")))
	must(t, os.Remove(filepath.Join(to, "special/listed")))
	again := copyTree(t, true, from, to, Options{Devices: true})
	vaulttest.Compare(t, vaulttest.Disk(t, to), vaulttest.Disk(t, from))
	if again.Dropped > 0 || again.Bare > 0 {
		t.Errorf("%+v", again)
	}
}

// TestNoPlace: an attribute that there is no place for keeps the others from nothing. (The kernel has none for ACLs of a version that it does not know.)
func TestNoPlace(t *testing.T) {
	dir := t.TempDir()
	at, err := openFolder(dir)
	must(t, err)
	defer at.close()
	must(t, os.WriteFile(filepath.Join(dir, "file"), nil, 0o600))
	err = at.setXattrs("file", nil, []Xattr{{"user.one", "1"}, {"system.posix_acl_access", "a new version"}, {"user.two", "2"}})
	if !errors.Is(err, errors.ErrUnsupported) {
		t.Errorf("an ACL of another version: %v", err)
	}
	have, err := at.xattrs("file")
	must(t, err)
	if len(have) != 2 {
		t.Errorf("it has %v", have)
	}
	if !refused(unix.ENOTSUP) || !refused(unix.ENOSYS) || !refused(unix.EPERM) || refused(unix.EIO) || refused(nil) {
		t.Error("what is refused and what is lost is mixed up")
	}
}

// TestLongAttribute: an attribute that the target cannot keep is that file's problem, and no full disk, though the file system says so.
func TestLongAttribute(t *testing.T) {
	needRoot(t)
	from, to := t.TempDir(), t.TempDir()
	must(t, unix.Mount("tmpfs", from, "tmpfs", 0, "size=4m"))
	t.Cleanup(func() { must(t, unix.Unmount(from, unix.MNT_DETACH)) })
	for _, name := range []string{"a", "b", "c"} {
		must(t, os.WriteFile(filepath.Join(from, name), []byte(name), 0o600))
	}
	must(t, unix.Setxattr(filepath.Join(from, "b"), "user.long", make([]byte, 60_000), 0))
	if probe := filepath.Join(to, "probe"); !errors.Is(errors.Join(os.WriteFile(probe, nil, 0o600), unix.Setxattr(probe, "user.long", make([]byte, 60_000), 0), os.Remove(probe)), unix.ENOSPC) {
		t.Skip("the file system of the temporary folder keeps long attributes")
	}
	stats, err := connect(t, Request{Local: to, Path: from}, -1)
	must(t, err)
	if stats.Failed != 1 || len(stats.Problems) != 1 || !strings.Contains(stats.Problems[0].Text, "attribute user.long: its 60000 bytes are more than this file system keeps with a file") {
		t.Errorf("%+v", stats)
	}
	for _, name := range []string{"a", "c"} {
		if got, err := os.ReadFile(filepath.Join(to, name)); err != nil || string(got) != name {
			t.Errorf("%s: %q, %v", name, got, err)
		}
	}
}
