// SPDX-License-Identifier: Apache-2.0

package law

import (
	"slices"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	velerov1 "hozon.dev/hozon/api/velero/v1"
)

// spec is a random request for a part of the world.
func (w *world) spec() velerov1.BackupSpec {
	s := velerov1.BackupSpec{IncludedNamespaces: []string{w.prefix + "-*"}}
	if w.rng.IntN(2) == 0 {
		s.IncludedNamespaces = w.namespaces[:1+w.rng.IntN(len(w.namespaces))]
	} else if w.rng.IntN(2) == 0 && len(w.namespaces) > 1 {
		s.ExcludedNamespaces = w.namespaces[:1]
	}
	switch w.rng.IntN(5) {
	case 0:
		s.IncludedResources = w.some("configmaps", "secrets", "deployments", "gadgets", "svc", "clusterroles")
	case 1:
		s.ExcludedResources = w.some("configmaps", "secrets", "deployments.apps", "gadgets.law.example.com")
	case 2:
		s.IncludedNamespaceScopedResources = w.some("configmaps", "roles", "cronjobs.batch")
		s.IncludedClusterScopedResources = w.some("priorityclasses", "storageclasses")
	case 3:
		s.ExcludedNamespaceScopedResources = w.some("secrets", "pvc")
	}
	if w.rng.IntN(3) == 0 && len(s.IncludedNamespaceScopedResources)+len(s.ExcludedNamespaceScopedResources) == 0 {
		yes := w.rng.IntN(2) == 0
		s.IncludeClusterResources = &yes
	}
	switch w.rng.IntN(4) {
	case 0:
		s.LabelSelector = &metav1.LabelSelector{MatchLabels: map[string]string{"tier": "front"}}
	case 1:
		s.OrLabelSelectors = []*metav1.LabelSelector{
			{MatchLabels: map[string]string{"tier": "db"}},
			{MatchExpressions: []metav1.LabelSelectorRequirement{{Key: "app", Operator: metav1.LabelSelectorOpExists}}},
		}
	}
	return s
}

func (w *world) some(choices ...string) []string {
	w.rng.Shuffle(len(choices), func(i, j int) { choices[i], choices[j] = choices[j], choices[i] })
	return choices[:1+w.rng.IntN(len(choices)-1)]
}

// words are the other names of resources that the specs use.
var words = map[string]string{
	"deployments": "deployments.apps", "gadgets": "gadgets.law.example.com", "svc": "services", "roles": "roles.rbac.authorization.k8s.io",
	"clusterroles": "clusterroles.rbac.authorization.k8s.io", "priorityclasses": "priorityclasses.scheduling.k8s.io",
	"storageclasses": "storageclasses.storage.k8s.io", "pvc": "persistentvolumeclaims",
}

func has(list []string, resource string) bool {
	return slices.ContainsFunc(list, func(name string) bool { return name == resource || words[name] == resource })
}

// wanted says, by the plain words of the documentation, whether a backup with spec s holds t. The namespaces are always a subset of the cluster's.
func (w *world) wanted(s velerov1.BackupSpec, t thing) bool {
	if t.labels["velero.io/exclude-from-backup"] == "true" || !selected(s, t.labels) {
		return false
	}
	old := s.IncludeClusterResources != nil || len(s.IncludedResources)+len(s.ExcludedResources) > 0
	passes := (len(s.IncludedResources) == 0 || has(s.IncludedResources, t.resource)) && !has(s.ExcludedResources, t.resource)
	if t.namespace == "" {
		if old {
			return passes && s.IncludeClusterResources != nil && *s.IncludeClusterResources
		}
		return has(s.IncludedClusterScopedResources, t.resource)
	}
	if slices.Contains(s.ExcludedNamespaces, t.namespace) ||
		s.IncludedNamespaces[0] != w.prefix+"-*" && !slices.Contains(s.IncludedNamespaces, t.namespace) {
		return false
	}
	if old {
		return passes
	}
	in, ex := s.IncludedNamespaceScopedResources, s.ExcludedNamespaceScopedResources
	return (len(in) == 0 || has(in, t.resource)) && !has(ex, t.resource)
}

func selected(s velerov1.BackupSpec, labels map[string]string) bool {
	_, app := labels["app"]
	switch {
	case s.LabelSelector != nil:
		return labels["tier"] == "front"
	case len(s.OrLabelSelectors) > 0:
		return labels["tier"] == "db" || app
	}
	return true
}
