// SPDX-License-Identifier: Apache-2.0

package dir

import (
	"errors"
	"io/fs"
	"strings"
	"syscall"

	"hozon.dev/hozon/internal/blob"
	"hozon.dev/hozon/internal/fail"
)

// tempPrefix starts the names of the files that a Put writes to before it moves them.
const tempPrefix = ".hozon-tmp-"

// lostFound is made by mkfs at the root of a file system, and is nobody's object.
const lostFound = "lost+found"

// maxName is the longest path element that Linux's file systems take, in bytes.
const maxName = 255

// maxPath is the longest path below the root in bytes. We could go deeper, but no other program could open such a file.
const maxPath = 3500

// reserved reports whether name, in the folder parent (ending in "/", or empty for the root), is outside of the key space.
func reserved(parent, name string) bool {
	return strings.HasPrefix(name, tempPrefix) || parent == "" && name == lostFound
}

func checkKey(key string) error {
	if err := blob.CheckKey(key); err != nil {
		return err
	}
	if len(key) > maxPath {
		return fail.Errorf(fail.Invalid, "key %.100q… of %d bytes is longer than a file's path may be (%d)", key, len(key), maxPath)
	}
	parent := ""
	for name := range strings.SplitSeq(key, "/") {
		if reserved(parent, name) {
			return fail.Errorf(fail.Invalid, "the name %q in key %q is reserved", name, key)
		}
		if len(name) > maxName {
			return fail.Errorf(fail.Invalid, "a name of %d bytes in key %.100q… is longer than a file's name may be (%d)", len(name), key, maxName)
		}
		parent += name + "/"
	}
	return nil
}

// folder returns the path of the folder that holds path: "." for the root.
func folder(path string) string {
	if i := strings.LastIndexByte(path, '/'); i >= 0 {
		return path[:i]
	}
	return "."
}

// place is what lies at a key's path.
type place struct {
	info    fs.FileInfo // the regular file at the key; nil if there is none
	dir     bool        // the path is a folder
	blocked string      // the path of a file that stands where the key needs a folder
}

// locate looks at every element of key, and refuses links and what else is no file.
func (b *Bucket) locate(key string) (place, error) {
	for i := 0; i < len(key); i++ {
		if key[i] != '/' {
			continue
		}
		info, err := b.root.Lstat(key[:i])
		if errors.Is(err, fs.ErrNotExist) {
			return place{}, nil
		}
		switch {
		case err != nil:
			return place{}, classify(err)
		case info.Mode().IsRegular():
			return place{blocked: key[:i]}, nil
		case !info.IsDir():
			return place{}, fail.Errorf(fail.Invalid, "%s in the store is no folder but %s", key[:i], kindOf(info.Mode()))
		}
	}
	info, err := b.root.Lstat(key)
	switch {
	case errors.Is(err, fs.ErrNotExist) || errors.Is(err, syscall.ENOTDIR):
		return place{}, nil
	case err != nil:
		return place{}, classify(err)
	case info.IsDir():
		return place{dir: true}, nil
	case !info.Mode().IsRegular():
		return place{}, irregular(info.Mode())
	}
	return place{info: info}, nil
}

func irregular(mode fs.FileMode) error {
	return fail.Errorf(fail.Invalid, "it is no file but %s", kindOf(mode))
}

func kindOf(mode fs.FileMode) string {
	switch {
	case mode&fs.ModeSymlink != 0:
		return "a symbolic link, which is not followed"
	case mode.IsDir():
		return "a folder"
	case mode&fs.ModeNamedPipe != 0:
		return "a named pipe"
	case mode&fs.ModeSocket != 0:
		return "a socket"
	case mode&fs.ModeDevice != 0:
		return "a device"
	}
	return "of an unknown type"
}

// classify adds the kind, and for the faults that a user can mend, the words.
func classify(err error) error {
	switch {
	case err == nil:
		return nil
	case errors.Is(err, syscall.ENOSPC):
		return fail.Errorf(fail.Unknown, "the disk is full: %w", err)
	case errors.Is(err, syscall.EDQUOT):
		return fail.Errorf(fail.Unknown, "the disk quota is used up: %w", err)
	case errors.Is(err, syscall.EFBIG):
		return fail.Errorf(fail.Unknown, "the file is larger than this file system or process may write: %w", err)
	case errors.Is(err, syscall.EROFS):
		return fail.Errorf(fail.Denied, "the store is read-only: %w", err)
	case errors.Is(err, fs.ErrPermission):
		return fail.As(fail.Denied, err)
	case errors.Is(err, syscall.ENAMETOOLONG), errors.Is(err, syscall.EILSEQ), errors.Is(err, syscall.EINVAL):
		return fail.Errorf(fail.Invalid, "the file system does not take this name: %w", err)
	case errors.Is(err, syscall.ENOTDIR), errors.Is(err, syscall.EISDIR), errors.Is(err, syscall.ELOOP):
		return fail.As(fail.Invalid, err)
	case strings.Contains(err.Error(), "path escapes from parent"): // os.Root does not export this error
		return fail.As(fail.Invalid, err)
	case errors.Is(err, syscall.EMFILE), errors.Is(err, syscall.ENFILE), errors.Is(err, syscall.EINTR), errors.Is(err, syscall.ETIMEDOUT):
		return fail.As(fail.Transient, err)
	}
	return err
}
