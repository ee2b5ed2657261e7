// SPDX-License-Identifier: Apache-2.0

package transfer

import (
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"hozon.dev/hozon/internal/vault"
)

// Type says what a name in a folder is.
type Type byte

const (
	File    Type = 'f'
	Folder  Type = 'd'
	Symlink Type = 'l'
	Hard    Type = 'h' // a further name of a file that was sent before
	Pipe    Type = 'p'
	Device  Type = 'c' // of either sort, told apart by Mode
	Socket  Type = 's' // sent out of repositories only
)

const (
	maxPath   = 64 << 10 // bytes of a path or link target
	maxDepth  = 512      // folders above each other: each holds an open file
	maxXattrs = 128 << 10
	permMask  = 0o7777
)

// Entry is one name of a tree.
type Entry struct {
	Path  string // from the root, with slashes; "" is the root itself
	Type  Type
	Mode  uint32 // the twelve bits of chmod; of a device also its sort, as the kernel has it
	UID   uint32
	GID   uint32
	Size  uint64 // files only
	Sec   int64  // last modification
	Nsec  uint32
	Dev   uint64 // devices only: which
	Link  string // target of a symbolic link; path of the first name of a hard link
	Xattr []Xattr

	// Partial marks a folder that could not be listed completely: what is not named is not known to be gone.
	Partial bool

	key   inode // on the sender's side
	links uint64
	holes bool
	node  vault.Node // of a snapshot
}

type inode struct{ dev, ino uint64 }

// Xattr is an extended attribute.
type Xattr struct{ Name, Value string }

// copied reports whether an attribute travels. Labels of security modules belong to their machine.
func copied(xattr string) bool {
	return strings.HasPrefix(xattr, "user.") || xattr == "security.capability" || strings.HasPrefix(xattr, "system.posix_acl_")
}

// split returns the folder and the last component of a path.
func split(path string) (dir, name string) {
	if i := strings.LastIndexByte(path, '/'); i >= 0 {
		return path[:i], path[i+1:]
	}
	return "", path
}

func join(dir, name string) string {
	if dir == "" {
		return name
	}
	return dir + "/" + name
}

// validName reports whether name is a component that can only mean something inside its folder.
func validName(name string) bool {
	return name != "" && name != "." && name != ".." && !strings.ContainsAny(name, "/\x00")
}

func validPath(path string) bool {
	if len(path) > maxPath {
		return false
	}
	depth := 0
	for name := range strings.SplitSeq(path, "/") {
		if depth++; depth > maxDepth || !validName(name) {
			return false
		}
	}
	return true
}

func appendString(b []byte, s string) []byte {
	return append(binary.AppendUvarint(b, uint64(len(s))), s...)
}

func (e *Entry) append(b []byte) []byte {
	b = append(b, byte(e.Type))
	if e.Partial {
		b = append(b, 1)
	} else {
		b = append(b, 0)
	}
	b = appendString(b, e.Path)
	for _, n := range []uint64{uint64(e.Mode), uint64(e.UID), uint64(e.GID), e.Size, uint64(e.Nsec), e.Dev} {
		b = binary.AppendUvarint(b, n)
	}
	b = binary.AppendVarint(b, e.Sec)
	b = appendString(b, e.Link)
	b = binary.AppendUvarint(b, uint64(len(e.Xattr)))
	for _, x := range e.Xattr {
		b = appendString(appendString(b, x.Name), x.Value)
	}
	return b
}

var errShort = errors.New("it ends too early")

// decoder reads what append wrote; the first error stays.
type decoder struct {
	b   []byte
	err error
}

func (d *decoder) byte() byte {
	if d.err != nil || len(d.b) == 0 {
		d.err = errShort
		return 0
	}
	c := d.b[0]
	d.b = d.b[1:]
	return c
}

func (d *decoder) uint(most uint64) uint64 {
	n, size := binary.Uvarint(d.b)
	if d.err != nil || size <= 0 {
		d.err = errShort
		return 0
	}
	d.b = d.b[size:]
	if n > most {
		d.err = fmt.Errorf("%d is more than %d", n, most)
		return 0
	}
	return n
}

func (d *decoder) int() int64 {
	n, size := binary.Varint(d.b)
	if d.err != nil || size <= 0 {
		d.err = errShort
		return 0
	}
	d.b = d.b[size:]
	return n
}

func (d *decoder) bytes(n int) []byte {
	if d.err != nil || len(d.b) < n {
		d.err = errShort
		return nil
	}
	b := d.b[:n]
	d.b = d.b[n:]
	return b
}

func (d *decoder) string(most int) string { return string(d.bytes(int(d.uint(uint64(most))))) }

// decodeBatch reads the entries of a batch and checks each by itself.
func decodeBatch(payload []byte) ([]Entry, error) {
	d := &decoder{b: payload}
	var entries []Entry
	for len(d.b) > 0 {
		e := d.entry()
		if d.err != nil {
			return nil, corrupt("entry %d of a batch: %w", len(entries), d.err)
		}
		if err := e.check(); err != nil {
			return nil, corrupt("entry %q: %w", e.Path, err)
		}
		if entries = append(entries, e); len(entries) > maxBatch {
			return nil, corrupt("more than %d entries in a batch", maxBatch)
		}
	}
	return entries, nil
}

func (d *decoder) entry() Entry {
	e := Entry{Type: Type(d.byte()), Partial: d.byte() == 1, Path: d.string(maxPath)}
	e.Mode, e.UID, e.GID = uint32(d.uint(1<<16-1)), uint32(d.uint(1<<32-1)), uint32(d.uint(1<<32-1))
	e.Size, e.Nsec, e.Dev = d.uint(1<<62), uint32(d.uint(999_999_999)), d.uint(1<<64-1)
	e.Sec, e.Link = d.int(), d.string(maxPath)
	for range d.uint(1024) {
		e.Xattr = append(e.Xattr, Xattr{d.string(255), d.string(maxXattrs)})
		if d.err != nil {
			break
		}
	}
	return e
}

func (e *Entry) check() error {
	if e.Path == "" && e.Type != Folder || e.Path != "" && !validPath(e.Path) {
		return errors.New("not a path below the root")
	}
	switch e.Type {
	case File, Folder, Pipe, Socket, Device:
		return nil
	case Symlink:
		if e.Link == "" || strings.ContainsRune(e.Link, 0) {
			return errors.New("a link to nothing")
		}
		return nil
	case Hard:
		if !validPath(e.Link) {
			return errors.New("a hard link to something that is not below the root")
		}
		return nil
	}
	return fmt.Errorf("of unknown type %q", e.Type)
}

// sameXattr compares sorted attributes.
func sameXattr(a, b []Xattr) bool { return slices.Equal(a, b) }

// printable makes a text of the other end, or a name, fit for a terminal.
func printable(s string) string {
	const most = 8 << 10
	if len(s) > most {
		s = s[:most] + "…"
	}
	if utf8.ValidString(s) && strings.IndexFunc(s, func(r rune) bool { return !unicode.IsPrint(r) && r != '\n' }) < 0 {
		return s
	}
	return fmt.Sprintf("%q", s)
}
