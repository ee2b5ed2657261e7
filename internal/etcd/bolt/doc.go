// SPDX-License-Identifier: Apache-2.0

// Package bolt reads bbolt files, etcd's database format, page by page through an io.ReaderAt.
//
//	page 0, page 1   meta: page size, root, number of pages, transaction; the newer sound one counts
//	other pages      branch (keys and the pages below), leaf (keys and values), freelist (not read)
//
// A page may run on over several page sizes. The leaf that is the root lists the buckets; each has a tree of its own, or, when it is small, a
// page inside of the root's value.
//
// Its nouns: a DB is the file; a Bucket is one tree of keys and values.
//
// Invariants: nothing is mapped and nothing is written, so that a snapshot can be read where it lies, also inside of an archive; memory is a page for
// each level of the tree; whatever is read is hostile: every length is checked against its page, every page against the file, no page
// is read twice in one walk, and keys must ascend. All of that ends with fail.Corrupt and names the page.
//
// It does not write, does not read what a crashed writer left in flight, and knows no buckets inside of buckets: etcd has none.
package bolt

import (
	"encoding/binary"
	"hash/fnv"
	"io"

	"hozon.dev/hozon/internal/fail"
)

const (
	magic   = 0xED0CDAED
	version = 2

	pageHeader  = 16 // id u64, flags u16, count u16, overflow u32
	metaLength  = 64 // behind the header, checksum included
	elementSize = 16 // of branch and leaf pages
	rootHeader  = 16 // root u64, sequence u64

	flagBranch = 0x01
	flagLeaf   = 0x02
	flagMeta   = 0x04

	// maxRun bounds one page with its overflow. etcd's values are 1.5 MiB unless configured otherwise; a page holds two or three at most.
	maxRun = 128 << 20
	// maxDepth bounds the tree; with the smallest fan-out that bbolt makes, 2^60 pages are below it.
	maxDepth = 60
	// maxBuckets bounds the list of buckets that is kept.
	maxBuckets = 1 << 12
)

// DB is a bbolt file.
type DB struct {
	r        io.ReaderAt
	pageSize int
	pages    uint64 // all page numbers are below
	root     uint64
	txid     uint64
}

// Open reads the meta pages of a file of size bytes; bytes behind the last page are ignored.
func Open(r io.ReaderAt, size int64) (*DB, error) {
	first, err := readMeta(r, size, 0)
	sound := err == nil
	db := first
	for _, pageSize := range candidates(first, sound) {
		second, err := readMeta(r, size, pageSize)
		if err == nil && second.pageSize == int(pageSize) && (!sound || second.txid > db.txid) {
			db, sound = second, true
		}
	}
	if !sound {
		return nil, err
	}
	if need := db.pages * uint64(db.pageSize); db.pages > 1<<48 || need > uint64(size) {
		return nil, fail.Errorf(fail.Corrupt, "the database has %d pages of %d bytes, the file holds %d bytes: it was cut off", db.pages, db.pageSize, size)
	}
	db.r = r
	return db, nil
}

// candidates are the places where the second meta page may be.
func candidates(first *DB, sound bool) []int64 {
	if sound {
		return []int64{int64(first.pageSize)}
	}
	var all []int64
	for size := int64(512); size <= 64<<10; size *= 2 {
		all = append(all, size)
	}
	return all
}

