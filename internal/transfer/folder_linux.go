// SPDX-License-Identifier: Apache-2.0

package transfer

import (
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"unsafe"

	"golang.org/x/sys/unix"

	"hozon.dev/hozon/internal/fail"
)

// A folder is an open folder. All its methods but openPath take one component and do not follow links.
type folder struct{ fd int }

const none = -1 // fd of a folder that is not there (dry runs)

func retry(f func() error) error {
	for {
		if err := f(); err != unix.EINTR {
			return err
		}
	}
}

// openFolder opens a folder of this machine by its path.
func openFolder(path string) (folder, error) {
	fd := none
	err := retry(func() (err error) {
		fd, err = unix.Open(path, unix.O_RDONLY|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
		return err
	})
	if err != nil {
		return folder{none}, &os.PathError{Op: "open", Path: path, Err: err}
	}
	return folder{fd}, nil
}

// openWithin opens a folder by its path in the file system of which f is the root: absolute links and .. stay in there.
func (f folder) openWithin(path string) (folder, error) {
	how := &unix.OpenHow{Flags: unix.O_RDONLY | unix.O_DIRECTORY | unix.O_CLOEXEC, Resolve: unix.RESOLVE_IN_ROOT | unix.RESOLVE_NO_MAGICLINKS}
	fd := none
	err := retry(func() (err error) {
		fd, err = unix.Openat2(f.fd, strings.TrimLeft(path, "/")+"/.", how)
		return err
	})
	return folder{fd}, err
}

func (f folder) open(name string) (folder, error) {
	fd := none
	err := retry(func() (err error) {
		fd, err = unix.Openat(f.fd, name, unix.O_RDONLY|unix.O_DIRECTORY|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0)
		return err
	})
	return folder{fd}, err
}

func (f folder) close() {
	if f.fd != none {
		_ = unix.Close(f.fd)
	}
}

// names lists the folder, sorted by bytes. What was read before an error is returned with it.
func (f folder) names() ([]string, error) {
	again, err := f.open(".")
	if err != nil {
		return nil, err
	}
	file := os.NewFile(uintptr(again.fd), "folder")
	defer file.Close()
	names, err := file.Readdirnames(-1)
	slices.Sort(names)
	return names, err
}

// stat describes a name; its attributes too if they are asked for. "." is the folder itself.
func (f folder) stat(name string, withXattr bool) (Entry, error) {
	var s unix.Stat_t
	err := retry(func() error { return unix.Fstatat(f.fd, name, &s, unix.AT_SYMLINK_NOFOLLOW) })
	if err != nil {
		return Entry{}, err
	}
	e := Entry{
		Mode: s.Mode & permMask, UID: s.Uid, GID: s.Gid, Sec: s.Mtim.Sec, Nsec: uint32(s.Mtim.Nsec),
		key: inode{s.Dev, s.Ino}, links: uint64(s.Nlink),
	}
	switch s.Mode & unix.S_IFMT {
	case unix.S_IFREG:
		e.Type, e.Size = File, uint64(s.Size)
		e.holes = s.Blocks*512 < s.Size
	case unix.S_IFDIR:
		e.Type = Folder
	case unix.S_IFLNK:
		e.Type = Symlink
		e.Link, err = f.readlink(name)
	case unix.S_IFIFO:
		e.Type = Pipe
	case unix.S_IFCHR, unix.S_IFBLK:
		e.Type, e.Mode, e.Dev = Device, s.Mode&0xffff, s.Rdev
	default:
		e.Type = Socket
	}
	if err == nil && withXattr {
		e.Xattr, err = f.xattrs(name)
	}
	return e, err
}

func (f folder) readlink(name string) (string, error) {
	buf := make([]byte, 4096)
	for {
		n, err := unix.Readlinkat(f.fd, name, buf)
		if err != nil {
			return "", err
		}
		if n < len(buf) {
			return string(buf[:n]), nil
		}
		if len(buf) >= maxPath {
			return "", unix.ENAMETOOLONG
		}
		buf = make([]byte, 2*len(buf))
	}
}

// proc is a path by which calls that know no folders find a name; they must not follow links at its end.
func (f folder) proc(name string) string { return fmt.Sprintf("/proc/self/fd/%d/%s", f.fd, name) }

func (f folder) xattrs(name string) ([]Xattr, error) {
	var list [16 << 10]byte
	n, err := f.listXattrs(name, list[:])
	if err != nil || n == 0 {
		if errors.Is(err, unix.ENOTSUP) || errors.Is(err, unix.EACCES) || errors.Is(err, unix.EPERM) {
			err = nil
		}
		return nil, err
	}
	var found []Xattr
	total := 0
	for attr := range strings.SplitSeq(strings.TrimSuffix(string(list[:n]), "\x00"), "\x00") {
		if !copied(attr) {
			continue
		}
		buf := make([]byte, 64<<10)
		n, err := unix.Lgetxattr(f.proc(name), attr, buf)
		if err != nil {
			return nil, fmt.Errorf("attribute %s: %w", attr, err)
		}
		if total += n; total > maxXattrs {
			return nil, errors.New("its attributes are too long")
		}
		found = append(found, Xattr{attr, string(buf[:n])})
	}
	slices.SortFunc(found, func(a, b Xattr) int { return strings.Compare(a.Name, b.Name) })
	return found, nil
}

// listXattrs is llistxattr in a folder. Kernels before 6.13, and old sandboxes on newer ones, have no call for that and take the way through /proc,
// which is three times as long; and every file is asked, though few have any.
func (f folder) listXattrs(name string, list []byte) (int, error) {
	path, err := unix.BytePtrFromString(name)
	if err != nil {
		return 0, err
	}
	n, _, errno := unix.Syscall6(unix.SYS_LISTXATTRAT, uintptr(f.fd), uintptr(unsafe.Pointer(path)), unix.AT_SYMLINK_NOFOLLOW,
		uintptr(unsafe.Pointer(&list[0])), uintptr(len(list)), 0)
	switch errno {
	case 0:
		return int(n), nil
	case unix.ENOSYS, unix.EPERM:
		return unix.Llistxattr(f.proc(name), list)
	}
	return 0, errno
}

// setXattrs makes the attributes of a name be want; have is what it has. What there is no place for keeps the others from nothing, and is errors.ErrUnsupported.
func (f folder) setXattrs(name string, have, want []Xattr) error {
	var unsupported error
	for _, x := range have {
		if !slices.ContainsFunc(want, func(w Xattr) bool { return w.Name == x.Name }) {
			if err := unix.Lremovexattr(f.proc(name), x.Name); err != nil {
				return fmt.Errorf("attribute %s: %w", x.Name, err)
			}
		}
	}
	for _, x := range want {
		if !copied(x.Name) || slices.Contains(have, x) {
			continue
		}
		err := unix.Lsetxattr(f.proc(name), x.Name, []byte(x.Value), 0)
		if err != nil {
			err = fmt.Errorf("attribute %s: %w", x.Name, err)
		}
		switch {
		case errors.Is(err, errors.ErrUnsupported):
			unsupported = err
		case errors.Is(err, unix.ENOSPC) && f.room():
			return fmt.Errorf("attribute %s: its %d bytes are more than this file system keeps with a file", x.Name, len(x.Value))
		case err != nil:
			return err
		}
	}
	return unsupported
}

// room says whether blocks are free: some file systems say that the disk is full when only a file's attributes are.
func (f folder) room() bool {
	var s unix.Statfs_t
	return unix.Fstatfs(f.fd, &s) == nil && s.Bavail > 1
}

// openFile opens a file to read it; a pipe in its place is no trap.
func (f folder) openFile(name string) (*os.File, error) {
	return f.file(name, unix.O_RDONLY|unix.O_NONBLOCK)
}

// createFile makes a file, which must not be there, to write it; with goOn it must be there.
func (f folder) createFile(name string, goOn bool) (*os.File, error) {
	if goOn {
		return f.file(name, unix.O_RDWR)
	}
	return f.file(name, unix.O_RDWR|unix.O_CREAT|unix.O_EXCL)
}

func (f folder) file(name string, flags int) (*os.File, error) {
	fd := none
	err := retry(func() (err error) {
		fd, err = unix.Openat(f.fd, name, flags|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0o600)
		return err
	})
	if err != nil {
		return nil, err
	}
	return os.NewFile(uintptr(fd), name), nil
}

func (f folder) mkdir(name string) error { return unix.Mkdirat(f.fd, name, 0o700) }

// make makes a thing that has no content.
func (f folder) make(name string, e *Entry) error {
	switch e.Type {
	case Symlink:
		return unix.Symlinkat(e.Link, f.fd, name)
	case Pipe:
		return unix.Mknodat(f.fd, name, unix.S_IFIFO|0o600, 0)
	case Socket:
		return unix.Mknodat(f.fd, name, unix.S_IFSOCK|0o600, 0)
	case Device:
		kind := e.Mode & unix.S_IFMT
		if kind != unix.S_IFCHR && kind != unix.S_IFBLK {
			return unix.EINVAL
		}
		return unix.Mknodat(f.fd, name, kind|0o600, int(e.Dev))
	}
	return unix.EINVAL
}

func (f folder) link(name string, to folder, toName string) error {
	return unix.Linkat(f.fd, name, to.fd, toName, 0)
}

func (f folder) rename(from, to string) error { return unix.Renameat(f.fd, from, f.fd, to) }
func (f folder) unlink(name string) error     { return unix.Unlinkat(f.fd, name, 0) }

// removeAll removes a name and what is below it, and returns how many names that were.
func (f folder) removeAll(name string) (int, error) {
	err := unix.Unlinkat(f.fd, name, 0)
	if err == nil {
		return 1, nil
	}
	if !errors.Is(err, unix.EISDIR) && !errors.Is(err, unix.EPERM) {
		return 0, err
	}
	below, err := f.open(name)
	if err != nil {
		return 0, err
	}
	defer below.close()
	names, err := below.names()
	removed := 0
	for _, n := range names {
		count, e := below.removeAll(n)
		removed += count
		err = errors.Join(err, e)
	}
	if err != nil {
		return removed, err
	}
	return removed + 1, unix.Unlinkat(f.fd, name, unix.AT_REMOVEDIR)
}

func (f folder) chown(name string, uid, gid uint32) error {
	return unix.Fchownat(f.fd, name, int(uid), int(gid), unix.AT_SYMLINK_NOFOLLOW)
}

// chmod must not be called for links, which have no mode; it does not follow one that takes the name's place.
func (f folder) chmod(name string, mode uint32) error {
	fd, err := unix.Openat(f.fd, name, unix.O_PATH|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0)
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	var s unix.Stat_t
	if err := unix.Fstat(fd, &s); err != nil || s.Mode&unix.S_IFMT == unix.S_IFLNK {
		return errors.Join(err, unix.ELOOP)
	}
	return unix.Chmod(fmt.Sprintf("/proc/self/fd/%d", fd), mode&permMask)
}

func (f folder) setTimes(name string, e *Entry) error {
	times := []unix.Timespec{{Nsec: unix.UTIME_OMIT}, {Sec: e.Sec, Nsec: int64(e.Nsec)}}
	return unix.UtimesNanoAt(f.fd, name, times, unix.AT_SYMLINK_NOFOLLOW)
}

func chownFile(file *os.File, e *Entry) error {
	return unix.Fchown(int(file.Fd()), int(e.UID), int(e.GID))
}

// chmodFile comes after chownFile, which takes setuid away.
func chmodFile(file *os.File, e *Entry) error {
	return unix.Fchmod(int(file.Fd()), e.Mode&permMask)
}

// keptFile reports whether a file has the owner and the mode that it was given. Some file systems take them and forget them.
func keptFile(file *os.File, e *Entry) bool {
	var s unix.Stat_t
	err := unix.Fstat(int(file.Fd()), &s)
	return err == nil && s.Uid == e.UID && s.Gid == e.GID && s.Mode&permMask == e.Mode&permMask
}

// nextData returns where the next bytes that are no hole begin and end, from an offset; size and size if there are none.
func nextData(file *os.File, from, size int64) (start, end int64) {
	start, err := file.Seek(from, unix.SEEK_DATA)
	if errors.Is(err, unix.ENXIO) {
		return size, size
	}
	if err != nil {
		return from, size
	}
	if end, err = file.Seek(start, unix.SEEK_HOLE); err != nil {
		end = size
	}
	return min(start, size), min(end, size)
}

// final gives an error of the file system its kind, if nothing more can be done after it.
func final(err error) error {
	switch {
	case errors.Is(err, unix.ENOSPC), errors.Is(err, unix.EDQUOT):
		return fail.Errorf(fail.Busy, "%w: make room and run it again; what is whole stays, and only the rest is sent", err)
	case errors.Is(err, unix.EROFS):
		return fail.Errorf(fail.Denied, "%w: the volume is mounted read-only", err)
	case errors.Is(err, unix.EMFILE), errors.Is(err, unix.ENFILE), errors.Is(err, unix.EIO):
		return err
	}
	return nil
}
