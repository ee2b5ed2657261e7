// SPDX-License-Identifier: Apache-2.0

package rule

import (
	"fmt"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
)

// renamed are versions of built-in kinds whose objects are the same in v1 (or the version that is named) but for their apiVersion.
var renamed = map[string]string{
	"admissionregistration.k8s.io/v1beta1/ValidatingAdmissionPolicy":        "v1",
	"admissionregistration.k8s.io/v1beta1/ValidatingAdmissionPolicyBinding": "v1",
	"autoscaling/v2beta2/HorizontalPodAutoscaler":                           "v2",
	"batch/v1beta1/CronJob":                                "v1",
	"coordination.k8s.io/v1beta1/Lease":                    "v1",
	"networking.k8s.io/v1beta1/IngressClass":               "v1",
	"node.k8s.io/v1beta1/RuntimeClass":                     "v1",
	"policy/v1beta1/PodDisruptionBudget":                   "v1",
	"rbac.authorization.k8s.io/v1beta1/Role":               "v1",
	"rbac.authorization.k8s.io/v1beta1/RoleBinding":        "v1",
	"rbac.authorization.k8s.io/v1beta1/ClusterRole":        "v1",
	"rbac.authorization.k8s.io/v1beta1/ClusterRoleBinding": "v1",
	"scheduling.k8s.io/v1beta1/PriorityClass":              "v1",
	"storage.k8s.io/v1beta1/CSIDriver":                     "v1",
	"storage.k8s.io/v1beta1/StorageClass":                  "v1",
	"networking.k8s.io/v1beta1/Ingress":                    "v1",
}

// Converts is the version that a built-in kind's objects can be written in without a loss where the saved one is not served any more; ""
// if there is none.
func Converts(group, version, kind string) string { return renamed[group+"/"+version+"/"+kind] }

// convert writes an object in another version of its group.
func convert(o *unstructured.Unstructured, version string) error {
	gvk := o.GroupVersionKind()
	switch gvk.Group + "/" + gvk.Version + "/" + gvk.Kind {
	case "networking.k8s.io/v1beta1/Ingress":
		convertIngress(o)
	case "policy/v1beta1/PodDisruptionBudget":
		// An empty selector meant no pod, and means every pod in v1.
		if s := find(o.Object, "spec", "selector"); s != nil && len(s) == 0 {
			return fmt.Errorf("its empty selector selects no pod in %s and every pod in %s: it cannot be restored in that version", gvk.Version, version)
		}
	}
	gvk.Version = version
	o.SetGroupVersionKind(gvk)
	return nil
}

// convertIngress writes backends as v1 has them, and path types as v1beta1 meant them.
func convertIngress(o *unstructured.Unstructured) {
	spec := find(o.Object, "spec")
	if b := find(spec, "backend"); b != nil {
		spec["defaultBackend"] = backend(b)
		delete(spec, "backend")
	}
	for _, r := range maps(spec, "rules") {
		for _, p := range maps(find(r, "http"), "paths") {
			if b := find(p, "backend"); b != nil {
				p["backend"] = backend(b)
			}
			if p["pathType"] == nil {
				p["pathType"] = "ImplementationSpecific"
			}
		}
	}
}

func backend(b map[string]any) map[string]any {
	if b["serviceName"] == nil {
		return b
	}
	port := map[string]any{"number": b["servicePort"]}
	if name, ok := b["servicePort"].(string); ok {
		port = map[string]any{"name": name}
	}
	return map[string]any{"service": map[string]any{"name": b["serviceName"], "port": port}}
}
