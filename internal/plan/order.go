// SPDX-License-Identifier: Apache-2.0

package plan

import (
	"cmp"

	"hozon.dev/hozon/internal/plan/rule"
)

// order is an object's place: a level, and within it how many owners come first.
type order struct {
	depth  int32
	level  Level
	placed bool // not to be worked out any more
}

func (o order) compare(p order) int {
	return cmp.Or(cmp.Compare(o.level, p.level), cmp.Compare(o.depth, p.depth))
}

func (o order) next() order { return order{o.depth + 1, o.level, o.placed} }

func later(o, p order) order {
	if o.compare(p) < 0 {
		return p
	}
	return o
}

// linked reports whether the object has references that are not left to a controller.
func (b *builder) linked(i int) bool {
	for o := range b.ownersOf(i) {
		if !rule.Adopts(b.Ref(i), o) {
			return true
		}
	}
	return false
}

// findOwners maps the UIDs that restored objects name as owners to the restored entries that have them.
func (b *builder) findOwners() {
	named := map[uid]bool{}
	for i := range b.Len() {
		if !b.live(i) {
			continue
		}
		for o, id := range b.ownersOf(i) {
			if id != (uid{}) && !rule.Adopts(b.Ref(i), o) {
				named[id] = true
			}
		}
	}
	for i := range b.Len() {
		if id := b.records.at(i).uid; b.live(i) && named[id] {
			b.owning[id] = i
		}
	}
}

// live reports whether an entry is restored.
func (b *builder) live(i int) bool {
	_, skipped := b.left[i]
	return b.taken[i] && !skipped
}

// sort gives every restored object its place.
func (b *builder) sort() {
	visiting := map[int]bool{}
	for i := range b.Len() {
		if b.live(i) {
			b.place(i, visiting)
		}
	}
	b.postponeAllocations()
}

// place puts an object behind its owners. What everything else waits for (definitions, namespaces, cluster-wide
// prerequisites) does not wait for an owner: its references are linked when the owner is there.
func (b *builder) place(i int, visiting map[int]bool) order {
	if o := b.places[i]; o.placed {
		return o
	}
	o := b.levelOf(i)
	o.placed = true
	if o.level <= Prerequisites || visiting[i] {
		if !visiting[i] {
			b.places[i] = o
		}
		return o
	}
	visiting[i] = true
	for ref, id := range b.ownersOf(i) {
		if j, ok := b.owning[id]; ok && j != i && !rule.Adopts(b.Ref(i), ref) {
			o = later(o, b.place(j, visiting).next())
		}
	}
	delete(visiting, i)
	b.places[i] = o
	return o
}

// postponeAllocations puts Services that are given a node port behind all that keep theirs, wherever their owners put those.
func (b *builder) postponeAllocations() {
	last := order{placed: true}
	for i, o := range b.places {
		if more := b.More(i); o.placed && more != nil && more.FixedPorts {
			last = later(last, o)
		}
	}
	if last.compare(order{level: Services}) < 0 {
		return
	}
	for i, o := range b.places {
		if more := b.More(i); o.placed && more != nil && more.Allocates && !more.FixedPorts {
			b.places[i] = later(o, last.next())
		}
	}
}
