// SPDX-License-Identifier: Apache-2.0

package relate

import "hozon.dev/hozon/internal/object"

// Waves puts types in the order in which they must be listed so that Set.Needed is known when it is
// asked. Types of one wave do not wait for each other. yes are the types that are taken for
// their own sake; of related, which are taken only for the sake of others, those that nothing in
// yes can need are left out. Types keep their order within a wave; no wave is empty.
//
//	1  all types that nothing here needs
//	2  claims (needed by pods), ClusterRoleBindings (by ServiceAccounts)
//	3  volumes (by claims), ClusterRoles (by bindings), PriorityClasses, CustomResourceDefinitions, Namespaces
func Waves(yes, related []object.Type) [][]object.Type {
	var waves [3][]object.Type
	present := make(map[kind]bool, len(yes)+len(related))
	for _, t := range yes {
		k := kind{t.Group, t.Resource}
		waves[waveOf(k)] = append(waves[waveOf(k)], t)
		present[k] = true
		if t.Namespaced {
			present[anyNamespaced] = true
		}
		if _, ok := DefinitionOf(t.Ref("", "")); ok {
			present[anyGrouped] = true
		}
	}
	for last := 1; last <= 2; last++ {
		for _, t := range related {
			k := kind{t.Group, t.Resource}
			if waveOf(k) != last || !anyPresent(present, neededBy(k)) {
				continue
			}
			waves[last] = append(waves[last], t)
			present[k] = true
		}
	}
	var out [][]object.Type
	for _, w := range waves {
		if len(w) > 0 {
			out = append(out, w)
		}
	}
	return out
}

// Stand-ins for all types of a sort; no type is called that.
var (
	anyNamespaced = kind{resource: " namespaced"}
	anyGrouped    = kind{resource: " grouped"}
)

func waveOf(k kind) int {
	switch k {
	case claims, bindings:
		return 1
	case volumes, roles, priorities, definitions, namespaces:
		return 2
	}
	return 0
}

// neededBy are the types whose objects can need one of the given type.
func neededBy(k kind) []kind {
	switch k {
	case claims:
		return []kind{pods}
	case bindings:
		return []kind{serviceAccounts}
	case volumes:
		return []kind{claims}
	case roles:
		return []kind{bindings}
	case priorities:
		return []kind{pods}
	case definitions:
		return []kind{anyGrouped}
	case namespaces:
		return []kind{anyNamespaced, claims}
	}
	return nil
}

func anyPresent(present map[kind]bool, any []kind) bool {
	for _, k := range any {
		if present[k] {
			return true
		}
	}
	return false
}
