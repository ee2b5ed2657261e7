// SPDX-License-Identifier: Apache-2.0

package plan

import (
	"cmp"
	"maps"
	"slices"

	velerov1 "hozon.dev/hozon/api/velero/v1"
	"hozon.dev/hozon/internal/fail"
	"hozon.dev/hozon/internal/object"
)

// builder is the state of one Build. Everything in it is indexed by the place of the entry.
type builder struct {
	entries []Entry
	req     Request
	facts   Facts

	types       map[string]map[string]bool // group-resource → served versions
	byRef       map[object.Ref]int
	definitions map[string]int // group-resource → the CustomResourceDefinition that brings it
	taken       []bool
	skip        map[int]Step
	order       map[int]order
	owners      map[string]int // UID → entry, of the entries that others name as owner
}

// Build makes the plan. Its errors are fail.Invalid: a request that cannot be meant.
func Build(entries []Entry, req Request, facts Facts) (*Plan, error) {
	b := &builder{
		entries: entries, req: req, facts: facts,
		taken: make([]bool, len(entries)), skip: map[int]Step{}, order: map[int]order{}, owners: map[string]int{},
	}
	if err := checkMapping(req.Spec.NamespaceMapping); err != nil {
		return nil, err
	}
	b.index()
	b.choose()
	b.sel()
	b.judge()
	b.findOwners()
	if err := b.checkMerges(); err != nil {
		return nil, err
	}
	b.sort()
	return b.assemble(), nil
}

// checkMapping refuses a mapping that says nothing or takes two namespaces together.
func checkMapping(mapping map[string]string) error {
	to := map[string]string{}
	for _, from := range slices.Sorted(maps.Keys(mapping)) {
		target := mapping[from]
		switch other, taken := to[target]; {
		case target == "" || from == "":
			return fail.Errorf(fail.Invalid, "namespace mapping %s:%s: both names are needed", from, target)
		case target == from:
			return fail.Errorf(fail.Invalid, "namespace mapping %s:%s maps a namespace onto itself", from, target)
		case taken:
			return fail.Errorf(fail.Invalid, "namespace mappings %s:%s and %s:%s would merge two namespaces into one", other, target, from, target)
		}
		to[target] = from
	}
	return nil
}

// checkMerges refuses a mapping onto a namespace that is itself restored under its own name.
func (b *builder) checkMerges() error {
	sources := map[string]string{}
	for i := range b.entries {
		ns := b.entries[i].Ref.Namespace
		if _, skipped := b.skip[i]; !b.taken[i] || skipped || ns == "" {
			continue
		}
		target := b.namespace(ns)
		if other, ok := sources[target]; ok && other != ns {
			return fail.Errorf(fail.Invalid, "namespaces %s and %s would both be restored into %s; map or exclude one of them",
				min(ns, other), max(ns, other), target)
		}
		sources[target] = ns
	}
	return nil
}

func (b *builder) namespace(ns string) string {
	if to, ok := b.req.Spec.NamespaceMapping[ns]; ok {
		return to
	}
	return ns
}

// target is the object's name in the target.
func (b *builder) target(ref object.Ref) object.Ref {
	if ref.GroupResource() == "namespaces" {
		ref.Name = b.namespace(ref.Name)
	}
	ref.Namespace = b.namespace(ref.Namespace)
	return ref
}

func (b *builder) index() {
	b.types = map[string]map[string]bool{}
	for _, t := range b.facts.Types {
		gr := t.GroupResource()
		if b.types[gr] == nil {
			b.types[gr] = map[string]bool{}
		}
		b.types[gr][t.Version] = true
	}
	b.definitions = map[string]int{}
	for i := range b.entries {
		if more := b.entries[i].Traits.More; more != nil && more.Defines != "" {
			b.definitions[more.Defines] = i
		}
	}
}

// served reports whether the target has the entry's kind in the entry's version.
func (b *builder) served(e *Entry) bool { return b.types[e.Ref.GroupResource()][e.Version] }

