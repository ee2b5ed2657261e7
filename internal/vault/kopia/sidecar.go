// SPDX-License-Identifier: Apache-2.0

package kopia

import (
	"bytes"
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/kopia/kopia/repo"
	"github.com/kopia/kopia/repo/object"

	"hozon.dev/hozon/internal/fail"
	"hozon.dev/hozon/internal/vault"
)

// The sidecar of a snapshot is an object with what kopia's tree cannot hold: names whose bytes are not UTF-8, several names of one file, extended
// attributes, pipes, sockets and devices, times beyond the year 2262. It is the only file of a snapshot of its own, which a tag of the main one names,
// so that kopia keeps it and Velero does not see it.
//
// It begins with sidecarMagic. Then follow the sections, one for each folder in which there is something to say, in any order; then for each of them
// sixteen bytes of the hash of its path, its offset and its length, sorted by the hash; then the offset of these, their number, and sidecarMagic.
const (
	sidecarMagic  = "hozon-sidecar-1\n"
	indexSize     = pathSize + 8 + 4
	pathSize      = 16
	footerSize    = 8 + 8 + len(sidecarMagic)
	maxSection    = 1 << 30
	maxExtraNames = 8 << 20 // of one folder
)

// extra is what one name has.
type extra struct {
	name   string // in kopia's tree; of a special file, which is not in there, empty; of the root "."
	raw    string // if not empty: the name that it is
	inode  vault.Inode
	xattrs []vault.Xattr

	timed bool // the time is here
	sec   int64
	nsec  uint32

	kind           vault.Type // special files only
	mode, uid, gid uint32
	rdev           uint64
}

func (x *extra) empty() bool {
	return x.raw == "" && x.inode == (vault.Inode{}) && len(x.xattrs) == 0 && !x.timed && x.kind == 0
}

// Which parts of a record follow.
const (
	hasRaw = 1 << iota
	hasInode
	hasXattrs
	hasTime
	hasKind
)

func (x *extra) append(b []byte) []byte {
	var has uint64
	mark := func(bit uint64, is bool) {
		if is {
			has |= bit
		}
	}
	mark(hasRaw, x.raw != "")
	mark(hasInode, x.inode != (vault.Inode{}))
	mark(hasXattrs, len(x.xattrs) > 0)
	mark(hasTime, x.timed)
	mark(hasKind, x.kind != 0)
	b = appendText(binary.AppendUvarint(b, has), x.name)
	if has&hasRaw != 0 {
		b = appendText(b, x.raw)
	}
	if has&hasInode != 0 {
		b = binary.AppendUvarint(binary.AppendUvarint(b, x.inode.Device), x.inode.Number)
	}
	if has&hasXattrs != 0 {
		b = binary.AppendUvarint(b, uint64(len(x.xattrs)))
		for _, a := range x.xattrs {
			b = appendText(appendText(b, a.Name), a.Value)
		}
	}
	if has&hasTime != 0 {
		b = binary.AppendUvarint(binary.AppendVarint(b, x.sec), uint64(x.nsec))
	}
	if has&hasKind != 0 {
		b = append(b, byte(x.kind))
		for _, n := range []uint64{uint64(x.mode), uint64(x.uid), uint64(x.gid), x.rdev} {
			b = binary.AppendUvarint(b, n)
		}
	}
	return b
}

func appendText(b []byte, s string) []byte {
	return append(binary.AppendUvarint(b, uint64(len(s))), s...)
}

// decoder reads what append wrote; the first error stays.
type decoder struct {
	b   []byte
	err error
}

func (d *decoder) fail(format string, args ...any) {
	if d.err == nil {
		d.err = fail.Errorf(fail.Corrupt, format, args...)
	}
	d.b = nil
}

func (d *decoder) uint(most uint64) uint64 {
	n, size := binary.Uvarint(d.b)
	if size <= 0 || n > most {
		d.fail("the sidecar has a number that cannot be")
		return 0
	}
	d.b = d.b[size:]
	return n
}

func (d *decoder) int() int64 {
	n, size := binary.Varint(d.b)
	if size <= 0 {
		d.fail("the sidecar has a number that cannot be")
		return 0
	}
	d.b = d.b[size:]
	return n
}

func (d *decoder) text(most int) string {
	n := int(d.uint(uint64(most)))
	if n > len(d.b) {
		d.fail("the sidecar has a text that goes beyond its end")
		return ""
	}
	s := string(d.b[:n])
	d.b = d.b[n:]
	return s
}

