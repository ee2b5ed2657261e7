// SPDX-License-Identifier: Apache-2.0

package filter

import (
	"slices"
	"strings"

	velerov1 "hozon.dev/hozon/api/velero/v1"
	"hozon.dev/hozon/internal/fail"
	"hozon.dev/hozon/internal/object"
)

// NonRestorable are the resources that no restore takes in, in Velero's words and order; Velero
// appends them to the excludedResources of every Restore.
func NonRestorable() []string { return slices.Clone(nonRestorable) }

var nonRestorable = []string{
	"nodes", "events", "events.events.k8s.io", "backups.velero.io", "restores.velero.io", "resticrepositories.velero.io",
	"csinodes.storage.k8s.io", "volumeattachments.storage.k8s.io", "backuprepositories.velero.io",
}

// mustHave is restored whatever the filters say: data movement needs it.
const mustHave = "datauploads.velero.io"

// ForRestore makes the filter of a restore from a backup whose items are of these types. Namespaces
// are those of the backup, before mapping. A spec that ValidateRestore refuses is fail.Invalid.
//
// Namespace objects are Related where they are not Yes: what is restored into a namespace needs it.
// So are CRDs for the custom resources of theirs, unless they are excluded.
func ForRestore(spec velerov1.RestoreSpec, types []object.Type) (*Filter, error) {
	if problems := ValidateRestore(spec); len(problems) > 0 {
		return nil, fail.Errorf(fail.Invalid, "%s", strings.Join(problems, "; "))
	}
	ns, err := newNamespaces(spec.IncludedNamespaces, spec.ExcludedNamespaces)
	if err != nil {
		return nil, fail.As(fail.Invalid, err)
	}
	f := &Filter{namespaces: ns, restore: true}
	if f.selectors, err = selectors(spec.LabelSelector, spec.OrLabelSelectors); err != nil {
		return nil, fail.As(fail.Invalid, err)
	}
	r := &resolver{types: types}
	include, err := r.list(spec.IncludedResources, anyScope)
	if err != nil {
		return nil, fail.As(fail.Invalid, err)
	}
	exclude, err := r.list(spec.ExcludedResources, anyScope)
	if err != nil {
		return nil, fail.As(fail.Invalid, err)
	}
	f.unresolved = r.unresolved
	cluster := spec.IncludeClusterResources
	f.resource = func(gr string) bool {
		return gr == mustHave || !slices.Contains(nonRestorable, gr) && !exclude.match(gr) && (include.everything() || include.match(gr))
	}
	f.types = func(t object.Type) Inclusion {
		gr := t.GroupResource()
		left, passes := exclude.match(gr), f.resource(gr)
		noCluster := cluster != nil && !*cluster
		switch {
		case slices.Contains(nonRestorable, gr):
			return No
		case gr == mustHave:
			return Yes
		case gr == namespacesType:
			return yesOr(passes && !noCluster, Related)
		case left:
			return No
		case t.Namespaced:
			return yesOr(passes, No)
		case noCluster:
			return No
		case gr == crds && !passes:
			return Related
		case !passes:
			return No
		}
		return yesOr(cluster != nil || ns.all, Related)
	}
	return f, nil
}
