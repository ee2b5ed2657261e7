// SPDX-License-Identifier: Apache-2.0

package plan

import (
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

// sel marks the entries that the spec takes: by its filters, then what those need, then the namespaces that all need.
func (b *builder) sel() {
	for i := range b.entries {
		e := &b.entries[i]
		if b.byRef[e.Ref] == i && e.Ref.GroupResource() != "namespaces" && e.Matched && b.included(e.Ref) && b.scoped(e.Ref) {
			b.take(i)
		}
	}
	for _, i := range b.byRef {
		e := &b.entries[i]
		if e.Ref.GroupResource() == "namespaces" && e.Matched && b.wantsNamespace(e.Ref.Name) {
			b.take(i)
		}
	}
}

// included applies the filters that hold for everything, also for what is only pulled in.
func (b *builder) included(ref object.Ref) bool {
	if always[ref.GroupResource()] || !b.req.Filter.Resource(ref.Group, ref.Resource) {
		return false
	}
	if ref.Namespace != "" {
		return b.req.Filter.Namespace(ref.Namespace)
	}
	return !isFalse(b.req.Spec.IncludeClusterResources)
}

// scoped is the rule for cluster-scoped objects: with a choice of namespaces, only what is pulled in.
func (b *builder) scoped(ref object.Ref) bool {
	return ref.Namespace != "" || isTrue(b.req.Spec.IncludeClusterResources) || b.req.Filter.Everywhere()
}

// wantsNamespace reports whether a Namespace is restored for its own sake, even if nothing in it is.
func (b *builder) wantsNamespace(name string) bool {
	return b.req.Filter.Resource("", "namespaces") && b.req.Filter.Namespace(name) && !isFalse(b.req.Spec.IncludeClusterResources)
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
			if j, ok := b.byRef[ref]; ok && b.included(ref) {
				b.take(j)
			}
		}
	}
	// A custom resource brings its definition along if the target lacks it.
	if j, ok := b.definitions[e.Ref.GroupResource()]; ok && !b.served(e) && b.included(b.entries[j].Ref) {
		b.take(j)
	}
}

func isTrue(p *bool) bool  { return p != nil && *p }
func isFalse(p *bool) bool { return p != nil && !*p }
