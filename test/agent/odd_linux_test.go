// SPDX-License-Identifier: Apache-2.0

package agent

import (
	"crypto/rand"
	"os"
	"path/filepath"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"hozon.dev/hozon/internal/vault/vaulttest"
)

// odd fills a folder with everything that a file system may hold.
func odd(t *testing.T, folder string) {
	t.Helper()
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	at := func(name string) string { return filepath.Join(folder, name) }
	data := make([]byte, 3<<20)
	_, _ = rand.Read(data)
	must(os.MkdirAll(at("deep/er/est"), 0o755))
	must(os.Mkdir(at("empty"), 0o701))
	must(os.WriteFile(at("plain"), data, 0o640))
	must(os.WriteFile(at("nothing"), nil, 0o600))
	must(os.WriteFile(at("deep/er/est/zeros"), make([]byte, 100_000), 0o444))
	must(os.WriteFile(at("bytes-\xff\xfe"), []byte("a name that is not UTF-8"), 0o644))
	must(os.WriteFile(at("new\nline and blank "), []byte("x"), 0o644))
	must(os.WriteFile(at("日本語"), []byte("x"), 0o644))
	sparse, err := os.Create(at("sparse"))
	must(err)
	_, err = sparse.WriteAt([]byte("in the middle"), 5<<20)
	must(err)
	must(sparse.Truncate(20 << 20))
	must(sparse.Close())
	must(os.Link(at("plain"), at("deep/second-name")))
	must(os.Symlink("../outside/no such", at("deep/link")))
	must(os.Symlink("plain", at("to-plain")))
	must(unix.Mkfifo(at("pipe"), 0o622))
	must(unix.Mknod(at("device"), unix.S_IFCHR|0o600, int(unix.Mkdev(1, 3))))
	must(unix.Setxattr(at("plain"), "user.colour", []byte("blue\x00\xff"), 0))
	must(unix.Setxattr(at("deep"), "user.of-a-folder", []byte("yes"), 0))
	for name, owner := range map[string][2]int{"plain": {1234, 5678}, "empty": {99, 98}, "deep/er": {7, 0}, "pipe": {3, 4}} {
		must(os.Chown(at(name), owner[0], owner[1]))
	}
	must(os.Lchown(at("deep/link"), 11, 12))
	vaulttest.Special(t, folder)
	must(os.WriteFile(at("tool"), []byte("#!"), 0o755))
	must(unix.Chmod(at("tool"), 0o6755)) // setuid, setgid
	must(unix.Chmod(at("deep"), 0o1777))
	for _, name := range []string{"plain", "deep/er", "empty", "deep/link", "."} {
		times := []unix.Timespec{{Sec: 1_000_000_000, Nsec: 123_456_789}, {Sec: 981_173_106, Nsec: 987_654_321}}
		must(unix.UtimesNanoAt(unix.AT_FDCWD, at(name), times, unix.AT_SYMLINK_NOFOLLOW))
	}
	must(os.Chown(folder, 2000, 3000))
	must(unix.Chmod(folder, 0o2770))
}

// sameRoot compares the volumes themselves.
func sameRoot(t *testing.T, got, want string) {
	t.Helper()
	var a, b syscall.Stat_t
	if err := syscall.Stat(got, &a); err != nil {
		t.Fatal(err)
	}
	if err := syscall.Stat(want, &b); err != nil {
		t.Fatal(err)
	}
	if a.Mode != b.Mode || a.Uid != b.Uid || a.Gid != b.Gid {
		t.Errorf("%s: mode %o of %d:%d, want %o of %d:%d", got, a.Mode, a.Uid, a.Gid, b.Mode, b.Uid, b.Gid)
	}
}
