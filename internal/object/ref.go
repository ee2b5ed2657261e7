// SPDX-License-Identifier: Apache-2.0

// Package object has the words for Kubernetes objects that the rest of Hozon speaks in:
// which object (Ref), of which type (Type), what its JSON says about itself (Head), and when two
// states of it count as the same (Same).
//
// It is pure: no network, no disk, no clock, and it decodes only what it is asked for.
package object

import (
	"cmp"
	"strings"

	"k8s.io/apimachinery/pkg/runtime/schema"
)

// Ref names one object in one cluster or archive, whatever the version it is read in.
type Ref struct {
	Group     string // "" for the core group
	Resource  string // plural, lower case: "deployments"
	Namespace string // "" for cluster-scoped objects
	Name      string
}

// GroupResource is "deployments.apps", or "pods" in the core group: Velero's form.
func (r Ref) GroupResource() string {
	return schema.GroupResource{Group: r.Group, Resource: r.Resource}.String()
}

// ID is "ns/name", or "name" for cluster-scoped objects.
func (r Ref) ID() string {
	if r.Namespace == "" {
		return r.Name
	}
	return r.Namespace + "/" + r.Name
}

// String is "deployments.apps/ns/name" or "nodes/name".
func (r Ref) String() string { return r.GroupResource() + "/" + r.ID() }

// ParseGroupResource splits "deployments.apps" into group and resource.
func ParseGroupResource(s string) (group, resource string) {
	resource, group, _ = strings.Cut(s, ".")
	return group, resource
}

// Compare is the order of the index (doc/format.md, section 5): group-resource, namespace, name, as bytes.
func Compare(a, b Ref) int {
	if a.Group != b.Group || a.Resource != b.Resource {
		if c := cmp.Compare(a.GroupResource(), b.GroupResource()); c != 0 {
			return c
		}
	}
	return cmp.Or(cmp.Compare(a.Namespace, b.Namespace), cmp.Compare(a.Name, b.Name))
}

// Type is one API type in one version, as a cluster serves it.
type Type struct {
	Group      string
	Version    string
	Resource   string // plural
	Singular   string // may be empty
	Kind       string
	ShortNames []string
	Namespaced bool
	Preferred  bool     // Version is the group's preferred version of this resource
	Verbs      []string // "list", "get", "create", …
}

// GroupVersion is "apps/v1", or "v1" in the core group.
func (t Type) GroupVersion() string {
	return schema.GroupVersion{Group: t.Group, Version: t.Version}.String()
}

// GroupResource is "deployments.apps", or "pods" in the core group.
func (t Type) GroupResource() string {
	return schema.GroupResource{Group: t.Group, Resource: t.Resource}.String()
}

// Ref names an object of this type.
func (t Type) Ref(namespace, name string) Ref {
	return Ref{Group: t.Group, Resource: t.Resource, Namespace: namespace, Name: name}
}
