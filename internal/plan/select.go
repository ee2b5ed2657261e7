// SPDX-License-Identifier: Apache-2.0

package plan

import (
	"hozon.dev/hozon/internal/filter"
	"hozon.dev/hozon/internal/object"
)

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
		for _, j := range b.releases[more.Release] {
			if *b.chosen.slot(j) == uint32(j)+1 && b.inclusion(b.Ref(j)) != filter.No {
				b.take(j)
			}
		}
	}
	// A custom resource brings its definition along if the target lacks it.
	if j, ok := b.definitions[b.groupResource(i)]; ok && !b.served(i) && b.inclusion(b.Ref(j)) != filter.No {
		b.take(j)
	}
}
