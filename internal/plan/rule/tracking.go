// SPDX-License-Identifier: Apache-2.0

package rule

import (
	"strings"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
)

const (
	argoID       = "argocd.argoproj.io/tracking-id"
	argoInstance = "argocd.argoproj.io/instance"
	instance     = "app.kubernetes.io/instance"
	helmSpace    = "meta.helm.sh/release-namespace"
)

// fluxMarks are the labels by which Flux says whose an object is. It prunes by its own inventory, not by them.
var fluxMarks = []string{
	"kustomize.toolkit.fluxcd.io/name", "kustomize.toolkit.fluxcd.io/namespace", "helm.toolkit.fluxcd.io/name", "helm.toolkit.fluxcd.io/namespace",
}

// untrack takes the marks from an object by which Argo CD prunes what is not, or no longer, in Git: what was restored would be gone again. What
// is in Git gets its mark back with the next sync, as Argo CD finds that by name. A copy in another namespace is not what Flux manages, and
// belongs to a Helm release of that namespace.
func untrack(o *unstructured.Unstructured, env Env, t *Taken) {
	meta := find(o.Object, "metadata")
	labels, annotations := find(meta, "labels"), find(meta, "annotations")
	if o.GetKind() != "Pod" && annotations[argoID] == nil && labels[instance] != nil && (env.Argo || byArgo(t.ManagedFields)) {
		delete(labels, instance) // Argo CD's own mark, unless it uses annotations
	}
	delete(labels, argoInstance)
	dropAnnotations(o, argoID)
	if env.Target(o.GetNamespace()) == o.GetNamespace() {
		return
	}
	for _, key := range fluxMarks {
		delete(labels, key)
	}
	if annotations[helmSpace] != nil {
		mapNamespace(annotations, env, helmSpace)
	}
}

// byArgo reports whether Argo CD is among the field managers.
func byArgo(fields []any) bool {
	for _, f := range fields {
		m, _ := f.(map[string]any)
		if name, _ := m["manager"].(string); strings.HasPrefix(name, "argocd") {
			return true
		}
	}
	return false
}

// keepTracking leaves the live object's marks as they are.
func keepTracking(to, from map[string]any) {
	for _, part := range []struct{ under, key string }{{"labels", instance}, {"labels", argoInstance}, {"annotations", argoID}} {
		if v := find(from, part.under)[part.key]; v != nil {
			m := find(to, part.under)
			if m == nil {
				m = map[string]any{}
				to[part.under] = m
			}
			if m[part.key] == nil {
				m[part.key] = v
			}
		}
	}
}
