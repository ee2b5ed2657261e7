// SPDX-License-Identifier: Apache-2.0

package cluster

import (
	"cmp"
	"context"
	"errors"
	"slices"
	"strings"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/discovery"

	"hozon.dev/hozon/internal/fail"
	"hozon.dev/hozon/internal/object"
)

// Problem is a part of the API that the server lists and cannot serve: mostly an APIService without a living backend.
type Problem struct {
	Group   string
	Version string
	Err     error
}

// GroupVersion is "apps/v1", or "v1" in the core group.
func (p Problem) GroupVersion() string {
	return schema.GroupVersion{Group: p.Group, Version: p.Version}.String()
}

// Types asks the server for its kinds that can be listed and read, subresources left out: of each resource the
// preferred version, or with allVersions every version, sorted by group-resource, the preferred version first.
// Preferred is the group's preferred version if it has the resource, else the first one that does (in the order of the server).
//
// Groups that cannot be asked are Problems, and not in the types.
func (c *Client) Types(ctx context.Context, allVersions bool) ([]object.Type, []Problem, error) {
	groups, lists, err := discovery.ServerGroupsAndResourcesWithContext(ctx, c.discovery)
	failed, partly := discovery.GroupDiscoveryFailedErrorGroups(err)
	if err != nil && !partly {
		return nil, nil, c.discoveryError(ctx, err)
	}
	byVersion := make(map[string]*metav1.APIResourceList, len(lists))
	for _, l := range lists {
		byVersion[l.GroupVersion] = l
	}
	var types []object.Type
	for _, g := range groups {
		types = append(types, typesOf(g, byVersion, allVersions)...)
	}
	slices.SortStableFunc(types, func(a, b object.Type) int { return cmp.Compare(a.GroupResource(), b.GroupResource()) })
	return types, problems(failed), nil
}

// typesOf returns the types of one group, those of its preferred version first.
func typesOf(g *metav1.APIGroup, lists map[string]*metav1.APIResourceList, allVersions bool) []object.Type {
	seen := map[string]bool{}
	var types []object.Type
	for _, version := range versionsOf(g) {
		list := lists[schema.GroupVersion{Group: g.Name, Version: version}.String()]
		if list == nil {
			continue
		}
		for i := range list.APIResources {
			r := &list.APIResources[i]
			if strings.Contains(r.Name, "/") || !slices.Contains(r.Verbs, "list") || !slices.Contains(r.Verbs, "get") {
				continue
			}
			preferred := !seen[r.Name]
			seen[r.Name] = true
			if preferred || allVersions {
				types = append(types, typeOf(g.Name, version, r, preferred))
			}
		}
	}
	return types
}

func typeOf(group, version string, r *metav1.APIResource, preferred bool) object.Type {
	return object.Type{
		Group: group, Version: version, Resource: r.Name, Singular: r.SingularName, Kind: r.Kind,
		ShortNames: r.ShortNames, Namespaced: r.Namespaced, Preferred: preferred, Verbs: r.Verbs,
	}
}

// versionsOf returns the group's versions, the preferred one first.
func versionsOf(g *metav1.APIGroup) []string {
	versions := make([]string, 0, len(g.Versions)+1)
	if v := g.PreferredVersion.Version; v != "" {
		versions = append(versions, v)
	}
	for _, v := range g.Versions {
		if v.Version != g.PreferredVersion.Version {
			versions = append(versions, v.Version)
		}
	}
	return versions
}

func problems(failed map[schema.GroupVersion]error) []Problem {
	var out []Problem
	for gv, err := range failed {
		out = append(out, Problem{Group: gv.Group, Version: gv.Version,
			Err: fail.Errorf(fail.Transient, "discover %s: its API server does not answer: %w", gv, err)})
	}
	slices.SortFunc(out, func(a, b Problem) int { return cmp.Compare(a.GroupVersion(), b.GroupVersion()) })
	return out
}

func (c *Client) discoveryError(ctx context.Context, err error) error {
	const what = "discover the API"
	status := apierrors.APIStatus(nil)
	if !errors.As(err, &status) {
		return c.reachError(ctx, what, err)
	}
	kind, _ := kindOf(status.Status())
	return fail.Errorf(kind, "%s of %s: %w", what, c.base, err)
}
