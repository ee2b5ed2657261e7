// SPDX-License-Identifier: Apache-2.0

package bolt

import (
	"bytes"
	"encoding/binary"

	"hozon.dev/hozon/internal/fail"
)

// flagBucket marks a leaf element whose value is the root of a bucket.
const flagBucket = 0x01

// element is one entry of a leaf.
type element struct {
	flags      uint32
	key, value []byte
}

// walk is one pass over a tree, in the order of its keys.
type walk struct {
	db      *DB
	visit   func(element) error
	seen    []uint64 // a bit for each page
	buffers [][]byte // one for each level
	last    []byte   // key of the leaf before
	begun   bool
}

func (db *DB) walk(root uint64, visit func(element) error) error {
	w := walk{db: db, visit: visit, seen: make([]uint64, db.pages/64+1)}
	return w.page(root, 0)
}

func (w *walk) page(id uint64, depth int) error {
	if depth == maxDepth {
		return fail.Errorf(fail.Corrupt, "page %d: more than %d levels", id, maxDepth)
	}
	p, err := w.read(id, depth)
	if err != nil {
		return err
	}
	switch flags := binary.LittleEndian.Uint16(p[8:]); flags {
	case flagLeaf:
		return w.leaf(p, id)
	case flagBranch:
		return w.branch(p, id, depth)
	default:
		return fail.Errorf(fail.Corrupt, "page %d: flags %#x, neither branch nor leaf", id, flags)
	}
}

// read gets a page with its overflow into the buffer of its level.
func (w *walk) read(id uint64, depth int) ([]byte, error) {
	if id < 2 || id >= w.db.pages {
		return nil, fail.Errorf(fail.Corrupt, "page %d of %d does not exist", id, w.db.pages)
	}
	if w.seen[id/64]&(1<<(id%64)) != 0 {
		return nil, fail.Errorf(fail.Corrupt, "page %d is in the tree twice", id)
	}
	w.seen[id/64] |= 1 << (id % 64)
	if depth == len(w.buffers) {
		w.buffers = append(w.buffers, make([]byte, w.db.pageSize))
	}
	b, at := w.buffers[depth][:w.db.pageSize], int64(id)*int64(w.db.pageSize)
	if _, err := w.db.r.ReadAt(b, at); err != nil {
		return nil, err
	}
	if got := binary.LittleEndian.Uint64(b); got != id {
		return nil, fail.Errorf(fail.Corrupt, "page %d says that it is page %d", id, got)
	}
	overflow := uint64(binary.LittleEndian.Uint32(b[12:]))
	if overflow == 0 {
		return b, nil
	}
	length := (overflow + 1) * uint64(w.db.pageSize)
	if id+overflow >= w.db.pages || length > maxRun {
		return nil, fail.Errorf(fail.Corrupt, "page %d goes on for %d pages, past the end or over %d bytes", id, overflow, maxRun)
	}
	if uint64(cap(b)) < length {
		w.buffers[depth] = append(make([]byte, 0, length), b...)
	}
	b = w.buffers[depth][:length]
	_, err := w.db.r.ReadAt(b[w.db.pageSize:], at+int64(w.db.pageSize))
	return b, err
}

func (w *walk) branch(p []byte, id uint64, depth int) error {
	count := int(binary.LittleEndian.Uint16(p[10:]))
	if count == 0 || pageHeader+count*elementSize > len(p) {
		return fail.Errorf(fail.Corrupt, "page %d: %d branches do not fit", id, count)
	}
	for i := range count {
		if err := w.page(binary.LittleEndian.Uint64(p[pageHeader+i*elementSize+8:]), depth+1); err != nil {
			return err
		}
	}
	return nil
}

func (w *walk) leaf(p []byte, id uint64) error {
	if len(p) < pageHeader {
		return fail.Errorf(fail.Corrupt, "page %d: too short", id)
	}
	count := int(binary.LittleEndian.Uint16(p[10:]))
	if pageHeader+count*elementSize > len(p) {
		return fail.Errorf(fail.Corrupt, "page %d: %d elements do not fit", id, count)
	}
	var last []byte
	if w.begun {
		last = w.last
	}
	for i := range count {
		e, ok := entry(p, i)
		if !ok {
			return fail.Errorf(fail.Corrupt, "page %d: element %d lies outside of it", id, i)
		}
		if w.begun && bytes.Compare(last, e.key) >= 0 {
			return fail.Errorf(fail.Corrupt, "page %d: element %d: keys do not ascend", id, i)
		}
		w.begun, last = true, e.key
		if err := w.visit(e); err != nil {
			return err
		}
	}
	w.last = append(w.last[:0], last...)
	return nil
}

// entry reads the i-th element of a leaf.
func entry(p []byte, i int) (element, bool) {
	at := pageHeader + i*elementSize
	head, le := p[at:], binary.LittleEndian
	key := uint64(at) + uint64(le.Uint32(head[4:]))
	value := key + uint64(le.Uint32(head[8:]))
	end := value + uint64(le.Uint32(head[12:]))
	if end > uint64(len(p)) {
		return element{}, false
	}
	return element{flags: le.Uint32(head), key: p[key:value:value], value: p[value:end:end]}, true
}
