// SPDX-License-Identifier: Apache-2.0

package report

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"io"
	"iter"
	"slices"
	"strings"

	"github.com/klauspost/compress/flate"

	"hozon.dev/hozon/internal/object"
)

// itemChunk is how many bytes of items are packed at a time.
const itemChunk = 1 << 16

// Items is a list of outcomes in little memory: some ten bytes for one with nothing to say. What it is filled with comes out in the same
// order. The zero value is empty; filling it is not safe for concurrent use, reading is. A copy may be read, not filled.
type Items struct {
	n       int
	warned  int
	packed  [][]byte // deflated chunks, each with whole items
	open    []byte   // the chunk that is being filled
	kinds   words[itemKind]
	spaces  words[string]
	deflate *flate.Writer
}

// itemKind is what many outcomes have in common.
type itemKind struct {
	group, resource, kind, version string
	action                         Action
}

// words gives equal values one number.
type words[K comparable] struct {
	all     []K
	numbers map[K]uint64
}

func (w *words[K]) number(k K, keep func(K) K) uint64 {
	if n, ok := w.numbers[k]; ok {
		return n
	}
	if w.numbers == nil {
		w.numbers = map[K]uint64{}
	}
	k = keep(k)
	n := uint64(len(w.all))
	w.all, w.numbers[k] = append(w.all, k), n
	return n
}

func (k itemKind) clone() itemKind {
	return itemKind{strings.Clone(k.group), strings.Clone(k.resource), strings.Clone(k.kind), strings.Clone(k.version), Action(strings.Clone(string(k.action)))}
}

// ItemsOf is a list of these items.
func ItemsOf(items ...Item) Items {
	var l Items
	for _, i := range items {
		l.Add(i)
	}
	return l
}

// Len is the number of items.
func (l *Items) Len() int { return l.n }

// IsZero says that JSON leaves the list out.
func (l Items) IsZero() bool { return l.n == 0 }

// Add appends an item, of which it keeps a copy.
func (l *Items) Add(i Item) {
	k := itemKind{i.Ref.Group, i.Ref.Resource, i.Kind, i.Version, i.Action}
	l.open = binary.AppendUvarint(l.open, l.kinds.number(k, itemKind.clone))
	l.open = binary.AppendUvarint(l.open, l.spaces.number(i.Ref.Namespace, strings.Clone))
	for _, text := range [...]string{i.Ref.Name, i.Reason, i.Warning} {
		l.open = append(binary.AppendUvarint(l.open, uint64(len(text))), text...)
	}
	l.n++
	if i.Warning != "" {
		l.warned++
	}
	if len(l.open) >= itemChunk {
		l.pack()
	}
}

// pack deflates the open chunk. Writing to memory does not fail, and the level is one that there is.
func (l *Items) pack() {
	var out bytes.Buffer
	if l.deflate == nil {
		l.deflate, _ = flate.NewWriter(nil, flate.BestSpeed)
	}
	l.deflate.Reset(&out)
	l.deflate.Write(l.open)
	l.deflate.Close()
	l.packed, l.open = append(l.packed, bytes.Clone(out.Bytes())), l.open[:0]
}

// All yields the items in the order in which they were added.
func (l *Items) All() iter.Seq[Item] {
	return func(yield func(Item) bool) {
		for _, packed := range l.packed {
			chunk, err := io.ReadAll(flate.NewReader(bytes.NewReader(packed)))
			if err != nil {
				panic("report: packed items cannot be read: " + err.Error()) // they were packed here
			}
			if !l.unpack(string(chunk), yield) {
				return
			}
		}
		l.unpack(string(l.open), yield)
	}
}

func (l *Items) unpack(chunk string, yield func(Item) bool) bool {
	for len(chunk) > 0 {
		number, n := uvarint(chunk)
		k := l.kinds.all[number]
		chunk = chunk[n:]
		space, n := uvarint(chunk)
		chunk = chunk[n:]
		i := Item{Kind: k.kind, Version: k.version, Action: k.action}
		i.Ref = object.Ref{Group: k.group, Resource: k.resource, Namespace: l.spaces.all[space]}
		for _, to := range [...]*string{&i.Ref.Name, &i.Reason, &i.Warning} {
			size, n := uvarint(chunk)
			*to, chunk = chunk[n:n+int(size)], chunk[n+int(size):]
		}
		if !yield(i) {
			return false
		}
	}
	return true
}

// uvarint reads what binary.AppendUvarint wrote.
func uvarint(s string) (v uint64, n int) {
	for shift := 0; ; shift += 7 {
		c := s[n]
		n++
		v |= uint64(c&0x7f) << shift
		if c < 0x80 {
			return v, n
		}
	}
}

// MarshalJSON writes the list of all items. Report.Write needs less memory.
func (l Items) MarshalJSON() ([]byte, error) {
	return json.Marshal(slices.AppendSeq([]Item{}, l.All()))
}

// UnmarshalJSON reads a list of items.
func (l *Items) UnmarshalJSON(data []byte) error {
	var items []Item
	if err := json.Unmarshal(data, &items); err != nil {
		return err
	}
	*l = ItemsOf(items...)
	return nil
}
