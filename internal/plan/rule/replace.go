// SPDX-License-Identifier: Apache-2.0

package rule

import (
	"strings"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
)

// Replacement is a part of an image's name and what comes in its place.
type Replacement struct{ Old, New string }

// podSpecs are the paths to what makes a kind's pods.
var podSpecs = map[string][]string{
	"/Pod":                   {"spec"},
	"/ReplicationController": {"spec", "template", "spec"},
	"apps/Deployment":        {"spec", "template", "spec"},
	"apps/StatefulSet":       {"spec", "template", "spec"},
	"apps/DaemonSet":         {"spec", "template", "spec"},
	"apps/ReplicaSet":        {"spec", "template", "spec"},
	"batch/Job":              {"spec", "template", "spec"},
	"batch/CronJob":          {"spec", "jobTemplate", "spec", "template", "spec"},
}

// replace does what the user has asked for in the ConfigMaps of Velero's actions change-storage-class and change-image-name. Of several replacements the first
// whose old part an image has is made.
func replace(o *unstructured.Unstructured, env Env) {
	gvk := o.GroupVersionKind()
	kind := gvk.Group + "/" + gvk.Kind
	if len(env.Classes) > 0 {
		replaceClass(o, kind, env.Classes)
	}
	if path, ok := podSpecs[kind]; ok && len(env.Images) > 0 {
		spec := find(o.Object, path...)
		for _, key := range []string{"containers", "initContainers"} {
			for _, c := range maps(spec, key) {
				c["image"] = image(c["image"], env.Images)
			}
		}
	}
}

func image(v any, replacements []Replacement) any {
	name, _ := v.(string)
	for _, r := range replacements {
		if strings.Contains(name, r.Old) {
			return strings.Replace(name, r.Old, r.New, 1)
		}
	}
	return v
}

const classAnnotation = "volume.beta.kubernetes.io/storage-class" // before 1.6

func replaceClass(o *unstructured.Unstructured, kind string, classes map[string]string) {
	change := func(m map[string]any, key string) {
		name, _ := m[key].(string)
		if to, ok := classes[name]; ok {
			m[key] = to
		}
	}
	claim := func(m map[string]any) {
		change(find(m, "spec"), "storageClassName")
		change(find(m, "metadata", "annotations"), classAnnotation)
	}
	switch kind {
	case "/PersistentVolume", "/PersistentVolumeClaim":
		claim(o.Object)
	case "apps/StatefulSet":
		for _, t := range maps(find(o.Object, "spec"), "volumeClaimTemplates") {
			claim(t)
		}
	}
}
