// SPDX-License-Identifier: Apache-2.0

package plan

import (
	"encoding/hex"
	"hash/maphash"
	"strings"
)

const (
	chunk      = 1 << 10 // elements of a list that are allocated at a time
	arenaChunk = 1 << 16 // bytes
)

// list grows without copying what is in it.
type list[T any] struct {
	chunks []*[chunk]T
	n      int
}

func (l *list[T]) add(v T) {
	if l.n%chunk == 0 {
		l.chunks = append(l.chunks, new([chunk]T))
	}
	l.chunks[l.n/chunk][l.n%chunk] = v
	l.n++
}

func (l *list[T]) at(i int) *T { return &l.chunks[i/chunk][i%chunk] }

// arena keeps many short texts in few allocations.
type arena struct{ b strings.Builder }

func (a *arena) keep(s string) string {
	if a.b.Cap()-a.b.Len() < len(s) {
		a.b = strings.Builder{}
		a.b.Grow(max(arenaChunk, len(s)))
	}
	at := a.b.Len()
	a.b.WriteString(s)
	return a.b.String()[at:]
}

// table gives equal values one number.
type table[K comparable] struct {
	all     []K
	numbers map[K]uint32
}

// number is that of k. A value that is new is kept as keep makes it.
func (t *table[K]) number(k K, keep func(K) K) uint32 {
	if n, ok := t.numbers[k]; ok {
		return n
	}
	if t.numbers == nil {
		t.numbers = map[K]uint32{}
	}
	k = keep(k)
	n := uint32(len(t.all))
	t.all = append(t.all, k)
	t.numbers[k] = n
	return n
}

// uid is a UID in 16 bytes. Two are equal if their texts are.
type uid [16]byte

// uidTable keeps the texts that are no UUIDs as the API server writes them. Their uid begins with eight bytes of 0xff, and none of a UUID does.
type uidTable struct{ odd table[string] }

const oddMark = "\xff\xff\xff\xff\xff\xff\xff\xff"

func (t *uidTable) pack(s string) uid {
	var u uid
	if s == "" {
		return u
	}
	if parseUUID(&u, s) && string(u[:8]) != oddMark && u != (uid{}) {
		return u
	}
	n := t.odd.number(s, strings.Clone)
	u = uid{}
	copy(u[:], oddMark)
	u[12], u[13], u[14], u[15] = byte(n>>24), byte(n>>16), byte(n>>8), byte(n)
	return u
}

func (t *uidTable) text(u uid) string {
	switch {
	case u == uid{}:
		return ""
	case string(u[:8]) == oddMark:
		return t.odd.all[uint32(u[12])<<24|uint32(u[13])<<16|uint32(u[14])<<8|uint32(u[15])]
	}
	var s [36]byte
	for i, part := range uuidParts {
		hex.Encode(s[part.text:], u[part.from:part.to])
		if i > 0 {
			s[part.text-1] = '-'
		}
	}
	return string(s[:])
}

// uuidParts are where the bytes of a UUID stand in its text.
var uuidParts = [...]struct{ text, from, to int }{{0, 0, 4}, {9, 4, 6}, {14, 6, 8}, {19, 8, 10}, {24, 10, 16}}

// parseUUID reads the one form that text writes.
func parseUUID(u *uid, s string) bool {
	if len(s) != 36 || s[8] != '-' || s[13] != '-' || s[18] != '-' || s[23] != '-' || strings.ContainsAny(s, "ABCDEF") {
		return false
	}
	for _, part := range uuidParts {
		if _, err := hex.Decode(u[part.from:part.to], []byte(s[part.text:part.text+2*(part.to-part.from)])); err != nil {
			return false
		}
	}
	return true
}

// finder finds entries by their names: 4 to 11 bytes for each.
type finder struct {
	entries *Entries
	seed    maphash.Seed
	slots   []uint32 // open addressing; entry + 1
}

func newFinder(entries *Entries) *finder {
	size := 16
	for size*3 < entries.Len()*4 {
		size *= 2
	}
	return &finder{entries: entries, seed: maphash.MakeSeed(), slots: make([]uint32, size)}
}

// probe returns the slot of an entry of that name, or the empty slot where it belongs.
func (f *finder) probe(group, space uint32, name string) int {
	mask := len(f.slots) - 1
	h := maphash.String(f.seed, name) ^ (uint64(group)<<32|uint64(space))*0x9e3779b97f4a7c15
	for i := int(h^h>>32) & mask; ; i = (i + 1) & mask {
		if f.slots[i] == 0 {
			return i
		}
		r := f.entries.records.at(int(f.slots[i] - 1))
		if r.space == space && f.entries.groups[r.kind].first == group && r.name == name {
			return i
		}
	}
}

// slot is where the number + 1 of the entry stands that is chosen among those of the same name as i; 0: none yet.
func (f *finder) slot(i int) *uint32 {
	r := f.entries.records.at(i)
	return &f.slots[f.probe(f.entries.groups[r.kind].first, r.space, r.name)]
}

// find returns the chosen entry of that name.
func (f *finder) find(groupResource, namespace, name string) (int, bool) {
	group, ok := f.entries.firsts[groupResource]
	if !ok {
		return 0, false
	}
	space, ok := f.entries.spaces.numbers[namespace]
	if !ok {
		return 0, false
	}
	n := f.slots[f.probe(group, space, name)]
	return int(n) - 1, n > 0
}
