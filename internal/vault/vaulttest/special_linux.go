// SPDX-License-Identifier: Apache-2.0

package vaulttest

import (
	"encoding/binary"
	"errors"
	"os"
	"path/filepath"
	"testing"

	"golang.org/x/sys/unix"
)

// Special fills a new folder below root with what belongs to few files: ACLs, of files and for those that are made in a folder, a capability, a socket, devices.
// It needs root. A file system without ACLs has none.
func Special(t testing.TB, root string) {
	t.Helper()
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	at := func(name string) string { return filepath.Join(root, "special", name) }
	must(os.Mkdir(at(""), 0o755))
	must(unix.Mknod(at("socket"), unix.S_IFSOCK|0o640, 0))
	must(os.Lchown(at("socket"), 21, 22))
	must(unix.Mknod(at("null"), unix.S_IFCHR|0o666, int(unix.Mkdev(1, 3))))
	must(unix.Mknod(at("loop"), unix.S_IFBLK|0o660, int(unix.Mkdev(7, 300))))
	must(os.Lchown(at("loop"), 0, 6))
	must(os.WriteFile(at("capable"), []byte("#!"), 0o755))
	must(os.Chown(at("capable"), 31, 32)) // before the capability: it would be lost
	must(unix.Setxattr(at("capable"), "security.capability", []byte("\x01\x00\x00\x02\x00\x04\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00"), 0))
	for _, name := range []string{"inherits", "inherits/below"} {
		must(os.Mkdir(at(name), 0o750))
	}
	must(os.WriteFile(at("listed"), []byte("for some"), 0o640))
	must(os.WriteFile(at("inherits/without"), []byte("made before its folder had a list"), 0o604))
	must(unix.Mknod(at("inherits/pipe"), unix.S_IFIFO|0o600, 0))
	for name, attribute := range map[string]string{"listed": "system.posix_acl_access", "inherits": "system.posix_acl_default", "inherits/below": "system.posix_acl_access"} {
		err := unix.Setxattr(at(name), attribute, acl(1234, 0o6), 0)
		if errors.Is(err, unix.ENOTSUP) {
			t.Logf("%s has no ACLs", root)
			return
		}
		must(err)
	}
}

// acl lets one user more have a right, as the kernel takes it: tags, rights and ids in the order of the tags.
func acl(user uint32, right uint16) []byte {
	const undefined = 0xffffffff
	b := binary.LittleEndian.AppendUint32(nil, 2)
	for _, e := range []struct {
		tag, right uint16
		id         uint32
	}{{0x01, 0o6, undefined}, {0x02, right, user}, {0x04, 0o4, undefined}, {0x10, 0o6, undefined}, {0x20, 0o0, undefined}} {
		b = binary.LittleEndian.AppendUint16(b, e.tag)
		b = binary.LittleEndian.AppendUint16(b, e.right)
		b = binary.LittleEndian.AppendUint32(b, e.id)
	}
	return b
}
