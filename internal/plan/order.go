// SPDX-License-Identifier: Apache-2.0

package plan

import (
	"cmp"

	"hozon.dev/hozon/internal/plan/rule"
)

// order is an object's place: a level, and within it how many owners come first.
type order struct {
	level Level
	depth int
}

func (o order) compare(p order) int {
	return cmp.Or(cmp.Compare(o.level, p.level), cmp.Compare(o.depth, p.depth))
}

func (o order) next() order { return order{o.level, o.depth + 1} }

func later(o, p order) order {
	if o.compare(p) < 0 {
		return p
	}
	return o
}

// linked reports whether the object has references that are not left to a controller.
func (b *builder) linked(e *Entry) bool {
	for _, o := range e.Traits.Owners {
		if !rule.Adopts(e.Ref, o) {
			return true
		}
	}
	return false
}

// findOwners maps the UIDs that restored objects name as owners to the restored entries that have them.
func (b *builder) findOwners() {
	named := map[string]bool{}
	for i := range b.entries {
		if !b.live(i) {
			continue
		}
		e := &b.entries[i]
		for _, o := range e.Traits.Owners {
			if o.UID != "" && !rule.Adopts(e.Ref, o) {
				named[o.UID] = true
			}
		}
	}
	for i := range b.entries {
		if uid := b.entries[i].Traits.UID; b.live(i) && named[uid] {
			b.owners[uid] = i
		}
	}
}

func (b *builder) live(i int) bool {
	_, skipped := b.skip[i]
	return b.taken[i] && !skipped
}

// sort gives every restored object its place.
func (b *builder) sort() {
	visiting := map[int]bool{}
	for i := range b.entries {
		if b.live(i) {
			b.place(i, visiting)
		}
	}
	b.postponeAllocations()
}

// place puts an object behind its owners. What everything else waits for (definitions, namespaces, cluster-wide
// prerequisites) does not wait for an owner: its references are linked when the owner is there.
func (b *builder) place(i int, visiting map[int]bool) order {
	if o, ok := b.order[i]; ok {
		return o
	}
	e := &b.entries[i]
	o := order{level: levelOf(e)}
	if o.level <= Prerequisites || visiting[i] {
		if !visiting[i] {
			b.order[i] = o
		}
		return o
	}
	visiting[i] = true
	for _, ref := range e.Traits.Owners {
		if j, ok := b.owners[ref.UID]; ok && j != i && !rule.Adopts(e.Ref, ref) {
			o = later(o, b.place(j, visiting).next())
		}
	}
	delete(visiting, i)
	b.order[i] = o
	return o
}

// postponeAllocations puts Services that are given a node port behind all that keep theirs, wherever their owners put those.
func (b *builder) postponeAllocations() {
	var last order
	for i, o := range b.order {
		if more := b.entries[i].Traits.More; more != nil && more.FixedPorts {
			last = later(last, o)
		}
	}
	if last.compare(order{level: Services}) < 0 {
		return
	}
	for i, o := range b.order {
		if more := b.entries[i].Traits.More; more != nil && more.Allocates && !more.FixedPorts {
			b.order[i] = later(o, last.next())
		}
	}
}
