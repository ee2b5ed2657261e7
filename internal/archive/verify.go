// SPDX-License-Identifier: Apache-2.0

package archive

import (
	"bufio"
	"cmp"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"slices"

	"github.com/klauspost/compress/flate"

	"hozon.dev/hozon/internal/fail"
)

// Verify reads an index and then the archive beside it, and compares them in both directions: every item of the one must
// be in the other, at the same place, with the same size and hash, both copies of it. Each block is inflated with an empty
// history, so it is proved that ReadItem works for each item.
//
// fn gets every entry, as from Read, with what is wrong in Entry.Err; and, after the last, an Entry without path and body for each
// item of the index that is not in the archive. The error is as that of Read and ReadIndex. About 100 bytes of memory an item.
func Verify(index, archive io.Reader, o ReadOptions, fn func(Entry) error) (ReadSummary, error) {
	v := &verifier{catalog: newCatalog(), fn: fn}
	if err := ReadIndex(index, v.learn); err != nil {
		return ReadSummary{}, err
	}
	if err := v.tile(); err != nil {
		return ReadSummary{}, fmt.Errorf("read index: %w", err)
	}
	v.blocks = newBlockReader(archive, v.spans)
	w := newWalker(v.blocks, o, v.entry)
	v.walker = w
	err := w.walk()
	if err == nil {
		err = v.missing()
	}
	if err != nil {
		return w.sum, fmt.Errorf("read archive: %w", err)
	}
	return w.sum, nil
}

const (
	sawFirst  = 1 << iota // the copy that the index points at
	sawSecond             // the other copy, of preferred versions
)

type verifier struct {
	catalog *catalog
	spans   []Span // blocks with items, by offset; record.block is the place in it
	ids     map[Span]uint32
	saw     []uint8 // of each record
	blocks  *blockReader
	walker  *walker
	fn      func(Entry) error
	hash    [sha256.Size]byte // of the body at hand
}

// learn takes up a line of the index.
func (v *verifier) learn(e IndexEntry) error {
	r, _, err := v.catalog.add(e.Ref, kindKey{e.Ref.Group, e.Ref.Resource, e.Version, e.Kind, e.Preferred})
	if err != nil {
		return fail.Errorf(fail.Corrupt, "%s: %w", e.Ref, err)
	}
	if v.ids == nil {
		v.ids = map[Span]uint32{}
	}
	id, ok := v.ids[e.Block]
	if !ok {
		id = uint32(len(v.spans))
		v.ids[e.Block] = id
		v.spans = append(v.spans, e.Block)
	}
	r.block, r.offset, r.size, r.hash = id, uint32(e.Offset), uint32(e.Size), e.Hash
	v.saw = append(v.saw, 0)
	return nil
}

// tile sorts the blocks and refuses those that overlap.
func (v *verifier) tile() error {
	slices.SortFunc(v.spans, func(a, b Span) int { return cmp.Compare(a.Offset, b.Offset) })
	rank := make([]uint32, len(v.spans))
	for i, s := range v.spans {
		rank[v.ids[s]] = uint32(i)
		if i > 0 && v.spans[i-1].Offset+v.spans[i-1].Length > s.Offset {
			return fail.Errorf(fail.Corrupt, "the blocks at %d and %d overlap", v.spans[i-1].Offset, s.Offset)
		}
	}
	for i := range uint32(v.catalog.count) {
		r := v.catalog.at(i)
		r.block = rank[r.block]
	}
	v.ids = nil
	return nil
}

func (v *verifier) entry(e Entry) error {
	if err := v.compare(&e); err != nil && e.Err == nil {
		e.Err = fail.Errorf(fail.Corrupt, "%q: %w", e.Path, err)
	}
	return v.fn(e)
}

var errNotIndexed = errors.New("it is not in the index")

func (v *verifier) compare(e *Entry) error {
	if !v.walker.same {
		v.hash = sha256.Sum256(e.Body)
	}
	version := e.Version
	if e.Unversioned {
		version = v.catalog.preferred[e.Ref.GroupResource()] // the body may say nothing, or lie
	}
	id, ok := v.catalog.find(e.Ref, version)
	if !ok {
		return errNotIndexed
	}
	r := v.catalog.at(id)
	k := v.catalog.kinds[r.kind]
	if e.Preferred != k.preferred {
		return fmt.Errorf("the index calls version %s preferred: %t", version, k.preferred)
	}
	first := e.Unversioned || !k.preferred
	if first {
		v.saw[id] |= sawFirst
	} else {
		v.saw[id] |= sawSecond
	}
	switch start, current := v.blocks.position(); {
	case int64(len(e.Body)) != int64(r.size):
		return fmt.Errorf("it has %d bytes, and %d in the index", len(e.Body), r.size)
	case v.hash != r.hash:
		return errors.New("its content is not what the index says")
	case current != int(r.block):
		return errors.New("it does not lie in the block that the index says")
	case first && e.Offset != start+int64(r.offset):
		return fmt.Errorf("it lies at byte %d of its block, and at %d in the index", e.Offset-start, r.offset)
	case e.Err == nil && e.Head.Kind != k.kind:
		return fmt.Errorf("its kind is %s, and %s in the index", e.Head.Kind, k.kind)
	}
	return nil
}