func readMeta(r io.ReaderAt, size, at int64) (*DB, error) {
	var page [pageHeader + metaLength]byte
	if at+int64(len(page)) > size {
		return nil, fail.Errorf(fail.Corrupt, "%d bytes are no etcd database", size)
	}
	if _, err := r.ReadAt(page[:], at); err != nil {
		return nil, err
	}
	b, le := page[pageHeader:], binary.LittleEndian
	switch {
	case binary.BigEndian.Uint32(b) == magic:
		return nil, fail.Errorf(fail.Unsupported, "the database was written by a big-endian machine")
	case le.Uint32(b) != magic:
		return nil, fail.Errorf(fail.Corrupt, "offset %d: not an etcd database", at+pageHeader)
	case le.Uint32(b[4:]) != version:
		return nil, fail.Errorf(fail.Unsupported, "database format %d; only %d is known", le.Uint32(b[4:]), version)
	}
	sum := fnv.New64a()
	sum.Write(b[:metaLength-8])
	if sum.Sum64() != le.Uint64(b[metaLength-8:]) || le.Uint16(page[8:])&flagMeta == 0 {
		return nil, fail.Errorf(fail.Corrupt, "offset %d: the meta page's checksum is wrong", at)
	}
	db := &DB{pageSize: int(le.Uint32(b[8:])), root: le.Uint64(b[16:]), pages: le.Uint64(b[40:]), txid: le.Uint64(b[48:])}
	if db.pageSize < 512 || db.pageSize > 64<<10 || db.pageSize&(db.pageSize-1) != 0 {
		return nil, fail.Errorf(fail.Corrupt, "offset %d: page size %d", at, db.pageSize)
	}
	return db, nil
}

// Size is the length in bytes of the database, without what may lie behind it.
func (db *DB) Size() int64 { return int64(db.pages) * int64(db.pageSize) }

// Pages is how many pages there are; their numbers are below.
func (db *DB) Pages() uint64 { return db.pages }

// PageSize is the length of a page in bytes.
func (db *DB) PageSize() int { return db.pageSize }

// Bucket is one tree of keys and values.
type Bucket struct {
	Name   string
	db     *DB
	root   uint64
	inline []byte // page, instead of root
}

// Buckets lists the buckets, sorted by name.
func (db *DB) Buckets() ([]Bucket, error) {
	var all []Bucket
	err := db.walk(db.root, func(e element) error {
		if e.flags&flagBucket == 0 {
			return nil
		}
		if len(e.value) < rootHeader || len(all) == maxBuckets {
			return fail.Errorf(fail.Corrupt, "bucket %.40q has no root, or there are more than %d", e.key, maxBuckets)
		}
		b := Bucket{Name: string(e.key), db: db, root: binary.LittleEndian.Uint64(e.value)}
		if b.root == 0 {
			b.inline = append([]byte{}, e.value[rootHeader:]...)
		}
		all = append(all, b)
		return nil
	})
	return all, err
}

// Each calls visit with every key and value in the order of the keys. Both are valid during the call only.
func (b *Bucket) Each(visit func(key, value []byte) error) error {
	return b.walk(&walk{visit: func(e element) error { return visit(e.key, e.value) }})
}

// Entry is a key of which at least a part of its value was read.
type Entry struct {
	Page  uint64 // that it lies on; 0: inside of the bucket's root
	Key   []byte
	Value []byte // its first bytes, or all of it

	whole func() ([]byte, error)
}

// Cut says that Value is not all of it.
func (e Entry) Cut() bool { return e.whole != nil }

// Whole reads all of a value that was cut.
func (e Entry) Whole() ([]byte, error) {
	if e.whole == nil {
		return e.Value, nil
	}
	return e.whole()
}

// Heads is Each for who needs the first head bytes of values only: what is behind them of long ones is not read.
func (b *Bucket) Heads(head int, visit func(Entry) error) error {
	return b.walk(&walk{head: head, visit: func(e element) error {
		return visit(Entry{Page: e.page, Key: e.key, Value: e.value, whole: e.whole})
	}})
}

// On is Each for the keys that lie on some pages, which Heads has told; others are not read. Branches do not count.
func (b *Bucket) On(page func(uint64) bool, visit func(key, value []byte) error) error {
	return b.walk(&walk{on: page, visit: func(e element) error { return visit(e.key, e.value) }})
}

func (b *Bucket) walk(w *walk) error {
	visit := w.visit
	w.db, w.visit = b.db, func(e element) error {
		if e.flags&flagBucket != 0 {
			return fail.Errorf(fail.Corrupt, "bucket %.40q: a bucket inside of a bucket", b.Name)
		}
		return visit(e)
	}
	if b.inline != nil {
		return w.leaf(b.inline, 0)
	}
	return w.run(b.root)
}
