// SPDX-License-Identifier: Apache-2.0

package relate

import (
	"strings"

	"hozon.dev/hozon/internal/object"
)

// late is what a Set knows of objects that went by and were not taken, and that a claim which is taken may need all the same (Helm's records are in releases): the pods that
// mount it, and the other claims of its group. They are listed before it is known that they are needed.
type late struct {
	taken   map[object.Ref]struct{}     // claims, volumes and PriorityClasses
	fresh   []object.Ref                // taken claims that were not asked about
	mounts  map[object.Ref][]object.Ref // claim → running pods that mount it
	claims  map[object.Ref][]object.Ref // such a pod → its claims
	passed  map[object.Ref]string       // claim → its group, "" if it has none
	members map[group][]object.Ref      // claims that were not taken
	groups  map[object.Ref]group        // of taken claims
	wanted  []object.Ref                // needs that came up late
	open    bool                        // needs that come up now are late
}

// group is the claims of one namespace whose snapshots are taken together.
type group struct{ namespace, value string }

// Passes says whether Pass has to be told of an object.
func Passes(ref object.Ref) bool {
	return kindOf(ref) == pods || kindOf(ref) == claims || isRecord(ref)
}

// Pass takes note of an object that is allowed and was not taken. A body that does not decode is fail.Corrupt.
func (s *Set) Pass(ref object.Ref, head object.Head, body []byte) error {
	l := &s.late
	if isRecord(ref) {
		s.helm.pass(ref, head)
	}
	switch kindOf(ref) {
	case pods:
		var p pod
		if err := decode("pod "+ref.ID(), body, &p); err != nil || p.Status.Phase != "Running" {
			return err
		}
		own := object.Ref{Resource: pods.resource, Namespace: strings.Clone(ref.Namespace), Name: strings.Clone(ref.Name)}
		for _, claim := range p.claims(ref) {
			put(&l.mounts, claim, append(l.mounts[claim], own))
			put(&l.claims, own, append(l.claims[own], claim))
		}
	case claims:
		own := claims.named(strings.Clone(ref.Namespace), strings.Clone(ref.Name))
		value, _ := head.Label(s.GroupLabel)
		put(&l.passed, own, strings.Clone(value))
		if value != "" {
			g := group{own.Namespace, strings.Clone(value)}
			put(&l.members, g, append(l.members[g], own))
		}
	}
	return nil
}

// put is m[k] = v, also for a map that is not there yet.
func put[K comparable, V any](m *map[K]V, k K, v V) {
	if *m == nil {
		*m = map[K]V{}
	}
	(*m)[k] = v
}

// took takes note of what is taken, as far as that counts for Late.
func (l *late) took(ref object.Ref, head object.Head, groupLabel string) {
	switch kindOf(ref) {
	case claims, volumes, priorities:
	default:
		return
	}
	own := object.Ref{Group: strings.Clone(ref.Group), Resource: strings.Clone(ref.Resource), Namespace: strings.Clone(ref.Namespace), Name: strings.Clone(ref.Name)}
	put(&l.taken, own, struct{}{})
	if kindOf(ref) != claims {
		return
	}
	l.fresh = append(l.fresh, own)
	if value, _ := head.Label(groupLabel); groupLabel != "" && value != "" {
		put(&l.groups, own, group{own.Namespace, strings.Clone(value)})
	}
}

// Late are the objects that went by and are needed after all: running pods that mount a claim that is taken, the claims of its group, the claims of those pods, and so on;
// and Helm's records of releases of which something is taken.
// They, and what they need, are to be listed once more; when they were added, Late is asked again, until there is nothing.
func (s *Set) Late() []object.Ref {
	l := &s.late
	var out []object.Ref
	for _, ref := range l.wanted {
		if _, ok := l.taken[ref]; !ok && (kindOf(ref) == volumes || kindOf(ref) == priorities) {
			out = append(out, ref)
		}
	}
	l.wanted = nil
	for len(l.fresh) > 0 {
		claim := l.fresh[0]
		l.fresh = l.fresh[1:]
		out = l.around(claim, out)
	}
	out = append(out, s.helm.late()...)
	l.open = len(out) > 0
	return out
}

// around adds what a claim needs and was passed.
func (l *late) around(claim object.Ref, out []object.Ref) []object.Ref {
	take := func(c object.Ref) {
		value, ok := l.passed[c]
		if !ok {
			return
		}
		delete(l.passed, c)
		out = append(out, c)
		l.fresh = append(l.fresh, c)
		if value != "" {
			put(&l.groups, c, group{c.Namespace, value})
		}
	}
	for _, p := range l.mounts[claim] {
		own, ok := l.claims[p]
		if !ok {
			continue
		}
		delete(l.claims, p)
		out = append(out, p)
		for _, c := range own {
			take(c)
		}
	}
	delete(l.mounts, claim)
	if g, ok := l.groups[claim]; ok {
		for _, c := range l.members[g] {
			take(c)
		}
		delete(l.members, g)
	}
	return out
}
