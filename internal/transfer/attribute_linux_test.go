// SPDX-License-Identifier: Apache-2.0

package transfer

import (
	"errors"
	"os"
	"path/filepath"
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
