// SPDX-License-Identifier: Apache-2.0

package archive

import (
	"bufio"
	"bytes"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"slices"

	"github.com/klauspost/compress/flate"

	"hozon.dev/hozon/internal/fail"
	"hozon.dev/hozon/internal/object"
)

// segment inflates a part of a member that begins and ends at a block border. io.EOF comes only if the part ends
// where a block does: an empty final block is put behind it, which no deflate reader finds in any other place.
type segment struct {
	in     *input
	limit  *io.LimitedReader
	final  *bytes.Reader
	buf    *bufio.Reader
	flate  io.ReadCloser
	offset int64 // of the part in its file
	n      int64
}

func newSegment(r io.Reader, offset, length int64) *segment {
	s := &segment{in: &input{r: r}, offset: offset}
	s.limit = &io.LimitedReader{R: s.in, N: length}
	s.final = bytes.NewReader([]byte(finalBlock))
	s.buf = bufio.NewReaderSize(io.MultiReader(s.limit, s.final), int(min(max(length, 16), 64<<10)))
	s.flate = flate.NewReader(s.buf)
	return s
}

func (s *segment) Read(p []byte) (int, error) {
	n, err := s.flate.Read(p)
	s.n += int64(n)
	switch {
	case err == nil:
	case err != io.EOF:
		err = inflateError(err)
	case s.limit.N > 0 && s.final.Len() == 0:
		err = fmt.Errorf("the file is cut off: %w", io.ErrUnexpectedEOF)
	case s.limit.N > 0 || s.final.Len() > 0 || s.buf.Buffered() > 0:
		err = errBlockEnd
	}
	return n, err
}

var errBlockEnd = errors.New("a block ends in another place than its index says")

func (s *segment) plain() int64  { return s.n }
func (s *segment) packed() int64 { return s.offset + s.in.n - int64(s.buf.Buffered()) }
func (s *segment) fault() error  { return s.in.err }

// ReadItem returns the body of an item; block has the e.Block.Length compressed bytes of its block. It inflates no more than
// what lies before the body and the body itself. fail.Corrupt if the bytes are not those that were written.
func ReadItem(block io.Reader, e IndexEntry) ([]byte, error) {
	var body []byte
	err := ReadItems(block, []IndexEntry{e}, func(_ IndexEntry, b []byte) error {
		body = b
		return nil
	})
	return body, err
}

// ReadItems is ReadItem for several items of one block. It calls fn in the order in which the items lie there; body is fn's to keep.
func ReadItems(block io.Reader, entries []IndexEntry, fn func(e IndexEntry, body []byte) error) error {
	if len(entries) == 0 {
		return nil
	}
	entries = slices.Clone(entries)
	slices.SortFunc(entries, func(a, b IndexEntry) int { return int(a.Offset - b.Offset) })
	span := entries[0].Block
	s := newSegment(block, span.Offset, span.Length)
	for _, e := range entries {
		body, err := s.item(e, span)
		if err == nil {
			err = fn(e, body)
		}
		if err != nil {
			return fmt.Errorf("read %s from the archive: %w", e.Ref, err)
		}
	}
	return nil
}

// EntryOf is the Entry that Read makes of an item's body, but for its path and place.
func EntryOf(i IndexEntry, body []byte) Entry {
	e := Entry{Path: i.Ref.String(), Ref: i.Ref, Version: i.Version, Unversioned: i.Preferred, Preferred: i.Preferred, Body: body}
	head, err := object.Scan(body)
	if err != nil {
		e.Err = fmt.Errorf("%q: %w", e.Path, err)
		return e
	}
	e.Head = head
	e.Err = match(head, &e)
	return e
}

func (s *segment) item(e IndexEntry, span Span) ([]byte, error) {
	if e.Block != span {
		return nil, fail.Errorf(fail.Invalid, "it lies in the block at %d, not in the one at %d", e.Block.Offset, span.Offset)
	}
	if e.Size < 0 || e.Size > MaxItem || e.Offset < s.n || e.Offset > maxInflated {
		return nil, fail.Errorf(fail.Corrupt, "the index says %d bytes at %d, which cannot be", e.Size, e.Offset)
	}
	if _, err := io.CopyN(io.Discard, s, e.Offset-s.n); err != nil {
		return nil, describe(s, shortBlock(err))
	}
	body := make([]byte, e.Size)
	if _, err := io.ReadFull(s, body); err != nil {
		return nil, describe(s, shortBlock(err))
	}
	if sha256.Sum256(body) != e.Hash {
		return nil, fail.Errorf(fail.Corrupt, "the block at byte %d of the file has another content there than the index says", span.Offset)
	}
	return body, nil
}

func shortBlock(err error) error {
	if err == io.EOF {
		return fmt.Errorf("the block is shorter than the index says: %w", io.ErrUnexpectedEOF)
	}
	return err
}
