// SPDX-License-Identifier: Apache-2.0

package filter

import (
	"strings"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"

	velerov1 "hozon.dev/hozon/api/velero/v1"
	"hozon.dev/hozon/internal/fail"
	"hozon.dev/hozon/internal/object"
)

const (
	crds           = "customresourcedefinitions.apiextensions.k8s.io"
	namespacesType = "namespaces"
)

// GeneratedExcludes are the types that every backup leaves out of its listing because the snapshot
// engine writes them, in Velero's words for the two scoped exclude lists: to be recorded in the
// stored spec (both in excludedResources, if the spec uses the old family), never the user's filter.
const (
	GeneratedNamespaceScopedExclude = "volumesnapshots.snapshot.storage.k8s.io"
	GeneratedClusterScopedExclude   = "volumesnapshotcontents.snapshot.storage.k8s.io"
)

func generatedExclude(gr string) bool {
	return gr == GeneratedNamespaceScopedExclude || gr == GeneratedClusterScopedExclude
}

// UsesOldFamily says which of the two families of resource filters counts.
func UsesOldFamily(spec velerov1.BackupSpec) bool {
	return spec.IncludeClusterResources != nil || len(spec.IncludedResources) > 0 || len(spec.ExcludedResources) > 0
}

// ForBackup makes the filter of a backup of a cluster that serves types and has these namespaces.
// A spec that ValidateBackup refuses is fail.Invalid.
func ForBackup(spec velerov1.BackupSpec, types []object.Type, cluster []Namespace) (*Filter, error) {
	if problems := ValidateBackup(spec); len(problems) > 0 {
		return nil, fail.Errorf(fail.Invalid, "%s", strings.Join(problems, "; "))
	}
	ns, err := newNamespaces(spec.IncludedNamespaces, spec.ExcludedNamespaces)
	if err != nil {
		return nil, fail.As(fail.Invalid, err)
	}
	if err := ns.meet(cluster, spec.IncludedNamespaces); err != nil {
		return nil, fail.As(fail.Invalid, err)
	}
	f := &Filter{namespaces: ns}
	if f.selectors, err = selectors(spec.LabelSelector, spec.OrLabelSelectors); err != nil {
		return nil, fail.As(fail.Invalid, err)
	}
	r := &resolver{types: types}
	if UsesOldFamily(spec) {
		err = f.useOld(spec, r)
	} else {
		err = f.useScoped(spec, r)
	}
	f.unresolved = r.unresolved
	return f, fail.As(fail.Invalid, err)
}

// selectors has none if every object passes.
func selectors(one *metav1.LabelSelector, or []*metav1.LabelSelector) ([]labels.Selector, error) {
	if one != nil {
		or = []*metav1.LabelSelector{one}
	}
	var out []labels.Selector
	for _, o := range or {
		s, err := metav1.LabelSelectorAsSelector(o)
		if err != nil {
			return nil, err
		}
		if s.Empty() && o != nil {
			return nil, nil
		}
		out = append(out, s)
	}
	return out, nil
}

func anyScope(object.Type) bool { return true }

func (f *Filter) useOld(spec velerov1.BackupSpec, r *resolver) error {
	include, err := r.list(spec.IncludedResources, anyScope)
	if err != nil {
		return err
	}
	exclude, err := r.list(spec.ExcludedResources, anyScope)
	if err != nil {
		return err
	}
	cluster, all := spec.IncludeClusterResources, f.namespaces.all
	f.resource = func(gr string) bool {
		return !generatedExclude(gr) && !exclude.match(gr) && (include.everything() || include.match(gr))
	}
	f.types = func(t object.Type) Inclusion {
		gr := t.GroupResource()
		passes := f.resource(gr)
		switch {
		case exclude.match(gr) || generatedExclude(gr):
			return No
		case t.Namespaced:
			return yesOr(passes, Related)
		case cluster != nil && !*cluster:
			return No
		case cluster != nil:
			return yesOr(passes, Related)
		case gr == crds && !(passes && all):
			return Related
		case !passes:
			return No
		}
		return yesOr(all || gr == namespacesType, Related)
	}
	return nil
}

func (f *Filter) useScoped(spec velerov1.BackupSpec, r *resolver) error {
	var lists [4]list
	for i, entries := range [][]string{spec.IncludedNamespaceScopedResources, spec.ExcludedNamespaceScopedResources,
		spec.IncludedClusterScopedResources, spec.ExcludedClusterScopedResources} {
		l, err := r.list(entries, func(t object.Type) bool { return t.Namespaced == (i < 2) })
		if err != nil {
			return err
		}
		lists[i] = l
	}
	in, ex, clusterIn, clusterEx := lists[0], lists[1], lists[2], lists[3]
	everything := f.namespaces.all && in.everything() && ex.empty() && clusterIn.empty() && clusterEx.empty()
	f.resource = func(gr string) bool {
		return !generatedExclude(gr) && !ex.match(gr) && !clusterEx.match(gr) &&
			(in.everything() || in.match(gr) || everything || clusterIn.match(gr) || gr == namespacesType)
	}
	f.types = func(t object.Type) Inclusion {
		gr := t.GroupResource()
		switch {
		case generatedExclude(gr):
			return No
		case t.Namespaced && ex.match(gr), !t.Namespaced && clusterEx.match(gr):
			return No
		case t.Namespaced:
			return yesOr(in.everything() || in.match(gr), Related)
		}
		return yesOr(everything || clusterIn.match(gr) || gr == namespacesType, Related)
	}
	return nil
}

func yesOr(yes bool, otherwise Inclusion) Inclusion {
	if yes {
		return Yes
	}
	return otherwise
}
