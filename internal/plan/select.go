// SPDX-License-Identifier: Apache-2.0

package plan

import (
	"hozon.dev/hozon/internal/filter"
	"hozon.dev/hozon/internal/object"
)

// choose picks one entry an object: the version that was preferred at the backup if the target has it, else any that
// the target has, else one that can be written in a version that it has, else the preferred one.
func (b *builder) choose() {
	b.chosen = newFinder(b.Entries)
	for i := range b.Len() {
		slot := b.chosen.slot(i)
		if *slot == 0 || b.rank(i) > b.rank(int(*slot-1)) {
			*slot = uint32(i) + 1
		}
	}
}

func (b *builder) rank(i int) int {
	rank := 0
	switch {
	case b.served(i):
		rank += 4
	case b.conversion(i) != "":
		rank += 2
	}
	if b.records.at(i).flags&preferred != 0 {
		rank++
	}
	return rank
}

// sel marks the entries that the spec takes, and what those need.
func (b *builder) sel() {
	for i := range b.Len() {
		if *b.chosen.slot(i) == uint32(i)+1 && b.wanted(i) {
			b.take(i)
		}
	}
}

// inclusion is the filter's verdict on an object's kind, No if its namespace is not in.
func (b *builder) inclusion(ref object.Ref) filter.Inclusion {
	if ref.Namespace != "" && !b.req.Filter.Namespace(ref.Namespace) {
		return filter.No
	}
	return b.req.Filter.Type(object.Type{Group: ref.Group, Resource: ref.Resource, Namespaced: ref.Namespace != ""})
}

// wanted reports whether the spec takes the object for its own sake. Of Namespaces that are those of the included names.
func (b *builder) wanted(i int) bool {
	ref := b.Ref(i)
	if b.groupResource(i) == "namespaces" && !b.req.Filter.Namespace(ref.Name) {
		return false
	}
	return b.records.at(i).flags&matched != 0 && b.inclusion(ref) == filter.Yes
}

// take selects an entry and, unless it is skipped for a reason of its own, what it needs.
func (b *builder) take(i int) {
	if b.taken[i] {
		return
	}
	b.taken[i] = true
	if b.skip(i) != "" {
		return
	}
	if more := b.More(i); more != nil {
		for _, ref := range more.Needs {
			if j, ok := b.find(ref); ok && b.inclusion(ref) != filter.No {
				b.take(j)
			}
		}
	}
	// A custom resource brings its definition along if the target lacks it.
	if j, ok := b.definitions[b.groupResource(i)]; ok && !b.served(i) && b.inclusion(b.Ref(j)) != filter.No {
		b.take(j)
	}
}
