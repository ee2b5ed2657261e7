// SPDX-License-Identifier: Apache-2.0

package vaulttest

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"
)

// Disk makes a list of a folder of this machine.
func Disk(t testing.TB, root string) []Entry {
	t.Helper()
	var list []Entry
	names := map[uint64]int{} // inodes of several names
	err := filepath.WalkDir(root, func(path string, _ fs.DirEntry, err error) error {
		if err != nil || path == root {
			return err
		}
		e, err := describe(path, names)
		e.Path = strings.TrimPrefix(path, root+"/")
		list = append(list, e)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return list
}

func describe(path string, names map[uint64]int) (Entry, error) {
	info, err := os.Lstat(path)
	if err != nil {
		return Entry{}, err
	}
	s := info.Sys().(*syscall.Stat_t)
	e := Entry{Mode: "0" + strconv.FormatUint(uint64(s.Mode&0o7777), 8), UID: s.Uid, GID: s.Gid, ModTime: s.Mtim.Nano()}
	switch s.Mode & syscall.S_IFMT {
	case syscall.S_IFREG:
		e.Type, e.Size = "file", s.Size
		if e.SHA256, err = sum(path); err != nil {
			return e, err
		}
		if s.Nlink > 1 {
			if names[s.Ino] == 0 {
				names[s.Ino] = len(names) + 1
			}
			e.HardLinks = names[s.Ino]
		}
	case syscall.S_IFDIR:
		e.Type = "dir"
	case syscall.S_IFLNK:
		e.Type = "symlink"
		e.Target, err = os.Readlink(path)
		return e, err
	case syscall.S_IFIFO:
		e.Type = "fifo"
	case syscall.S_IFSOCK:
		e.Type = "socket"
	default:
		e.Type, e.Target = "device", strconv.FormatUint(uint64(s.Mode&syscall.S_IFMT), 8)+" "+strconv.FormatUint(s.Rdev, 16)
	}
	e.Xattrs, err = xattrs(path)
	return e, err
}

func sum(path string) (string, error) {
	f, err := os.Open(path)
	if err != nil {
		return "", err
	}
	defer f.Close()
	h := sha256.New()
	_, err = io.Copy(h, f)
	return hex.EncodeToString(h.Sum(nil)), err
}

func xattrs(path string) (map[string]string, error) {
	list := make([]byte, 64<<10)
	n, err := unix.Llistxattr(path, list)
	if errors.Is(err, unix.ENOTSUP) {
		return nil, nil
	}
	if err != nil || n == 0 {
		return nil, err
	}
	found := map[string]string{}
	for name := range strings.SplitSeq(strings.TrimSuffix(string(list[:n]), "\x00"), "\x00") {
		value := make([]byte, 64<<10)
		n, err := unix.Lgetxattr(path, name, value)
		if err != nil {
			return nil, err
		}
		found[name] = base64.StdEncoding.EncodeToString(value[:n])
	}
	return found, nil
}