func (d *decoder) extra() extra {
	has := d.uint(hasKind<<1 - 1)
	x := extra{name: d.text(maxText)}
	if has&hasRaw != 0 {
		x.raw = d.text(maxText)
	}
	if has&hasInode != 0 {
		x.inode = vault.Inode{Device: d.uint(math.MaxUint64), Number: d.uint(math.MaxUint64)}
	}
	if has&hasXattrs != 0 {
		total := 0
		for range d.uint(maxXattrs) {
			a := vault.Xattr{Name: d.text(255), Value: d.text(maxXattrBytes)}
			if total += len(a.Value); total > maxXattrBytes || a.Name == "" || strings.ContainsRune(a.Name, 0) {
				d.fail("the sidecar has attributes that cannot be")
			}
			x.xattrs = append(x.xattrs, a)
			if d.err != nil {
				break
			}
		}
	}
	if has&hasTime != 0 {
		x.timed, x.sec, x.nsec = true, d.int(), uint32(d.uint(999_999_999))
	}
	if has&hasKind != 0 {
		x.kind = vault.Type(d.uint(255))
		x.mode, x.uid, x.gid, x.rdev = uint32(d.uint(0xffff)), uint32(d.uint(math.MaxUint32)), uint32(d.uint(math.MaxUint32)), d.uint(math.MaxUint64)
	}
	d.check(&x)
	return x
}

// Bounds of names and attributes; the kernel's own are lower for what it keeps in one file.
const (
	maxText       = 4096
	maxXattrs     = 1024
	maxXattrBytes = 128 << 10
)

func (d *decoder) check(x *extra) {
	if d.err != nil {
		return
	}
	if x.raw != "" && vault.CheckName(x.raw) != nil {
		d.fail("the sidecar has the name %q", x.raw)
	}
	switch x.kind {
	case 0:
	case vault.Pipe, vault.Socket, vault.Device:
		if x.raw == "" || x.name != "" {
			d.fail("the sidecar has a special file without a name")
		}
	default:
		d.fail("the sidecar has a file of the unknown type %q", byte(x.kind))
	}
}

// decodeSection reads the section of a folder.
func decodeSection(b []byte, path string) ([]extra, error) {
	d := &decoder{b: b}
	if at := d.text(math.MaxInt32); d.err == nil && at != path {
		return nil, nil // another folder whose path begins with the same hash
	}
	var list []extra
	for d.err == nil && len(d.b) > 0 {
		if list = append(list, d.extra()); len(list) > maxExtraNames {
			d.fail("the sidecar has too many names in one folder")
		}
	}
	return list, d.err
}

// extraWriter writes a sidecar. Nothing is written while there is nothing to say.
type extraWriter struct {
	w repo.RepositoryWriter

	mu    sync.Mutex
	out   object.Writer
	at    int64
	index []indexed
}

type indexed struct {
	path   [pathSize]byte
	offset uint64
	length uint32
}

func hashPath(path string) [pathSize]byte {
	sum := sha256.Sum256([]byte(path))
	return [pathSize]byte(sum[:pathSize])
}

