// SPDX-License-Identifier: Apache-2.0

package rule

import (
	"encoding/json"
	"slices"
	"strings"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
)

const istioStatus = "sidecar.istio.io/status"

// mesh is what a mesh puts into pods, and how one sees that it did.
type mesh struct {
	mark                                string // annotation or label
	containers, initContainers, volumes []string
}

var meshes = []mesh{
	{
		mark: "linkerd.io/proxy-version", containers: []string{"linkerd-proxy"}, initContainers: []string{"linkerd-init", "linkerd-network-validator", "linkerd-proxy"},
		volumes: []string{"linkerd-proxy-init-xtables-lock", "linkerd-identity-end-entity", "linkerd-identity-token"},
	},
	{mark: "osm-proxy-uuid", containers: []string{"envoy"}, initContainers: []string{"osm-init"}, volumes: []string{"envoy-bootstrap-config-volume"}},
}

// Injectors are parts of the names of the webhooks that put them there.
var Injectors = []string{"istio", "linkerd", "osm"}

// injected is what a mesh has put into a pod; ok says that one has.
func injected(pod map[string]any) (m mesh, ok bool) {
	annotations, labels := find(pod, "metadata", "annotations"), find(pod, "metadata", "labels")
	if text, is := annotations[istioStatus].(string); is {
		var status struct{ Containers, InitContainers, Volumes []string }
		if json.Unmarshal([]byte(text), &status) == nil {
			return mesh{mark: istioStatus, containers: status.Containers, initContainers: status.InitContainers, volumes: status.Volumes}, true
		}
	}
	for _, m := range meshes {
		if annotations[m.mark] != nil || labels[m.mark] != nil {
			return m, true
		}
	}
	return mesh{}, false
}

// Uninject takes out of a pod what a mesh has put into it. It reports whether there was something.
func Uninject(o *unstructured.Unstructured) bool {
	m, ok := injected(o.Object)
	if !ok {
		return false
	}
	spec := find(o.Object, "spec")
	without := func(m map[string]any, key string, names []string) {
		list, ok := m[key].([]any)
		if !ok {
			return
		}
		list = slices.DeleteFunc(slices.Clone(list), func(e any) bool {
			c, _ := e.(map[string]any)
			name, _ := c["name"].(string)
			return slices.Contains(names, name)
		})
		if len(list) == 0 {
			delete(m, key)
			return
		}
		m[key] = list
	}
	without(spec, "containers", m.containers)
	without(spec, "initContainers", m.initContainers)
	without(spec, "volumes", m.volumes)
	for _, key := range []string{"containers", "initContainers"} {
		for _, c := range maps(spec, key) {
			without(c, "volumeMounts", m.volumes)
		}
	}
	if strings.HasPrefix(m.mark, "sidecar.istio.io") || strings.HasPrefix(m.mark, "linkerd.io") {
		dropAnnotations(o, m.mark)
	}
	delete(find(o.Object, "metadata", "labels"), m.mark)
	return true
}
