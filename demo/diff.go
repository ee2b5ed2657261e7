// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"hozon.dev/hozon/internal/object"
)

// change is an object that is not what it was.
type change struct {
	ref   object.Ref
	what  string
	where []object.Difference
}

func (c change) String() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s %s", c.ref, c.what)
	for _, w := range c.where {
		fmt.Fprintf(&b, "\n      %s", w)
	}
	return b.String()
}

// diff compares two snapshots under the declared normalisation, sorted. What the cluster makes by itself, under names and
// with contents of its own, is left out.
func diff(before, after snapshot) []change {
	before, after = numbered(before), numbered(after)
	var changes []change
	for ref, was := range before {
		if _, ok := object.Generated(ref, was.head); ok {
			continue
		}
		is, ok := after[ref]
		if !ok {
			changes = append(changes, change{ref: ref, what: "is gone"})
			continue
		}
		if same, where := object.Same(was.object, is.object, object.SameOptions{}); !same {
			changes = append(changes, change{ref: ref, what: "differs", where: where})
		}
	}
	for ref, is := range after {
		if _, ok := object.Generated(ref, is.head); ok {
			continue
		}
		if _, ok := before[ref]; !ok {
			changes = append(changes, change{ref: ref, what: "is new"})
		}
	}
	slices.SortFunc(changes, func(a, b change) int { return object.Compare(a.ref, b.ref) })
	return changes
}

// numbered renames the pods of Jobs to the numbers that they have in their Job. A restored Job makes its pods anew, under
// other random names; they must be as many, and otherwise as they were.
func numbered(s snapshot) snapshot {
	out := make(snapshot, len(s))
	next := map[object.Ref]int{}
	for _, ref := range slices.SortedFunc(maps.Keys(s), object.Compare) {
		st := s[ref]
		if job := jobOf(ref, st); job != "" {
			key := object.Ref{Namespace: ref.Namespace, Name: job}
			ref.Name = fmt.Sprintf("%s (pod %d)", job, next[key])
			next[key]++
			st.object = st.object.DeepCopy()
			st.object.SetName(ref.Name)
		}
		out[ref] = st
	}
	return out
}

// jobOf is the Job that made the pod, if one did.
func jobOf(ref object.Ref, s state) string {
	if ref.GroupResource() != "pods" {
		return ""
	}
	for _, o := range s.object.GetOwnerReferences() {
		if o.Controller != nil && *o.Controller && o.Kind == "Job" && o.APIVersion == "batch/v1" {
			return o.Name
		}
	}
	return ""
}