// assemble puts what is left into stages, in an order that depends on nothing but the entries.
func (b *builder) assemble() *Plan {
	p := &Plan{}
	needed := map[string]bool{}
	var live []int
	for i := range b.entries {
		if !b.taken[i] {
			continue
		}
		if step, ok := b.skip[i]; ok {
			p.Skips = append(p.Skips, step)
			continue
		}
		live = append(live, i)
		if ns := b.entries[i].Ref.Namespace; ns != "" {
			needed[ns] = true
		}
	}
	b.unserved(p)
	made := b.makeNamespaces(&live, needed)
	slices.SortFunc(live, func(i, j int) int {
		return cmp.Or(b.order[i].compare(b.order[j]), object.Compare(b.entries[i].Ref, b.entries[j].Ref))
	})
	for len(live) > 0 {
		o := b.order[live[0]]
		n := slices.IndexFunc(live, func(i int) bool { return b.order[i] != o })
		if n < 0 {
			n = len(live)
		}
		s := Stage{Level: o.level, Depth: o.depth, Steps: make([]Step, n)}
		for k, i := range live[:n] {
			s.Steps[k] = b.step(i)
		}
		p.Stages, live = append(p.Stages, s), live[n:]
	}
	addNamespaces(p, made)
	slices.SortFunc(p.Skips, func(x, y Step) int {
		return object.Compare(b.entries[x.Item].Ref, b.entries[y.Item].Ref)
	})
	return p
}

func (b *builder) step(i int) Step {
	e := &b.entries[i]
	s := Step{Item: i, Target: b.target(e.Ref), Owned: b.linked(e)}
	if j, ok := b.owners[e.Traits.UID]; ok && j == i {
		s.Owns = true
	}
	if e.Ref.GroupResource() == "persistentvolumeclaims" {
		s.Reprovision = b.reprovisions(e)
	}
	return s
}

// makeNamespaces takes in the saved Namespaces of everything that is restored, also past all filters, and returns the names
// of those that the backup does not hold.
func (b *builder) makeNamespaces(live *[]int, needed map[string]bool) []string {
	var missing []string
	for _, ns := range slices.Sorted(maps.Keys(needed)) {
		i, ok := b.byRef[object.Ref{Resource: "namespaces", Name: ns}]
		switch {
		case !ok:
			missing = append(missing, b.namespace(ns))
		case !b.taken[i]:
			b.order[i] = order{level: Namespaces}
			*live = append(*live, i)
		}
	}
	return missing
}

func addNamespaces(p *Plan, names []string) {
	if len(names) == 0 {
		return
	}
	at := slices.IndexFunc(p.Stages, func(s Stage) bool { return s.Level >= Namespaces })
	if at < 0 {
		at = len(p.Stages)
	}
	if at == len(p.Stages) || p.Stages[at].Level != Namespaces {
		p.Stages = slices.Insert(p.Stages, at, Stage{Level: Namespaces})
	}
	for _, name := range names {
		p.Stages[at].Steps = append(p.Stages[at].Steps, Step{Item: -1, Target: object.Ref{Resource: "namespaces", Name: name}})
	}
}

// unserved sums up the kinds that the target does not have.
func (b *builder) unserved(p *Plan) {
	counts := map[Unserved]int{}
	for _, s := range p.Skips {
		if e := &b.entries[s.Item]; !b.available(e) && s.Warning {
			key := Unserved{GroupResource: e.Ref.GroupResource(), Version: e.Version, Other: b.otherVersion(e)}
			counts[key]++
		}
	}
	for key, n := range counts {
		key.Objects = n
		p.Unserved = append(p.Unserved, key)
	}
	slices.SortFunc(p.Unserved, func(x, y Unserved) int {
		return cmp.Or(cmp.Compare(x.GroupResource, y.GroupResource), cmp.Compare(x.Version, y.Version))
	})
}

// Updates reports whether the spec asks for existing objects to be brought to their saved state.
func Updates(spec velerov1.RestoreSpec) bool {
	return spec.ExistingResourcePolicy == velerov1.PolicyTypeUpdate
}