// add writes the section of a folder.
func (e *extraWriter) add(ctx context.Context, path string, list []extra) error {
	if len(list) == 0 {
		return nil
	}
	b := appendText(nil, path)
	for i := range list {
		b = list[i].append(b)
	}
	if len(b) > maxSection {
		return fail.Errorf(fail.Unsupported, "folder %q has more than %d bytes of attributes and unusual names", path, maxSection)
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	e.index = append(e.index, indexed{hashPath(path), uint64(max(e.at, int64(len(sidecarMagic)))), uint32(len(b))})
	return e.write(ctx, b)
}

func (e *extraWriter) write(ctx context.Context, b []byte) error {
	if e.out == nil {
		e.out = e.w.NewObjectWriter(ctx, object.WriterOptions{Description: "SIDECAR", Compressor: fileCompressor, MetadataCompressor: metadataCompressor})
		if err := e.write(ctx, []byte(sidecarMagic)); err != nil {
			return err
		}
	}
	n, err := e.out.Write(b)
	e.at += int64(n)
	return err
}

// finish returns the whole and its size; false if there is none.
func (e *extraWriter) finish(ctx context.Context) (object.ID, int64, bool, error) {
	if e.out == nil {
		return object.ID{}, 0, false, nil
	}
	slices.SortFunc(e.index, func(a, b indexed) int {
		return cmp.Or(bytes.Compare(a.path[:], b.path[:]), cmp.Compare(a.offset, b.offset))
	})
	from := e.at
	var b []byte
	for _, i := range e.index {
		b = binary.BigEndian.AppendUint32(binary.BigEndian.AppendUint64(append(b, i.path[:]...), i.offset), i.length)
	}
	b = binary.BigEndian.AppendUint64(binary.BigEndian.AppendUint64(b, uint64(from)), uint64(len(e.index)))
	if err := e.write(ctx, append(b, sidecarMagic...)); err != nil {
		return object.ID{}, 0, false, err
	}
	id, err := e.out.Result()
	return id, e.at, true, err
}

func (e *extraWriter) close() {
	if e.out != nil {
		e.out.Close()
	}
}

// sidecar reads one. What is in memory is its index.
type sidecar struct {
	mu    sync.Mutex
	r     io.ReadSeeker
	index []byte
}

// openSidecar reads the index of a sidecar.
func openSidecar(r io.ReadSeeker) (*sidecar, error) {
	size, err := r.Seek(0, io.SeekEnd)
	if err != nil {
		return nil, err
	}
	if size < int64(len(sidecarMagic)+footerSize) {
		return nil, fail.Errorf(fail.Corrupt, "the sidecar has %d bytes", size)
	}
	s := &sidecar{r: r}
	footer, err := s.read(size-int64(footerSize), footerSize)
	if err != nil {
		return nil, err
	}
	if string(footer[16:]) != sidecarMagic {
		return nil, fail.Errorf(fail.Unsupported, "the sidecar is of a newer format, or none")
	}
	from, number := binary.BigEndian.Uint64(footer), binary.BigEndian.Uint64(footer[8:])
	if from > uint64(size) || number > uint64(size)/indexSize || from+number*indexSize+uint64(footerSize) != uint64(size) {
		return nil, fail.Errorf(fail.Corrupt, "the index of the sidecar does not fit into it")
	}
	s.index, err = s.read(int64(from), int(number*indexSize))
	return s, err
}

func (s *sidecar) read(at int64, n int) ([]byte, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if _, err := s.r.Seek(at, io.SeekStart); err != nil {
		return nil, err
	}
	b := make([]byte, n)
	_, err := io.ReadFull(s.r, b)
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		err = fail.Errorf(fail.Corrupt, "the sidecar ends too early")
	}
	return b, err
}

// folder returns what there is about the names of a folder.
func (s *sidecar) folder(path string) ([]extra, error) {
	hash := hashPath(path)
	number := len(s.index) / indexSize
	low, high := 0, number
	for low < high {
		if mid := (low + high) / 2; bytes.Compare(s.index[mid*indexSize:][:pathSize], hash[:]) < 0 {
			low = mid + 1
		} else {
			high = mid
		}
	}
	for ; low < number; low++ {
		entry := s.index[low*indexSize:][:indexSize]
		if !bytes.Equal(entry[:pathSize], hash[:]) {
			break
		}
		offset, length := binary.BigEndian.Uint64(entry[pathSize:]), binary.BigEndian.Uint32(entry[pathSize+8:])
		if offset > math.MaxInt64 || length > maxSection {
			return nil, fail.Errorf(fail.Corrupt, "the sidecar says that a folder is at %d", offset)
		}
		list, err := s.section(int64(offset), int(length), path)
		if err != nil || list != nil {
			return list, err
		}
	}
	return nil, nil
}

// section reads one in steps, so that a length that is a lie costs nothing.
func (s *sidecar) section(at int64, length int, path string) ([]extra, error) {
	var b []byte
	for len(b) < length {
		part, err := s.read(at+int64(len(b)), min(length-len(b), readSize))
		if err != nil {
			return nil, err
		}
		b = append(b, part...)
	}
	return decodeSection(b, path)
}

const readSize = 1 << 20

// merge gives the nodes of a folder what its extras say of them.
func merge(nodes []vault.Node, list []extra) ([]vault.Node, error) {
	byName := make(map[string]*extra, len(list))
	for i := range list {
		if list[i].kind == 0 {
			byName[list[i].name] = &list[i]
		}
	}
	for i := range nodes {
		if x := byName[nodes[i].Name]; x != nil {
			x.apply(&nodes[i])
		}
	}
	for i := range list {
		if x := &list[i]; x.kind != 0 {
			n := vault.Node{Type: x.kind, Mode: x.mode, UID: x.uid, GID: x.gid, Rdev: x.rdev}
			x.apply(&n)
			nodes = append(nodes, n)
		}
	}
	if err := vault.Sort(nodes); err != nil {
		return nil, fmt.Errorf("the sidecar: %w", err)
	}
	return nodes, nil
}

func (x *extra) apply(n *vault.Node) {
	if x.raw != "" {
		n.Name = x.raw
	}
	if x.timed {
		n.Modified = time.Unix(x.sec, int64(x.nsec))
	}
	n.Xattrs = x.xattrs
	if n.Type == vault.Regular {
		n.Inode = x.inode
	}
}
