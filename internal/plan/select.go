// SPDX-License-Identifier: Apache-2.0

package plan

import (
	"hozon.dev/hozon/internal/filter"
	"hozon.dev/hozon/internal/object"
)

// choose picks one entry an object: the version that was preferred at the backup if the target has it, else any that
// the target has, else the preferred one. byRef maps each object to its choice.
func (b *builder) choose() {
	b.byRef = make(map[object.Ref]int, len(b.entries))
	for i := range b.entries {
		e := &b.entries[i]
		j, dup := b.byRef[e.Ref]
		if !dup || b.rank(e) > b.rank(&b.entries[j]) {
			b.byRef[e.Ref] = i
		}
	}
}

func (b *builder) rank(e *Entry) int {
	rank := 0
	if b.served(e) {
		rank += 2
	}
	if e.Preferred {
		rank++
	}
	return rank
}

// sel marks the entries that the spec takes, and what those need.
func (b *builder) sel() {
	for i := range b.entries {
		if e := &b.entries[i]; b.byRef[e.Ref] == i && b.chosen(e) {
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

// chosen reports whether the spec takes the object for its own sake. Of Namespaces that are those of the included names.
func (b *builder) chosen(e *Entry) bool {
	if e.Ref.GroupResource() == "namespaces" && !b.req.Filter.Namespace(e.Ref.Name) {
		return false
	}
	return e.Matched && b.inclusion(e.Ref) == filter.Yes
}

// take selects an entry and, unless it is skipped for a reason of its own, what it needs.
func (b *builder) take(i int) {
	if b.taken[i] {
		return
	}
	b.taken[i] = true
	e := &b.entries[i]
	if e.Traits.Skip != "" {
		return
	}
	if more := e.Traits.More; more != nil {
		for _, ref := range more.Needs {
			if j, ok := b.byRef[ref]; ok && b.inclusion(ref) != filter.No {
				b.take(j)
			}
		}
	}
	// A custom resource brings its definition along if the target lacks it.
	if j, ok := b.definitions[e.Ref.GroupResource()]; ok && !b.served(e) && b.inclusion(b.entries[j].Ref) != filter.No {
		b.take(j)
	}
}
