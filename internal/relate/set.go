// SPDX-License-Identifier: Apache-2.0

package relate

import (
	"strings"

	"hozon.dev/hozon/internal/object"
)

// Set is what the objects taken so far need. The zero value is empty. Not for two goroutines at once.
type Set struct {
	// GroupLabel is the label whose value claims share that belong together; "": none.
	GroupLabel string

	needed   map[object.Ref]struct{}
	accounts map[account]struct{}
	kinds    map[kind]struct{} // those that something was taken of
	late     late
	helm     releases
}

type account struct{ namespace, name string }

// Add takes note of one object that is taken, whatever it was taken for.
// A body that does not decode is fail.Corrupt; what the object's type needs is noted all the same.
func (s *Set) Add(ref object.Ref, head object.Head, body []byte) error {
	s.addType(ref)
	s.late.took(ref, head, s.GroupLabel)
	s.helm.took(ref, head)
	if kindOf(ref) == serviceAccounts {
		if s.accounts == nil {
			s.accounts = map[account]struct{}{}
		}
		s.accounts[account{strings.Clone(ref.Namespace), strings.Clone(ref.Name)}] = struct{}{}
	}
	return Needs(ref, head, body, s.need)
}

// addType notes the needs that follow from where and of what type an object is.
func (s *Set) addType(ref object.Ref) {
	if ref.Namespace != "" {
		if _, ok := s.needed[namespaces.named("", ref.Namespace)]; !ok {
			s.need(namespaces.named("", strings.Clone(ref.Namespace)))
		}
	}
	if _, ok := s.kinds[kindOf(ref)]; ok {
		return
	}
	if s.kinds == nil {
		s.kinds = map[kind]struct{}{}
	}
	s.kinds[kind{strings.Clone(ref.Group), strings.Clone(ref.Resource)}] = struct{}{}
	if definition, ok := DefinitionOf(ref); ok {
		s.need(definition)
	}
}

func (s *Set) need(ref object.Ref) {
	if s.needed == nil {
		s.needed = map[object.Ref]struct{}{}
	}
	if _, ok := s.needed[ref]; !ok && s.late.open {
		s.late.wanted = append(s.late.wanted, ref)
	}
	s.needed[ref] = struct{}{}
}

// Needed says whether something taken so far needs this object. It is final for the types of a wave
// once everything taken of the waves before it was added. head may be empty.
// A ClusterRoleBinding that does not decode is fail.Corrupt.
func (s *Set) Needed(ref object.Ref, head object.Head, body []byte) (bool, error) {
	if kindOf(ref) == bindings && len(s.accounts) > 0 {
		b, err := readBinding(ref, body)
		if err != nil {
			return false, err
		}
		if b.names(s.accounts) {
			return true, nil
		}
	}
	_, ok := s.needed[ref]
	return ok, nil
}

// All calls yield with each needed object that a body or a type named, in no order, taken or not: what is missing from
// a backup can be found with it. CustomResourceDefinitions are among them for every type that could have one (DefinitionOf).
func (s *Set) All(yield func(object.Ref) bool) {
	for ref := range s.needed {
		if !yield(ref) {
			return
		}
	}
}

// DefinitionOf is the CustomResourceDefinition that an object has if it is a custom resource; ok is
// false if it cannot be one: the group of a custom resource has a dot. Groups of the API server itself
// that have one too are not told apart: nothing defines their types.
func DefinitionOf(ref object.Ref) (definition object.Ref, ok bool) {
	if !strings.Contains(ref.Group, ".") {
		return object.Ref{}, false
	}
	return definitions.named("", ref.GroupResource()), true
}
