// SPDX-License-Identifier: Apache-2.0

package plan

import (
	"iter"
	"slices"

	velerov1 "hozon.dev/hozon/api/velero/v1"
	"hozon.dev/hozon/internal/filter"
	"hozon.dev/hozon/internal/object"
	"hozon.dev/hozon/internal/plan/rule"
)

// Entry is what one look at an item of the archive found out. One object may have several, one a version.
type Entry struct {
	Ref       object.Ref
	Version   string
	Kind      string
	Preferred bool // Version was the preferred one where the backup was made
	Matched   bool // the spec's label selectors take the object
	Traits    rule.Traits
}

// Facts are what the plan has to know of the target.
type Facts struct {
	Types []object.Type // every version that it serves
	// Templates are the workloads that exist, by their names there.
	Templates map[object.Ref]Template
	// Renames are the custom resources ("gears.example.com") whose versions differ in nothing but their name: the target converts none.
	Renames map[string]bool
	// Aggregated are the versions of groups that other servers than the API server answer for.
	Aggregated []GroupVersion
}

// Template is what makes the pods of a workload: hashes by rule.Workload.
type Template struct{ Template, Selector uint64 }

// Request is what is asked for.
type Request struct {
	Spec   velerov1.RestoreSpec
	Filter *filter.Filter // made of Spec
	// Volumes are the names of volumes that are made anew out of snapshots: they are restored whatever their reclaim policy.
	Volumes map[string]bool
	// Anew are the names of volumes whose bytes come back in a new volume, which their claim provisions: they are not restored themselves.
	Anew map[string]bool
	// Clones are the new names of volumes whose own is taken.
	Clones map[string]string
	// Versions choose among those of an object that was saved in several.
	Versions Versions
	// Priorities are what the user wants first and last, of kinds that the plan has no place for.
	Priorities Priorities
}

// Step is one object to make, or to leave out.
type Step struct {
	Item   int        // place of its entry; -1 for a namespace that is needed and not in the backup
	Target object.Ref // in the target's names
	Reason string     // why it is skipped
	// Warning says that the skip is a loss somebody should look at.
	Warning     bool
	Reprovision bool // a claim that asks for a new volume
	// Convert is the version that the object is made in, if the target does not serve the saved one; else "".
	Convert string
	Owned   bool // has owners that its references are to be linked to
	Owns    bool // others are linked to it
}

// Stage is a set of steps that do not wait for each other. When all are done, what the Level asks for is waited for.
type Stage struct {
	Level Level
	Depth int // how many owners of the same level come first

	plan  *Plan
	items []item
	bare  []string // namespaces that are needed and not in the backup
}

// item is a step in little memory.
type item struct {
	entry uint32
	flags uint8
}

const (
	reprovision = 1 << iota
	owned
	owns
)

// Len is the number of steps.
func (s *Stage) Len() int { return len(s.items) + len(s.bare) }

// Item is the place of the entry that step i is about; -1 for a namespace that is not in the backup.
func (s *Stage) Item(i int) int {
	if i >= len(s.items) {
		return -1
	}
	return int(s.items[i].entry)
}

// Step is number i, in the order of object.Compare of the entries; namespaces without one come last.
func (s *Stage) Step(i int) Step {
	if i >= len(s.items) {
		return Step{Item: -1, Target: object.Ref{Resource: "namespaces", Name: s.bare[i-len(s.items)]}}
	}
	it := s.items[i]
	return Step{
		Item: int(it.entry), Target: s.plan.target(s.plan.entries.Ref(int(it.entry))),
		Convert:     s.plan.converted[s.plan.entries.records.at(int(it.entry)).kind],
		Reprovision: it.flags&reprovision != 0, Owned: it.flags&owned != 0, Owns: it.flags&owns != 0,
	}
}

// Steps yields all steps in order.
func (s *Stage) Steps() iter.Seq[Step] {
	return func(yield func(Step) bool) {
		for i := range s.Len() {
			if !yield(s.Step(i)) {
				return
			}
		}
	}
}

// Plan is a whole restore. It holds on to the entries that it was made of.
type Plan struct {
	Stages []Stage
	// Unserved are the kinds that the target does not have, sorted, with the number of objects left out.
	Unserved []Unserved

	entries *Entries
	mapping map[string]string // of namespaces
	clones  map[string]string // of volumes
	// converted has the version that objects of a kind (an index of the entries' kinds) are made in, where that is not the saved one.
	converted map[uint32]string
	skips     []skip // in the order of object.Compare of their entries
}

// skip is an entry that is left out.
type skip struct {
	verdict
	entry uint32
}

// verdict says why an entry is left out; without a reason it is not.
type verdict struct {
	reason  string
	warning bool
}

// Skips yields what is left out, in the order of object.Compare of the entries.
func (p *Plan) Skips() iter.Seq[Step] {
	return func(yield func(Step) bool) {
		for _, s := range p.skips {
			step := Step{Item: int(s.entry), Target: p.target(p.entries.Ref(int(s.entry))), Reason: s.reason, Warning: s.warning}
			if !yield(step) {
				return
			}
		}
	}
}

// Only is a stage of those of the plan's steps that are about these entries, in the plan's order. It has no level of its own.
func (p *Plan) Only(entries []int) *Stage {
	slices.Sort(entries)
	only := &Stage{plan: p}
	for i := range p.Stages {
		for _, it := range p.Stages[i].items {
			if _, ok := slices.BinarySearch(entries, int(it.entry)); ok {
				only.items = append(only.items, it)
			}
		}
	}
	return only
}

// Within are the plan's stages, with only the steps that are about these entries.
func (p *Plan) Within(entries []int) []Stage {
	slices.Sort(entries)
	var stages []Stage
	for i := range p.Stages {
		part := Stage{Level: p.Stages[i].Level, Depth: p.Stages[i].Depth, plan: p}
		for _, it := range p.Stages[i].items {
			if _, ok := slices.BinarySearch(entries, int(it.entry)); ok {
				part.items = append(part.items, it)
			}
		}
		if len(part.items) > 0 {
			stages = append(stages, part)
		}
	}
	return stages
}

// target is an object's name in the target.
func (p *Plan) target(ref object.Ref) object.Ref {
	if ref.Group == "" && ref.Resource == "namespaces" {
		ref.Name = p.namespace(ref.Name)
	}
	if to, ok := p.clones[ref.Name]; ok && ref.Group == "" && ref.Resource == "persistentvolumes" {
		ref.Name = to
	}
	ref.Namespace = p.namespace(ref.Namespace)
	return ref
}

func (p *Plan) namespace(ns string) string {
	if to, ok := p.mapping[ns]; ok {
		return to
	}
	return ns
}

// Unserved is a kind that the target does not have.
type Unserved struct {
	GroupResource string
	Version       string
	Other         string // a version of it that the target has; "" if none
	Objects       int
}
