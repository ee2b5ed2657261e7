// SPDX-License-Identifier: Apache-2.0

// Package policy reads resource policies, the ConfigMap that a Backup's spec.resourcePolicy names, and decides by them what becomes of a volume.
//
// Nouns: Policies are what one ConfigMap says; a Rule is one of its volume policies, conditions and an action; a Volume is what conditions ask of a
// volume; Lists are resources to take in and to leave out beside those of the spec. A Pod is what counts of a pod for its volumes; a Choice says what
// becomes of one of them. Filters, of single kinds and namespace by namespace, are package filter's to apply.
//
// The form is Velero's: one key, YAML, version v1. It is read strictly: each thing that is wrong is said with ConfigMap, key and line, and with what was
// expected there. Of several rules the first that matches counts; all conditions of a rule must hold.
//
// It saves no volume, and does not read the cluster.
package policy

import "hozon.dev/hozon/internal/filter"

// Action says what becomes of a volume.
type Action string

const (
	Skip     Action = "skip"
	FSBackup Action = "fs-backup" // its files are read
	Snapshot Action = "snapshot"
	Custom   Action = "custom" // somebody else takes care of it
)

// Rule is one volume policy.
type Rule struct {
	Where  string // "ConfigMap velero/p, key policy.yaml, line 3"
	Action Action

	conditions []condition
}

type condition func(Volume) bool

// Lists are resources, in names as a spec may have them.
type Lists struct {
	IncludedClusterScoped, ExcludedClusterScoped     []string
	IncludedNamespaceScoped, ExcludedNamespaceScoped []string
}

// Empty says that the lists say nothing.
func (l Lists) Empty() bool {
	return len(l.IncludedClusterScoped)+len(l.ExcludedClusterScoped)+len(l.IncludedNamespaceScoped)+len(l.ExcludedNamespaceScoped) == 0
}

// Policies are what ConfigMaps say. The zero value says nothing.
type Policies struct {
	Rules   []Rule
	Lists   Lists
	Filters filter.Fine
}

// Decide finds the rule for a volume.
func (p Policies) Decide(v Volume) (Rule, bool) {
	for _, r := range p.Rules {
		if r.matches(v) {
			return r, true
		}
	}
	return Rule{}, false
}

func (r Rule) matches(v Volume) bool {
	for _, holds := range r.conditions {
		if !holds(v) {
			return false
		}
	}
	return true
}
