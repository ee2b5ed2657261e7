// SPDX-License-Identifier: Apache-2.0

package plan

import (
	"cmp"
	"maps"
	"slices"

	velerov1 "hozon.dev/hozon/api/velero/v1"
	"hozon.dev/hozon/internal/fail"
	"hozon.dev/hozon/internal/object"
	"hozon.dev/hozon/internal/plan/rule"
)

// builder is the state of one Build.
type builder struct {
	*Entries
	plan  *Plan
	req   Request
	facts Facts

	types       map[string]map[string]bool // group-resource → served versions
	chosen      *finder                    // one entry an object
	favourites  map[string]string          // group-resource → the version that the target prefers
	releases    map[string][]int           // Helm's releases → its records of them
	definitions map[string]int             // group-resource → the CustomResourceDefinition that brings it
	taken       []bool                     // of each entry
	left        map[int]verdict            // entries that are taken and left out
	places      []order                    // of each entry
	owning      map[uid]int                // of the entries that others name as owner
}

// Build makes the plan. Its errors are fail.Invalid: a request that cannot be meant. The entries must not change any more.
func Build(entries *Entries, req Request, facts Facts) (*Plan, error) {
	b := &builder{
		Entries: entries, req: req, facts: facts, plan: &Plan{entries: entries, mapping: req.Spec.NamespaceMapping, clones: req.Clones, converted: map[uint32]string{}},
		taken: make([]bool, entries.Len()), left: map[int]verdict{}, places: make([]order, entries.Len()), owning: map[uid]int{},
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
	for i := range b.Len() {
		ns := b.Ref(i).Namespace
		if ns == "" || !b.live(i) {
			continue
		}
		target := b.plan.namespace(ns)
		if other, ok := sources[target]; ok && other != ns {
			return fail.Errorf(fail.Invalid, "namespaces %s and %s would both be restored into %s; map or exclude one of them",
				min(ns, other), max(ns, other), target)
		}
		sources[target] = ns
	}
	return nil
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
	b.definitions, b.releases = map[string]int{}, map[string][]int{}
	for i := range b.Len() {
		if more := b.More(i); more != nil && more.Defines != "" {
			b.definitions[more.Defines] = i
		}
		if release := rule.RecordOf(b.Ref(i)); release != "" {
			b.releases[release] = append(b.releases[release], i)
		}
	}
}

// served reports whether the target has the entry's kind in the entry's version.
func (b *builder) served(i int) bool { return b.types[b.groupResource(i)][b.Version(i)] }

// find returns the entry that was chosen for an object.
func (b *builder) find(ref object.Ref) (int, bool) {
	return b.chosen.find(ref.GroupResource(), ref.Namespace, ref.Name)
}

// assemble puts what is left into stages, in an order that depends on nothing but the entries.
func (b *builder) assemble() *Plan {
	p := b.plan
	needed := map[string]bool{}
	var live []item
	for i := range b.Len() {
		if !b.taken[i] {
			continue
		}
		if v, ok := b.left[i]; ok {
			p.skips = append(p.skips, skip{v, uint32(i)})
			continue
		}
		live = append(live, item{entry: uint32(i)})
		if ns := b.Ref(i).Namespace; ns != "" {
			needed[ns] = true
		}
	}
	b.unserved()
	missing := b.makeNamespaces(&live, needed)
	slices.SortFunc(live, func(x, y item) int {
		return cmp.Or(b.places[x.entry].compare(b.places[y.entry]), b.compare(int(x.entry), int(y.entry)))
	})
	for len(live) > 0 {
		o := b.places[live[0].entry]
		n := slices.IndexFunc(live, func(it item) bool { return b.places[it.entry] != o })
		if n < 0 {
			n = len(live)
		}
		for k := range live[:n] {
			live[k].flags = b.flags(int(live[k].entry))
		}
		p.Stages, live = append(p.Stages, Stage{Level: o.level, Depth: int(o.depth), plan: p, items: live[:n:n]}), live[n:]
	}
	p.addNamespaces(missing)
	slices.SortFunc(p.skips, func(x, y skip) int { return b.compare(int(x.entry), int(y.entry)) })
	return p
}

func (b *builder) flags(i int) uint8 {
	var flags uint8
	if b.linked(i) {
		flags |= owned
	}
	if j, ok := b.owning[b.records.at(i).uid]; ok && j == i {
		flags |= owns
	}
	if b.groupResource(i) == "persistentvolumeclaims" && b.reprovisions(i) {
		flags |= reprovision
	}
	return flags
}

// makeNamespaces takes in the saved Namespaces of everything that is restored, also past all filters, and returns the names
// of those that the backup does not hold.
func (b *builder) makeNamespaces(live *[]item, needed map[string]bool) []string {
	var missing []string
	for _, ns := range slices.Sorted(maps.Keys(needed)) {
		i, ok := b.chosen.find("namespaces", "", ns)
		switch {
		case !ok:
			missing = append(missing, b.plan.namespace(ns))
		case !b.taken[i]:
			b.places[i] = order{placed: true, level: Namespaces}
			*live = append(*live, item{entry: uint32(i)})
		}
	}
	return missing
}

func (p *Plan) addNamespaces(names []string) {
	if len(names) == 0 {
		return
	}
	at := slices.IndexFunc(p.Stages, func(s Stage) bool { return s.Level >= Namespaces })
	if at < 0 {
		at = len(p.Stages)
	}
	if at == len(p.Stages) || p.Stages[at].Level != Namespaces {
		p.Stages = slices.Insert(p.Stages, at, Stage{Level: Namespaces, plan: p})
	}
	p.Stages[at].bare = names
}

// unserved sums up the kinds that the target does not have.
func (b *builder) unserved() {
	p, counts := b.plan, map[Unserved]int{}
	for _, s := range p.skips {
		if i := int(s.entry); s.warning && !b.available(i) {
			key := Unserved{GroupResource: b.groupResource(i), Version: b.Version(i), Other: b.otherVersion(i)}
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
	return spec.ExistingResourcePolicy == velerov1.PolicyTypeUpdate || spec.ExistingResourcePolicy == velerov1.PolicyTypeRecreate
}
