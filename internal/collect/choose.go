// SPDX-License-Identifier: Apache-2.0

package collect

import (
	"slices"

	"hozon.dev/hozon/internal/object"
)

// twins are kinds that are served by two groups and stored once. The first group of a row that the cluster
// serves is the one that counts, as for Velero.
var twins = map[string][]string{
	"deployments":     {"apps", "extensions"},
	"daemonsets":      {"apps", "extensions"},
	"replicasets":     {"apps", "extensions"},
	"networkpolicies": {"networking.k8s.io", "extensions"},
	"events":          {"", "events.k8s.io"},
}

// needed are the verbs of a kind that can be saved and restored, as for Velero. Others (componentstatuses, metrics)
// are views.
var needed = []string{"list", "get", "create", "delete"}

// listable are the types that can be saved, without the second copies of twins.
func listable(types []object.Type) []object.Type {
	served := served(types)
	var out []object.Type
	for _, t := range types {
		view := slices.ContainsFunc(needed, func(verb string) bool { return !slices.Contains(t.Verbs, verb) })
		if !view && !second(t, served) {
			out = append(out, t)
		}
	}
	return out
}

func second(t object.Type, served map[string]bool) bool {
	groups := twins[t.Resource]
	i := slices.Index(groups, t.Group)
	return i > 0 && slices.ContainsFunc(groups[:i], func(g string) bool {
		return served[object.Type{Group: g, Resource: t.Resource}.GroupResource()]
	})
}

// known are the namespaces that can be listed one by one, when a kind cannot be listed as a whole.
func (r *run) known() []string {
	f := r.req.Filter
	if f == nil {
		return nil
	}
	if names := f.Namespaces(); len(names) > 0 {
		return names
	}
	return f.Literals()
}

// fewNamespaces and manyItems say when the chosen namespaces are listed one by one although we may list
// all: three requests are dearer than one, if that one is a page.
const (
	fewNamespaces = 3
	manyItems     = 500
)

// scopes are the namespaces to list a kind in; nil: all at once.
func (r *run) scopes(p probed) []string {
	if !p.t.Namespaced {
		return nil
	}
	names := r.known()
	if p.denied {
		return names
	}
	if r.req.Filter == nil || r.req.Filter.Everywhere() || len(names) == 0 || len(names) > fewNamespaces || p.size < manyItems {
		return nil
	}
	return names
}
