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
	page       uint64
	whole      func() ([]byte, error) // nil: value is all of it
}

// walk is one pass over a tree, in the order of its keys.
type walk struct {
	db      *DB
	visit   func(element) error
	head    int               // so much is wanted of each value; 0: all
	on      func(uint64) bool // not nil: the leaves that are wanted
	seen    []uint64          // a bit for each page
	buffers [][]byte          // one for each level
	last    []byte            // key of the leaf before
	begun   bool
}

func (db *DB) walk(root uint64, visit func(element) error) error {
	w := walk{db: db, visit: visit}
	return w.run(root)
}

func (w *walk) run(root uint64) error {
	w.seen = make([]uint64, w.db.pages/64+1)
	_, err := w.page(root, 0)
	return err
}

// page goes through a page and all below it, and says whether it is a leaf.
func (w *walk) page(id uint64, depth int) (leaf bool, err error) {
	if depth == maxDepth {
		return false, fail.Errorf(fail.Corrupt, "page %d: more than %d levels", id, maxDepth)
	}
	p, length, err := w.read(id, depth)
	if err != nil {
		return false, err
	}
	switch flags := binary.LittleEndian.Uint16(p[8:]); {
	case flags == flagLeaf && length > int64(len(p)):
		return true, w.sparse(p, id, length)
	case flags == flagLeaf:
		return true, w.leaf(p, id)
	case flags == flagBranch:
		return false, w.branch(p, id, depth)
	default:
		return false, fail.Errorf(fail.Corrupt, "page %d: flags %#x, neither branch nor leaf", id, flags)
	}
}

// read gets a page with its overflow into the buffer of its level, or, of a leaf of which only heads are wanted, its beginning; length is that of all of it.
func (w *walk) read(id uint64, depth int) (p []byte, length int64, err error) {
	p, overflow, err := w.begin(id, depth)
	if err != nil || overflow == 0 {
		return p, int64(len(p)), err
	}
	length = int64(overflow+1) * int64(w.db.pageSize)
	if id+overflow >= w.db.pages || length > maxRun {
		return nil, 0, fail.Errorf(fail.Corrupt, "page %d goes on for %d pages, past the end or over %d bytes", id, overflow, maxRun)
	}
	if w.head > 0 && overflow >= fewPages && binary.LittleEndian.Uint16(p[8:]) == flagLeaf {
		return p, length, nil
	}
	if int64(cap(p)) < length {
		w.buffers[depth] = append(make([]byte, 0, length), p...)
	}
	p = w.buffers[depth][:length]
	_, err = w.db.r.ReadAt(p[w.db.pageSize:], int64(id)*int64(w.db.pageSize)+int64(w.db.pageSize))
	return p, length, err
}

// begin reads a page without its overflow.
func (w *walk) begin(id uint64, depth int) (p []byte, overflow uint64, err error) {
	if id < 2 || id >= w.db.pages {
		return nil, 0, fail.Errorf(fail.Corrupt, "page %d of %d does not exist", id, w.db.pages)
	}
	if w.seen[id/64]&(1<<(id%64)) != 0 {
		return nil, 0, fail.Errorf(fail.Corrupt, "page %d is in the tree twice", id)
	}
	w.seen[id/64] |= 1 << (id % 64)
	if depth == len(w.buffers) {
		w.buffers = append(w.buffers, make([]byte, w.db.pageSize))
	}
	b, at := w.buffers[depth][:w.db.pageSize], int64(id)*int64(w.db.pageSize)
	if _, err := w.db.r.ReadAt(b, at); err != nil {
		return nil, 0, err
	}
	if got := binary.LittleEndian.Uint64(b); got != id {
		return nil, 0, fail.Errorf(fail.Corrupt, "page %d says that it is page %d", id, got)
	}
	return b, uint64(binary.LittleEndian.Uint32(b[12:])), nil
}

// fewPages are read as a whole, whatever is wanted of them.
const fewPages = 8

// sparse goes through a leaf of length bytes that begins with first, and reads of its values only their heads.
func (w *walk) sparse(first []byte, id uint64, length int64) error {
	count := int64(binary.LittleEndian.Uint16(first[10:]))
	table := pageHeader + count*elementSize
	if table > length {
		return fail.Errorf(fail.Corrupt, "page %d: %d elements do not fit", id, count)
	}
	at := int64(id) * int64(w.db.pageSize)
	p := append([]byte{}, first[:min(table, int64(len(first)))]...)
	if rest := table - int64(len(p)); rest > 0 {
		p = append(p, make([]byte, rest)...)
		if _, err := w.db.r.ReadAt(p[table-rest:], at+table-rest); err != nil {
			return err
		}
	}
	return w.elements(int(count), id, func(i int) (element, error) {
		e, from, ok := place(p, i, length)
		if !ok {
			return e, outside(id, i)
		}
		text := make([]byte, min(from.end-from.key, from.value-from.key+int64(w.head)))
		if _, err := w.db.r.ReadAt(text, at+from.key); err != nil {
			return e, err
		}
		e.key, e.value = text[:from.value-from.key], text[from.value-from.key:]
		if from.end-from.value == int64(len(e.value)) {
			return e, nil
		}
		e.whole = func() ([]byte, error) {
			all := make([]byte, from.end-from.value)
			_, err := w.db.r.ReadAt(all, at+from.value)
			return all, err
		}
		return e, nil
	})
}

func (w *walk) branch(p []byte, id uint64, depth int) error {
	count := int(binary.LittleEndian.Uint16(p[10:]))
	if count == 0 || pageHeader+count*elementSize > len(p) {
		return fail.Errorf(fail.Corrupt, "page %d: %d branches do not fit", id, count)
	}
	leaves := false // the pages below are; which is known when the first one was read
	for i := range count {
		child := binary.LittleEndian.Uint64(p[pageHeader+i*elementSize+8:])
		if w.on != nil && leaves && !w.on(child) {
			continue
		}
		leaf, err := w.page(child, depth+1)
		if err != nil {
			return err
		}
		if i > 0 && leaf != leaves {
			return fail.Errorf(fail.Corrupt, "page %d has both branches and leaves below it", id)
		}
		leaves = leaf
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
	return w.elements(count, id, func(i int) (element, error) {
		e, from, ok := place(p, i, int64(len(p)))
		if !ok {
			return e, outside(id, i)
		}
		e.key, e.value = p[from.key:from.value:from.value], p[from.value:from.end:from.end]
		return e, nil
	})
}

func outside(id uint64, i int) error {
	return fail.Errorf(fail.Corrupt, "page %d: element %d lies outside of it", id, i)
}

// elements visits those of a leaf.
func (w *walk) elements(count int, id uint64, get func(int) (element, error)) error {
	var last []byte
	if w.begun {
		last = w.last
	}
	for i := range count {
		e, err := get(i)
		if err != nil {
			return err
		}
		e.page = id
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

// extent is where on its page an element lies.
type extent struct{ key, value, end int64 }

// place reads where the i-th element of a leaf of length bytes lies.
func place(p []byte, i int, length int64) (element, extent, bool) {
	at := pageHeader + i*elementSize
	head, le := p[at:], binary.LittleEndian
	var x extent
	x.key = int64(at) + int64(le.Uint32(head[4:]))
	x.value = x.key + int64(le.Uint32(head[8:]))
	x.end = x.value + int64(le.Uint32(head[12:]))
	return element{flags: le.Uint32(head)}, x, x.end <= length
}
