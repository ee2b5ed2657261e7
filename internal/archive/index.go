// SPDX-License-Identifier: Apache-2.0

package archive

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"iter"
	"strconv"

	"hozon.dev/hozon/internal/fail"
)

// maxLine is the length of the longest line of an index, in bytes, with its line feed.
const maxLine = 16 << 10

// Index yields what was written, in the order of the index. It is empty before Close.
func (w *Writer) Index() iter.Seq[IndexEntry] {
	return func(yield func(IndexEntry) bool) {
		w.mu.Lock()
		if w.order == nil && w.spans != nil {
			w.order = w.catalog.sorted()
		}
		order := w.order
		w.mu.Unlock()
		for _, i := range order {
			r := w.catalog.at(i)
			e := w.catalog.entry(r)
			e.Block = w.spans[r.block]
			if !yield(e) {
				return
			}
		}
	}
}

// entry is a record in words, without the block.
func (c *catalog) entry(r *record) IndexEntry {
	k := c.kinds[r.kind]
	return IndexEntry{
		Ref: c.ref(r), Version: k.version, Kind: k.kind, Preferred: k.preferred,
		Offset: int64(r.offset), Size: int64(r.size), Hash: r.hash,
	}
}

// WriteIndex writes the index of an archive that was closed.
func (w *Writer) WriteIndex(dst io.Writer) (IndexSummary, error) {
	w.mu.Lock()
	done := w.spans != nil
	w.mu.Unlock()
	if !done {
		return IndexSummary{}, fail.Errorf(fail.Invalid, "write index: the archive is not complete")
	}
	m := newMember(dst, w.options.Level, w.options.Workers)
	s, err := writeIndex(m, w.Index())
	if err != nil {
		m.abort(err)
		return IndexSummary{}, fmt.Errorf("write index: %w", err)
	}
	for i, span := range m.spans {
		s.Blocks[i].Offset, s.Blocks[i].Length = span.Offset, span.Length
	}
	s.Size = m.offset
	return s, nil
}

func writeIndex(m *member, entries iter.Seq[IndexEntry]) (IndexSummary, error) {
	var s IndexSummary
	var b *block
	for e := range entries {
		if b == nil {
			b = m.take()
			s.Blocks = append(s.Blocks, IndexBlock{First: e.Ref, Version: e.Version})
		}
		b.plain = appendLine(b.plain, e)
		s.Blocks[len(s.Blocks)-1].Lines++
		s.Items++
		if len(b.plain) >= blockSize {
			if _, err := m.put(b); err != nil {
				return s, err
			}
			b = nil
		}
	}
	if b != nil {
		if _, err := m.put(b); err != nil {
			return s, err
		}
	}
	return s, m.close()
}

func appendLine(b []byte, e IndexEntry) []byte {
	b = appendString(append(b, `{"r":`...), e.Ref.GroupResource())
	if e.Ref.Namespace != "" {
		b = appendString(append(b, `,"ns":`...), e.Ref.Namespace)
	}
	b = appendString(append(b, `,"n":`...), e.Ref.Name)
	b = appendString(append(b, `,"v":`...), e.Version)
	b = appendString(append(b, `,"k":`...), e.Kind)
	if e.Preferred {
		b = append(b, `,"p":true`...)
	}
	b = strconv.AppendInt(append(b, `,"b":[`...), e.Block.Offset, 10)
	b = strconv.AppendInt(append(b, ','), e.Block.Length, 10)
	b = strconv.AppendInt(append(b, `],"o":`...), e.Offset, 10)
	b = strconv.AppendInt(append(b, `,"s":`...), e.Size, 10)
	b = append(b, `,"h":"`...)
	b = base64.RawURLEncoding.AppendEncode(b, e.Hash[:])
	return append(b, "\"}\n"...)
}

// appendString appends s, which is UTF-8, as JSON.
func appendString(b []byte, s string) []byte {
	for i := range len(s) {
		if c := s[i]; c < 0x20 || c >= 0x7f || c == '"' || c == '\\' {
			quoted, err := json.Marshal(s)
			if err != nil {
				return append(b, `""`...) // cannot be: json.Marshal takes every string
			}
			return append(b, quoted...)
		}
	}
	return append(append(append(b, '"'), s...), '"')
}
