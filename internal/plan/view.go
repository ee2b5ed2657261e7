// SPDX-License-Identifier: Apache-2.0

package plan

import (
	"slices"

	"hozon.dev/hozon/internal/filter"
	"hozon.dev/hozon/internal/object"
)

// views are kinds of aggregated APIs that show what other kinds hold, which are restored.
var views = map[string]string{
	"projects.project.openshift.io":                  "namespaces",
	"roles.authorization.openshift.io":               "roles.rbac.authorization.k8s.io",
	"rolebindings.authorization.openshift.io":        "rolebindings.rbac.authorization.k8s.io",
	"clusterroles.authorization.openshift.io":        "clusterroles.rbac.authorization.k8s.io",
	"clusterrolebindings.authorization.openshift.io": "clusterrolebindings.rbac.authorization.k8s.io",
	"imagestreamtags.image.openshift.io":             "imagestreams.image.openshift.io",
	"imagetags.image.openshift.io":                   "imagestreams.image.openshift.io",
}

// GroupVersion is a version of a group, as an APIService registers it.
type GroupVersion struct{ Group, Version string }

// Made are the versions of groups of which the entries hold objects without a UID: nobody has stored those, if an aggregated API serves them.
func (l *Entries) Made() []GroupVersion {
	seen := make([]bool, len(l.kinds.all))
	var out []GroupVersion
	for i := range l.Len() {
		r := l.records.at(i)
		k := l.kinds.all[r.kind]
		if r.uid != (uid{}) || k.group == "" || seen[r.kind] {
			continue
		}
		seen[r.kind] = true
		if gv := (GroupVersion{k.group, k.version}); !slices.Contains(out, gv) {
			out = append(out, gv)
		}
	}
	return out
}

// unstored says why an object is not restored that is no object of its own; "" if it is one, or the spec names its kind.
func (b *builder) unstored(i int) string {
	gr := b.groupResource(i)
	of, view := views[gr]
	r := b.records.at(i)
	made := r.uid == (uid{}) && slices.Contains(b.facts.Aggregated, GroupVersion{b.kinds.all[r.kind].group, b.Version(i)})
	switch {
	case !view && !made, b.named(b.Ref(i)):
		return ""
	case view:
		return "it is another form of " + of + ", which are restored"
	}
	return "an aggregated API makes it up, and nobody has stored it; include its kind by name to restore it all the same"
}

// named reports whether the spec includes a kind by its name.
func (b *builder) named(ref object.Ref) bool {
	names := b.req.Spec.IncludedResources
	return len(names) > 0 && !slices.Contains(names, "*") && b.inclusion(ref) == filter.Yes
}
