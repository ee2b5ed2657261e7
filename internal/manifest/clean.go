// SPDX-License-Identifier: Apache-2.0

package manifest

import (
	"strings"

	"hozon.dev/hozon/internal/object"
)

// Clean takes out of an object, in place, everything that nobody would write: what the server set, counted and allocated (object.Normalise),
// what it filled in as a default (the table), and what tools keep their books with. The notes say what went although somebody may miss it.
func Clean(o map[string]any) []Note {
	notes := missed(o)
	allocated(o)
	keep := chosenPorts(o)
	object.Normalise(o)
	keep()
	delete(mapAt(o, "metadata"), "ownerReferences")
	if served(groupOf(o)) {
		dropNulls(o)
	}
	if meta, ok := o["metadata"].(map[string]any); ok {
		dropNulls(meta)
	}
	dropBooks(o)
	cleanPod(o)
	claimSpecs(o, func(_ string, spec map[string]any) {
		dropDefaults("(claim)", spec)
		if equal(spec["dataSource"], spec["dataSourceRef"]) {
			delete(spec, "dataSourceRef") // the server makes one of the other
		}
	})
	kind := kindOf(o)
	dropDefaults(kind, o)
	for _, list := range [][]special{specials, openShiftSpecials} {
		for _, s := range list {
			if s.kind == kind {
				s.apply(o)
			}
		}
	}
	return notes
}

// books are annotations and labels that tools keep to themselves: the last state that was applied, which application an object belongs to.
// Who applies the manifest elsewhere writes their own.
var books = []string{
	"kubectl.kubernetes.io/last-applied-configuration", "kubernetes.io/limit-ranger", "argocd.argoproj.io/tracking-id",
	"kustomize.toolkit.fluxcd.io/checksum", "kustomize.toolkit.fluxcd.io/name", "kustomize.toolkit.fluxcd.io/namespace",
	"openshift.io/generated-by", "openshift.io/internal-registry-pull-secret-ref", "autoscaling.alpha.kubernetes.io/conditions",
	"openshift.io/image.dockerRepositoryCheck",
}

// namespaceBooks are those of a Namespace: what OpenShift has given to the project, of one cluster's numbers.
var namespaceBooks = []string{"openshift.io/sa.scc.mcs", "openshift.io/sa.scc.supplemental-groups", "openshift.io/sa.scc.uid-range", "cattle.io/status"}

func dropBooks(o map[string]any) {
	drop := oneOf(books...)
	if kindOf(o) == "Namespace" {
		own := oneOf(namespaceBooks...)
		drop = func(key string) bool { return oneOf(books...)(key) || own(key) }
	}
	dropKeys(o, "metadata.annotations", drop)
	dropKeys(o, "metadata.labels", drop)
}

// dropNulls takes out fields that are null, which are absent ones, and the creation times that old clients write into templates.
func dropNulls(v any) {
	switch v := v.(type) {
	case map[string]any:
		for key, e := range v {
			if e == nil {
				delete(v, key)
				continue
			}
			dropNulls(e)
		}
	case []any:
		for _, e := range v {
			dropNulls(e)
		}
	}
}

// special is a default that depends on other fields.
type special struct {
	kind, what string
	apply      func(o map[string]any)
}

var specials = []special{
	{"Service", "targetPort is the port", func(o map[string]any) {
		for _, p := range maps(o, "spec.ports") {
			if equal(p["targetPort"], p["port"]) {
				delete(p, "targetPort")
			}
		}
	}},
	{"NetworkPolicy.networking.k8s.io", "policyTypes are Ingress, and Egress if there are rules for it", dropPolicyTypes},
	{"Job.batch", "parallelism is 1, and completions too if neither is given", dropJobCounts},
	{"Job.batch", "backoffLimit is 6, without backoffLimitPerIndex", func(o map[string]any) {
		want := int64(6)
		if at(o, "spec.backoffLimitPerIndex") != nil {
			want = 1<<31 - 1
		}
		dropIf(o, "spec.backoffLimit", want)
	}},
	{"Job.batch", "podReplacementPolicy is TerminatingOrFailed, with a podFailurePolicy Failed", func(o map[string]any) {
		want := "TerminatingOrFailed"
		if at(o, "spec.podFailurePolicy") != nil {
			want = "Failed"
		}
		dropIf(o, "spec.podReplacementPolicy", want)
	}},
	{"LimitRange", "default is the maximum; defaultRequest is the default, or the minimum", dropLimits},
	{"Secret", "the namespace in a token of a service account", func(o map[string]any) {
		if o["type"] == "kubernetes.io/service-account-token" {
			delete(mapAt(o, "data"), "namespace")
			if data, ok := o["data"].(map[string]any); ok && len(data) == 0 {
				delete(o, "data")
			}
		}
	}},
	{"PersistentVolumeClaim", "the class in the annotation of old clusters", func(o map[string]any) {
		if at(o, "spec.storageClassName") != nil {
			dropKeys(o, "metadata.annotations", oneOf("volume.beta.kubernetes.io/storage-class"))
		}
	}},
	{"ServiceAccount", "pull secrets of OpenShift's own registry", func(o map[string]any) {
		for _, key := range []string{"secrets", "imagePullSecrets"} {
			if list, ok := o[key].([]any); ok && len(list) == 0 {
				delete(o, key)
			}
		}
	}},
}

func dropIf(o map[string]any, path string, value any) {
	if i := strings.LastIndexByte(path, '.'); equal(at(o, path), value) {
		delete(mapAt(o, path[:i]), path[i+1:])
	}
}

func dropPolicyTypes(o map[string]any) {
	want := []any{"Ingress"}
	if egress, _ := at(o, "spec.egress").([]any); len(egress) > 0 {
		want = append(want, "Egress")
	}
	dropIf(o, "spec.policyTypes", want)
}

func dropJobCounts(o map[string]any) {
	spec := mapAt(o, "spec")
	if !equal(spec["parallelism"], int64(1)) {
		return
	}
	if spec["completions"] == nil {
		return // only both together default to 1
	}
	delete(spec, "parallelism")
	if equal(spec["completions"], int64(1)) {
		delete(spec, "completions")
	}
}

// dropLimits goes backwards through what the server does for limits of containers: maximum to default, default to request, minimum to request.
func dropLimits(o map[string]any) {
	for _, item := range maps(o, "spec.limits") {
		if item["type"] != "Container" {
			continue
		}
		requests, usual := mapAt(item, "defaultRequest"), mapAt(item, "default")
		for name, v := range requests {
			source, ok := usual[name]
			if !ok {
				source = mapAt(item, "min")[name]
			}
			if equal(v, source) {
				delete(requests, name)
			}
		}
		for name, v := range usual {
			if equal(v, mapAt(item, "max")[name]) {
				delete(usual, name)
			}
		}
		for _, key := range []string{"defaultRequest", "default"} {
			if m, ok := item[key].(map[string]any); ok && len(m) == 0 {
				delete(item, key)
			}
		}
	}
}