// missing reports the items of the index of which something was not in the archive.
func (v *verifier) missing() error {
	for id, saw := range v.saw {
		r := v.catalog.at(uint32(id))
		k := v.catalog.kinds[r.kind]
		what := ""
		switch {
		case saw == 0:
			what = "it is in the index, but not in the archive"
		case saw&sawFirst == 0:
			what = "its unversioned copy is not in the archive"
		case saw&sawSecond == 0 && k.preferred:
			what = "its versioned copy is not in the archive"
		default:
			continue
		}
		ref := v.catalog.ref(r)
		e := Entry{Ref: ref, Version: k.version, Preferred: k.preferred, Err: fail.Errorf(fail.Corrupt, "%s %s: %s", ref, k.version, what)}
		if err := v.fn(e); err != nil {
			return err
		}
	}
	return nil
}

// blockReader inflates a whole archive in pieces: the blocks that the index names, each alone, and what lies between and behind
// them. Its Read returns io.EOF only if header, block borders, checksum and length are right and the file ends there.
type blockReader struct {
	in      *input
	spans   []Span
	piece   *segment // nil: the header is not read, or the tail is being read
	tail    io.Reader
	tailBuf *bufio.Reader
	next    int   // the first of spans that is not begun
	current int   // of spans; -1 between them
	start   int64 // of the piece, in the inflated stream
	at      int64 // of the piece's end, in the file
	n       int64
	crc     uint32
	done    bool
}

func newBlockReader(r io.Reader, spans []Span) *blockReader {
	return &blockReader{in: &input{r: r}, spans: spans, current: -1}
}

// position is the start of the piece at hand in the inflated stream, and which block it is.
func (b *blockReader) position() (start int64, block int) { return b.start, b.current }

func (b *blockReader) plain() int64 { return b.n }
func (b *blockReader) fault() error { return b.in.err }
func (b *blockReader) packed() int64 {
	if b.tailBuf != nil {
		return b.in.n - int64(b.tailBuf.Buffered())
	}
	return b.in.n
}

func (b *blockReader) Read(p []byte) (int, error) {
	if b.done {
		return 0, io.EOF
	}
	if b.at == 0 {
		if err := b.header(); err != nil {
			return 0, err
		}
	}
	for {
		if b.piece == nil && b.tail == nil {
			b.begin()
		}
		n, err := b.read(p)
		b.crc = crc32.Update(b.crc, crc32.IEEETable, p[:n])
		b.n += int64(n)
		switch {
		case n > 0 && (err == nil || err == io.EOF):
			return n, nil // the end comes again
		case err == io.EOF && b.piece != nil:
			b.piece = nil
		case err == io.EOF:
			b.done = true
			return n, b.end()
		case err != nil:
			return n, err
		}
	}
}

func (b *blockReader) read(p []byte) (int, error) {
	if b.piece != nil {
		return b.piece.Read(p)
	}
	n, err := b.tail.Read(p)
	if err != nil && err != io.EOF {
		err = inflateError(err)
	}
	return n, err
}

// header reads the header that this package writes, and no other.
func (b *blockReader) header() error {
	var h [len(gzipHeader)]byte
	if _, err := io.ReadFull(b.in, h[:]); err != nil {
		return inflateError(err)
	}
	if string(h[:]) != gzipHeader {
		return errors.New("the file does not begin as the archives do that have an index")
	}
	b.at = int64(len(h))
	return nil
}

// begin opens the next piece.
func (b *blockReader) begin() {
	b.start, b.current = b.n, -1
	if b.next == len(b.spans) {
		b.tailBuf = bufio.NewReader(b.in)
		b.tail = flate.NewReader(b.tailBuf)
		return
	}
	span := b.spans[b.next]
	if b.at == span.Offset {
		b.current = b.next
		b.next++
	} else {
		span = Span{b.at, span.Offset - b.at}
	}
	b.at = span.Offset + span.Length
	b.piece = newSegment(b.in, span.Offset, span.Length)
}

// end checks what follows the last block.
func (b *blockReader) end() error {
	var t [8]byte
	if _, err := io.ReadFull(b.tailBuf, t[:]); err != nil {
		return inflateError(err)
	}
	if binary.LittleEndian.Uint32(t[:]) != b.crc || binary.LittleEndian.Uint32(t[4:]) != uint32(b.n) {
		return errors.New("checksum or length do not match")
	}
	if _, err := b.tailBuf.ReadByte(); err == nil {
		return errTrailing
	} else if err != io.EOF {
		return err
	}
	return io.EOF
}
