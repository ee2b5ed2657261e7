// SPDX-License-Identifier: Apache-2.0

package plan

import (
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
	// Templates are the hashes of the pod templates (rule.TemplateHash) of the workloads that exist, by their names there.
	Templates map[object.Ref]uint64
}

// Request is what is asked for.
type Request struct {
	Spec   velerov1.RestoreSpec
	Filter *filter.Filter // made of Spec
}

// Step is one object to make.
type Step struct {
	Item   int        // place of its entry; -1 for a namespace that is needed and not in the backup
	Target object.Ref // in the target's names
	Reason string     // why it is skipped
	// Warning says that the skip is a loss somebody should look at.
	Warning     bool
	Reprovision bool // a claim that asks for a new volume
	Owned       bool // has owners that its references are to be linked to
	Owns        bool // others are linked to it
}

// Stage is a set of steps that do not wait for each other. When all are done, what the Level asks for is waited for.
type Stage struct {
	Level Level
	Depth int // how many owners of the same level come first
	Steps []Step
}

// Plan is a whole restore.
type Plan struct {
	Stages []Stage
	Skips  []Step // in the order of object.Compare of their entries
	// Unserved are the kinds that the target does not have, sorted, with the number of objects left out.
	Unserved []Unserved
}

// Unserved is a kind that the target does not have.
type Unserved struct {
	GroupResource string
	Version       string
	Other         string // a version of it that the target has; "" if none
	Objects       int
}

// Steps is the number of objects that the plan makes.
func (p *Plan) Steps() int {
	n := 0
	for _, s := range p.Stages {
		n += len(s.Steps)
	}
	return n
}
