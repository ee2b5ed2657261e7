// SPDX-License-Identifier: Apache-2.0

package kopia

import (
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"unsafe"

	"golang.org/x/sys/unix"

	"hozon.dev/hozon/internal/vault"
)

// A disk is an open folder of a volume. Names are opened one folder at a time without following links: whoever can write into the volume while it is
// saved cannot make us read anything else.
type disk struct{ fd int }

func retry(f func() error) error {
	for {
		if err := f(); err != unix.EINTR {
			return err
		}
	}
}

func openDisk(path string) (disk, error) {
	d, err := disk{unix.AT_FDCWD}.open(path)
	if err != nil {
		return d, &os.PathError{Op: "open", Path: path, Err: err}
	}
	return d, nil
}

func (d disk) open(name string) (below disk, err error) {
	err = retry(func() (err error) {
		below.fd, err = unix.Openat(d.fd, name, unix.O_RDONLY|unix.O_DIRECTORY|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0)
		return err
	})
	return below, err
}

func (d disk) close() { _ = unix.Close(d.fd) }

// names returns what is in the folder, sorted. What was read before an error comes with it.
func (d disk) names() ([]string, error) {
	var list []string
	buf := make([]byte, 64<<10)
	for {
		var n int
		err := retry(func() (err error) { n, err = unix.Getdents(d.fd, buf); return err })
		if n <= 0 || err != nil {
			slices.Sort(list)
			return list, err
		}
		_, _, list = unix.ParseDirent(buf[:n], -1, list)
	}
}

func (d disk) stat(name string, s *unix.Stat_t) error {
	return retry(func() error { return unix.Fstatat(d.fd, name, s, unix.AT_SYMLINK_NOFOLLOW|unix.AT_EMPTY_PATH) })
}

func (d disk) readlink(name string) (string, error) {
	buf := make([]byte, vault.MaxTarget+1)
	n, err := unix.Readlinkat(d.fd, name, buf)
	if err != nil {
		return "", err
	}
	if n > vault.MaxTarget {
		return "", unix.ENAMETOOLONG
	}
	return string(buf[:n]), nil
}

// openFile opens a file to read it. Something else in its place does not hold us up. Where that is allowed, the time of its last reading stays.
func (d disk) openFile(name string) (fd int, err error) {
	const flags = unix.O_RDONLY | unix.O_NOFOLLOW | unix.O_NONBLOCK | unix.O_CLOEXEC
	for _, more := range []int{unix.O_NOATIME, 0} {
		err = retry(func() error { fd, err = unix.Openat(d.fd, name, flags|more, 0); return err })
		if !errors.Is(err, unix.EPERM) {
			break
		}
	}
	return fd, err
}

// kept reports whether an attribute belongs to the data. Labels of security modules belong to their machine.
func kept(xattr string) bool {
	return strings.HasPrefix(xattr, "user.") || strings.HasPrefix(xattr, "trusted.") && !strings.HasPrefix(xattr, "trusted.overlay.") ||
		xattr == "security.capability" || strings.HasPrefix(xattr, "system.posix_acl_")
}

// xattrs returns the attributes of a name, sorted.
func (d disk) xattrs(name string) ([]vault.Xattr, error) {
	var list [16 << 10]byte
	n, err := d.listXattrs(name, list[:])
	if err != nil || n == 0 {
		if errors.Is(err, unix.ENOTSUP) || errors.Is(err, unix.ENODATA) {
			err = nil
		}
		return nil, err
	}
	var found []vault.Xattr
	total := 0
	for attr := range strings.SplitSeq(strings.TrimSuffix(string(list[:n]), "\x00"), "\x00") {
		if !kept(attr) {
			continue
		}
		buf := make([]byte, 64<<10)
		n, err := unix.Lgetxattr(d.proc(name), attr, buf)
		if errors.Is(err, unix.ENODATA) {
			continue
		}
		if err != nil {
			return nil, fmt.Errorf("attribute %s: %w", attr, err)
		}
		if total += n; total > maxXattrBytes || len(found) == maxXattrs {
			return found, errors.New("it has more attributes than can be kept")
		}
		found = append(found, vault.Xattr{Name: attr, Value: string(buf[:n])})
	}
	slices.SortFunc(found, func(a, b vault.Xattr) int { return strings.Compare(a.Name, b.Name) })
	return found, nil
}

// proc is a path by which calls that know no folders find a name; they must not follow links at its end.
func (d disk) proc(name string) string { return fmt.Sprintf("/proc/self/fd/%d/%s", d.fd, name) }

// listXattrs is llistxattr in a folder; kernels before 6.13 have it only by way of /proc.
func (d disk) listXattrs(name string, list []byte) (int, error) {
	path, err := unix.BytePtrFromString(name)
	if err != nil {
		return 0, err
	}
	n, _, errno := unix.Syscall6(unix.SYS_LISTXATTRAT, uintptr(d.fd), uintptr(unsafe.Pointer(path)), unix.AT_SYMLINK_NOFOLLOW,
		uintptr(unsafe.Pointer(&list[0])), uintptr(len(list)), 0)
	switch errno {
	case 0:
		return int(n), nil
	case unix.ENOSYS, unix.EPERM:
		return unix.Llistxattr(d.proc(name), list)
	}
	return 0, errno
}

// read is read(2) into all of p, if there is as much.
func read(fd int, p []byte) (int, error) {
	for n := 0; ; {
		var k int
		err := retry(func() (err error) { k, err = unix.Read(fd, p[n:]); return err })
		if err != nil {
			return n, err
		}
		if k <= 0 {
			return n, io.EOF
		}
		if n += k; n == len(p) {
			return n, nil
		}
	}
}
