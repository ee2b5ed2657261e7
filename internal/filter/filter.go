// SPDX-License-Identifier: Apache-2.0

// Package filter decides what a backup or a restore takes in: which types are listed, which
// namespaces count, which objects pass. It also has Velero's validation of the fields that say so.
//
// Nouns: a Filter is the decision of one run; an Inclusion is its verdict on a type; a list is one
// of the spec's lists of names and patterns. A Filter never changes and may be used by many at once.
//
// The rules are Velero's, with one exception: a backup without any filter takes in every
// cluster-scoped type, as Velero's documentation says and its program does not.
//
// Fine are the filters of a resource policy, which package policy reads: a Filter is refined by them.
//
// It does not find what objects need of each other (package relate), and knows nothing of volumes or hooks.
package filter

import (
	"slices"

	"k8s.io/apimachinery/pkg/labels"

	velerov1 "hozon.dev/hozon/api/velero/v1"
	"hozon.dev/hozon/internal/object"
)

// Inclusion is a Filter's verdict on a type.
type Inclusion uint8

const (
	No      Inclusion = iota // not even when something else needs it
	Related                  // only the objects that something else needs
	Yes                      // every object that passes Object
)

func (i Inclusion) String() string { return [...]string{"no", "related", "yes"}[i] }

// Why an object is left out.
const (
	ReasonLabel       = "it has the label " + velerov1.LabelExcludeFromBackup + "=true"
	ReasonNamespace   = "its namespace is not included"
	ReasonTerminating = "it is being terminated"
	ReasonSelector    = "its labels do not match"
)

// Namespace is what a Filter must know of one namespace of the cluster.
type Namespace struct {
	Name   string
	Labels map[string]string
	Active bool // its phase; a namespace that is not is taken in without its Namespace object
}

// Filter is what one run takes in. Made by ForBackup or ForRestore.
type Filter struct {
	namespaces namespaces
	selectors  []labels.Selector // none: all pass; else any must match
	types      func(object.Type) Inclusion
	resource   func(groupResource string) bool
	unresolved []string
	restore    bool

	fine           *fine // nil: no policy has filters
	unserved, idle []string
}

// Type says whether the objects of a type are taken in. Versions do not matter.
func (f *Filter) Type(t object.Type) Inclusion { return f.types(t) }

// Namespace says whether the objects in a namespace are taken in.
func (f *Filter) Namespace(name string) bool { return f.namespaces.match(name) }

// Resource says whether the lists of resources take in a type, whatever its scope and the namespaces: Type without the rules for cluster-scoped types.
func (f *Filter) Resource(group, resource string) bool {
	return f.resource(object.Ref{Group: group, Resource: resource}.GroupResource())
}

// Everywhere says that the user left out no namespace: then a cluster-wide list has nothing
// too much (but for namespaces that carry the exclude label), and cluster-scoped types count too.
func (f *Filter) Everywhere() bool { return f.namespaces.all }

// Namespaces are the namespaces of the cluster that are taken in, sorted; nil for a restore.
func (f *Filter) Namespaces() []string { return f.namespaces.included }

// Literals are the included namespaces that were given by name, in the spec's order.
func (f *Filter) Literals() []string { return f.namespaces.literals }

// Missing are the Literals that the cluster does not have; for a backup each is an error. Nil for a restore.
func (f *Filter) Missing() []string { return f.namespaces.missing }

// Unmatched are the patterns among the included namespaces that fit no namespace of the cluster. Nil for a restore.
func (f *Filter) Unmatched() []string { return f.namespaces.unmatched }

// ExcludedByLabel are the namespaces that carry velero.io/exclude-from-backup=true, sorted: to be
// recorded in the stored spec's excludedNamespaces, as generated.
func (f *Filter) ExcludedByLabel() []string { return f.namespaces.labelled }

// Unresolved are the names in resource lists that fit no served type of their list's scope. They stay in force
// as they are written.
func (f *Filter) Unresolved() []string { return f.unresolved }

// HasSelector says that objects are chosen one by one too, by their labels or names.
func (f *Filter) HasSelector() bool { return len(f.selectors) > 0 || f.fine != nil }

// Selectors are the label selectors, any of which must match; nil: all objects do.
func (f *Filter) Selectors() []labels.Selector { return slices.Clone(f.selectors) }

// Object decides on one object of a type that is Yes; reason says why not. A Namespace that
// does not pass by its labels may still come in as Related, if objects in it do.
func (f *Filter) Object(ref object.Ref, head object.Head) (ok bool, reason string) {
	if ok, reason := f.Related(ref, head); !ok {
		return false, reason
	}
	isNamespace := ref.Group == "" && ref.Resource == "namespaces"
	if isNamespace && !f.namespaces.match(ref.Name) {
		return false, ReasonNamespace
	}
	if rules, ok := f.fine.of(ref, head); ok {
		return rules.decide(ref, head)
	}
	if isNamespace && !f.namespaces.all && !f.restore {
		return true, "" // a subset of namespaces was named: the selector is for what is in them
	}
	if !f.selected(head) {
		return false, ReasonSelector
	}
	return true, ""
}

// Related decides on one object that another one needs, of a type that is Yes or Related: labels
// do not have to match, all else is as in Object.
func (f *Filter) Related(ref object.Ref, head object.Head) (ok bool, reason string) {
	if !f.restore {
		if v, _ := head.Label(velerov1.LabelExcludeFromBackup); v == "true" {
			return false, ReasonLabel
		}
	}
	if ref.Namespace != "" && !f.namespaces.match(ref.Namespace) {
		return false, ReasonNamespace
	}
	if ref.Group == "" && ref.Resource == "namespaces" && slices.Contains(f.namespaces.labelled, ref.Name) {
		return false, ReasonLabel
	}
	if head.Terminating {
		return false, ReasonTerminating
	}
	if rules, ok := f.fine.of(ref, head); ok && !f.restore && !rules.named(ref, head) {
		return false, ReasonName
	}
	return true, ""
}

func (f *Filter) selected(head object.Head) bool { return anyMatches(f.selectors, head) }

// anyMatches says whether one of the selectors fits; without one, everything does.
func anyMatches(selectors []labels.Selector, head object.Head) bool {
	return len(selectors) == 0 || slices.ContainsFunc(selectors, func(s labels.Selector) bool { return s.Matches(headLabels{head}) })
}

// headLabels looks labels up in an object's JSON.
type headLabels struct{ head object.Head }

func (l headLabels) Lookup(key string) (string, bool) { return l.head.Label(key) }

func (l headLabels) Has(key string) bool {
	_, ok := l.head.Label(key)
	return ok
}

func (l headLabels) Get(key string) string {
	v, _ := l.head.Label(key)
	return v
}
