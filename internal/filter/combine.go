// SPDX-License-Identifier: Apache-2.0

package filter

import (
	"slices"

	velerov1 "hozon.dev/hozon/api/velero/v1"
	"hozon.dev/hozon/internal/fail"
	"hozon.dev/hozon/internal/object"
)

// Scoped are the four lists of the family of filters that tells scopes apart.
type Scoped struct {
	IncludedClusterScoped, ExcludedClusterScoped     []string
	IncludedNamespaceScoped, ExcludedNamespaceScoped []string
}

// Combine adds lists of a resource policy to those of a spec. What the spec says of a resource counts. The old family of filters cannot be combined: fail.Invalid, in Velero's words.
func Combine(spec velerov1.BackupSpec, more Scoped, types []object.Type) (velerov1.BackupSpec, error) {
	if UsesOldFamily(spec) {
		return spec, fail.Errorf(fail.Invalid, "include-resources, exclude-resources and include-cluster-resources are old filter parameters.\nThey cannot be used with include-exclude policies.")
	}
	spec.IncludedClusterScopedResources, spec.ExcludedClusterScopedResources = combine(
		spec.IncludedClusterScopedResources, spec.ExcludedClusterScopedResources, more.IncludedClusterScoped, more.ExcludedClusterScoped, types)
	spec.IncludedNamespaceScopedResources, spec.ExcludedNamespaceScopedResources = combine(
		spec.IncludedNamespaceScopedResources, spec.ExcludedNamespaceScopedResources, more.IncludedNamespaceScoped, more.ExcludedNamespaceScoped, types)
	return spec, nil
}

// combine adds names to two lists, unless the other list has them, whatever they are called there.
func combine(in, ex, moreIn, moreEx []string, types []object.Type) (include, exclude []string) {
	canonical := func(name string) string {
		if t, ok := resolve(name, types); ok {
			return t.GroupResource()
		}
		return name
	}
	has := func(list []string, name string) bool {
		return slices.ContainsFunc(list, func(e string) bool { return e == "*" || canonical(e) == canonical(name) })
	}
	include, exclude = slices.Clone(in), slices.Clone(ex)
	for _, name := range moreIn {
		if !has(ex, name) && !has(include, name) {
			include = append(include, name)
		}
	}
	for _, name := range moreEx {
		if !slices.ContainsFunc(in, func(e string) bool { return e != "*" && canonical(e) == canonical(name) }) && !has(exclude, name) {
			exclude = append(exclude, name)
		}
	}
	return include, exclude
}
