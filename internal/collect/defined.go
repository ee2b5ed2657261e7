// SPDX-License-Identifier: Apache-2.0

package collect

import (
	"encoding/json"
	"fmt"
	"slices"

	"hozon.dev/hozon/internal/filter"
	"hozon.dev/hozon/internal/object"
)

// isDefinition says whether objects of a type define kinds.
func isDefinition(t object.Type) bool {
	return t.Group == "apiextensions.k8s.io" && t.Resource == "customresourcedefinitions"
}

// served are the group-resources of the request, those of twins and views too.
func served(types []object.Type) map[string]bool {
	out := make(map[string]bool, len(types))
	for _, t := range types {
		out[t.GroupResource()] = true
	}
	return out
}

// definition is what matters of a CustomResourceDefinition.
type definition struct {
	Spec struct {
		Group    string
		Scope    string
		Names    struct{ Plural, Kind string }
		Versions []struct{ Served bool }
	}
	Status struct {
		Conditions []struct{ Type, Status string }
	}
}

// missed says what is missing if a definition is in force at the revision of the run and its kind is not among the
// types: these were asked for a moment earlier, when the kind was not served yet. The name of a definition
// is the group-resource of its kind, so only what is missing is decoded.
func (r *run) missed(head object.Head, raw []byte) string {
	if r.served[head.Name] {
		return ""
	}
	var d definition
	if json.Unmarshal(raw, &d) != nil {
		return ""
	}
	established := slices.Contains(d.Status.Conditions, struct{ Type, Status string }{"Established", "True"})
	if !established || !slices.Contains(d.Spec.Versions, struct{ Served bool }{true}) {
		return ""
	}
	t := object.Type{Group: d.Spec.Group, Resource: d.Spec.Names.Plural, Kind: d.Spec.Names.Kind, Namespaced: d.Spec.Scope == "Namespaced"}
	if r.req.Filter != nil && r.req.Filter.Type(t) != filter.Yes {
		return ""
	}
	return fmt.Sprintf("list %s: the kind is newer than the list of kinds, so its objects are missing", t.GroupResource())
}
