// SPDX-License-Identifier: Apache-2.0

package archive

import (
	"bufio"
	"cmp"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"sort"

	"hozon.dev/hozon/internal/fail"
	"hozon.dev/hozon/internal/object"
)

// ReadIndex calls fn for each line of an index, in order. It is strict: fail.Corrupt for a bad file, a line that is no
// entry, numbers that cannot be, a wrong order, or the same item twice. Faults of r and errors of fn are returned with their own kinds.
func ReadIndex(r io.Reader, fn func(IndexEntry) error) error {
	g, err := newGunzip(r)
	if err != nil {
		return fmt.Errorf("read index: %w", err)
	}
	var l lines
	if err := l.read(g, -1, fn); err != nil {
		return fmt.Errorf("read index: %w", err)
	}
	return nil
}

// ReadIndexBlock calls fn for each line of one block of an index; r has its b.Length compressed bytes. It is as strict as ReadIndex,
// and the block must be what b says.
func ReadIndexBlock(r io.Reader, b IndexBlock, fn func(IndexEntry) error) error {
	s := newSegment(r, b.Offset, b.Length)
	l := lines{want: &b}
	err := l.read(s, b.Lines, fn)
	if err != nil {
		return fmt.Errorf("read index, block at byte %d: %w", b.Offset, err)
	}
	return nil
}

// Find says which blocks of an index may hold the versions of an object: blocks[first:end].
func Find(blocks []IndexBlock, ref object.Ref) (first, end int) {
	first = sort.Search(len(blocks), func(i int) bool { return object.Compare(blocks[i].First, ref) >= 0 })
	end = sort.Search(len(blocks), func(i int) bool { return object.Compare(blocks[i].First, ref) > 0 })
	if end == 0 {
		return 0, 0
	}
	return max(first-1, 0), end
}

// lines reads the lines of an index, or of a block of it.
type lines struct {
	want *IndexBlock // what the first line must be
	last IndexEntry
	n    int

	words [4]string // r, ns, v and k of the last line: mostly those of the next, too
}

// read calls fn for each line; there must be count of them, unless count is negative.
func (l *lines) read(s stream, count int, fn func(IndexEntry) error) error {
	buf := bufio.NewReaderSize(s, maxLine)
	for {
		line, err := buf.ReadSlice('\n')
		if err == io.EOF && len(line) == 0 {
			if count >= 0 && l.n != count {
				return fail.Errorf(fail.Corrupt, "%d lines where %d belong", l.n, count)
			}
			return nil
		}
		if err != nil {
			return describe(s, lineError(err))
		}
		if l.n == count {
			return describe(s, fmt.Errorf("more than the %d lines that belong here", count))
		}
		l.n++
		e, err := l.parse(line)
		if err != nil {
			return fail.Errorf(fail.Corrupt, "line %d: %w", l.n, err)
		}
		if err := fn(e); err != nil {
			return err
		}
	}
}

func lineError(err error) error {
	switch {
	case errors.Is(err, bufio.ErrBufferFull):
		return fmt.Errorf("a line of more than %d bytes", maxLine)
	case err == io.EOF:
		return errors.New("the last line has no end")
	}
	return err
}

// line is an IndexEntry in JSON (doc/format.md, section 5).
type line struct {
	R  string  `json:"r"`
	NS string  `json:"ns"`
	N  string  `json:"n"`
	V  string  `json:"v"`
	K  string  `json:"k"`
	P  bool    `json:"p"`
	B  []int64 `json:"b"`
	O  int64   `json:"o"`
	S  int64   `json:"s"`
	H  string  `json:"h"`

	pair [2]int64 // what B is a slice of, of a line that was read quickly
	hash []byte   // H of such a line
}

func (l *lines) parse(raw []byte) (IndexEntry, error) {
	var j line
	if !j.quick(raw, &l.words) {
		j = line{}
		if err := json.Unmarshal(raw, &j); err != nil {
			return IndexEntry{}, err
		}
		j.hash = []byte(j.H)
	}
	e, err := j.entry()
	if err != nil {
		return IndexEntry{}, err
	}
	if l.n == 1 {
		if w := l.want; w != nil && (w.First != e.Ref || w.Version != e.Version) {
			return IndexEntry{}, fmt.Errorf("the block begins with %s %s, not with %s %s", e.Ref, e.Version, w.First, w.Version)
		}
	} else if c := cmp.Or(object.Compare(l.last.Ref, e.Ref), cmp.Compare(l.last.Version, e.Version)); c >= 0 {
		return IndexEntry{}, fmt.Errorf("%s %s after %s %s, which is not the order", e.Ref, e.Version, l.last.Ref, l.last.Version)
	}
	l.last = e
	return e, nil
}

// The largest numbers that a Writer can produce.
const (
	maxInflated = blockSize + 2*(MaxItem+16<<10)
	maxPacked   = maxInflated + maxInflated>>8 + 1<<10 // stored blocks of 64 KiB, 5 bytes each, at the worst
)

var strictBase64 = base64.RawURLEncoding.Strict()

func (j *line) entry() (IndexEntry, error) {
	e := IndexEntry{Version: j.V, Kind: j.K, Preferred: j.P, Offset: j.O, Size: j.S}
	e.Ref = object.Ref{Namespace: j.NS, Name: j.N}
	e.Ref.Group, e.Ref.Resource = object.ParseGroupResource(j.R)
	if err := checkKind(kindKey{resource: e.Ref.Resource, version: j.V, kind: j.K}, j.R); err != nil {
		return e, err
	}
	if err := checkName(j.N); err != nil {
		return e, err
	}
	if j.NS != "" {
		if err := checkSegment("namespace", j.NS); err != nil {
			return e, err
		}
	}
	if len(j.B) != 2 {
		return e, errors.New("b is not a pair")
	}
	e.Block = Span{j.B[0], j.B[1]}
	if e.Block.Offset < int64(len(gzipHeader)) || e.Block.Offset > 1<<60 || e.Block.Length < 1 || e.Block.Length > maxPacked {
		return e, fmt.Errorf("a block at %d of %d bytes cannot be", e.Block.Offset, e.Block.Length)
	}
	if e.Offset < tarBlock || e.Offset%tarBlock != 0 || e.Offset > maxInflated || e.Size < 0 || e.Size > MaxItem {
		return e, fmt.Errorf("a body at %d of %d bytes cannot be", e.Offset, e.Size)
	}
	if len(j.hash) == base64.RawURLEncoding.EncodedLen(len(e.Hash)) {
		n, err := strictBase64.Decode(e.Hash[:], j.hash)
		if err == nil && n == len(e.Hash) {
			return e, nil
		}
	}
	return e, errors.New("h is not a hash")
}
