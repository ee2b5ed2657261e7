// SPDX-License-Identifier: Apache-2.0

package object

import (
	"encoding/json"
	"fmt"
)

var networkRules = []Rule{
	{ID: "service-ip", Kinds: "Service", Field: "spec.clusterIP, spec.clusterIPs, unless None", Why: "allocated by the API server", apply: each(dropClusterIP)},
	{ID: "service-nodeport", Kinds: "Service", Field: "spec.ports[].nodePort, spec.healthCheckNodePort, unless one side shows (by last-applied-configuration or managedFields) that a user set it",
		Why: "allocated by the API server", apply: dropNodePorts},
	{ID: "service-families", Kinds: "Service", Field: "spec.ipFamilies, if one side has none; spec.ipFamilyPolicy SingleStack", Why: "allocated by the API server; the default",
		apply: all(dropFamilies, defaults("spec.ipFamilyPolicy", "SingleStack"))},
	{ID: "service-defaults", Kinds: "Service", Field: "spec.internalTrafficPolicy Cluster, spec.allocateLoadBalancerNodePorts true", Why: "defaults that older API servers do not write",
		apply: all(defaults("spec.internalTrafficPolicy", "Cluster"), defaults("spec.allocateLoadBalancerNodePorts", true))},
	{ID: "endpoints", Kinds: "Endpoints", Field: "subsets of a controller's Endpoints; annotation endpoints.kubernetes.io/last-change-trigger-time; its labels", Why: "made from the pods of the Service",
		apply: dropEndpoints},
	{ID: "endpointslice", Kinds: "EndpointSlice.discovery.k8s.io", Field: "endpoints and ports of a controller's EndpointSlice; annotation endpoints.kubernetes.io/last-change-trigger-time", Why: "made from the pods of the Service",
		apply: dropSlice},
}

func dropClusterIP(o map[string]any) {
	if get(o, "spec.clusterIP") == "None" {
		drop(o, []string{"spec", "clusterIPs"})
		return
	}
	drop(o, []string{"spec", "clusterIP"})
	drop(o, []string{"spec", "clusterIPs"})
}

func dropFamilies(a, b map[string]any) {
	if get(a, "spec.ipFamilies") == nil || get(b, "spec.ipFamilies") == nil {
		drops("spec.ipFamilies")(a, b)
	}
}

func dropNodePorts(a, b map[string]any) {
	users := map[string]bool{}
	userPorts(a, users)
	userPorts(b, users)
	each(func(o map[string]any) {
		for _, p := range objects(o, "spec.ports") {
			if !users[portKey(p)] {
				delete(p, "nodePort")
			}
		}
		if !users[healthPort] {
			drop(o, []string{"spec", "healthCheckNodePort"})
		}
	})(a, b)
}

const healthPort = "health check"

func portKey(p map[string]any) string {
	protocol := str(p, "protocol")
	if protocol == "" {
		protocol = "TCP"
	}
	n, _ := number(p["port"])
	return fmt.Sprintf("%v/%s", n, protocol)
}

// userPorts collects the ports whose node port somebody set: they are in what kubectl applied, or owned by
// a field manager; those that the API server allocates are in neither.
func userPorts(o map[string]any, users map[string]bool) {
	var applied map[string]any
	meta, _ := o["metadata"].(map[string]any)
	notes, _ := meta["annotations"].(map[string]any)
	text, _ := notes["kubectl.kubernetes.io/last-applied-configuration"].(string)
	if json.Unmarshal([]byte(text), &applied) == nil {
		for _, p := range objects(applied, "spec.ports") {
			if n, ok := number(p["nodePort"]); ok && n > 0 {
				users[portKey(p)] = true
			}
		}
		if n, ok := number(get(applied, "spec.healthCheckNodePort")); ok && n > 0 {
			users[healthPort] = true
		}
	}
	for _, m := range objects(o, "metadata.managedFields") {
		fields, _ := m["fieldsV1"].(map[string]any)
		ports, _ := get(fields, "f:spec.f:ports").(map[string]any)
		for key, owned := range ports {
			var p map[string]any
			o, _ := owned.(map[string]any)
			if _, ok := o["f:nodePort"]; ok && len(key) > 2 && json.Unmarshal([]byte(key[2:]), &p) == nil {
				users[portKey(p)] = true
			}
		}
		if get(fields, "f:spec.f:healthCheckNodePort") != nil {
			users[healthPort] = true
		}
	}
}

const triggerTime = "endpoints.kubernetes.io/last-change-trigger-time"

func hasKey(o map[string]any, path, key string) bool {
	m, _ := get(o, path).(map[string]any)
	_, ok := m[key]
	return ok
}

func dropEndpoints(a, b map[string]any) {
	const managed, headless = "endpoints.kubernetes.io/managed-by", "service.kubernetes.io/headless"
	made := func(o map[string]any) bool {
		return hasKey(o, "metadata.annotations", triggerTime) || hasKey(o, "metadata.labels", managed)
	}
	ofController := made(a) || made(b)
	each(func(o map[string]any) {
		dropKeys(o, "metadata.annotations", triggerTime)
		if ofController {
			delete(o, "subsets")
			dropKeys(o, "metadata.labels", managed, headless)
		}
	})(a, b)
}

func dropSlice(a, b map[string]any) {
	made := func(o map[string]any) bool {
		labels, _ := get(o, "metadata.labels").(map[string]any)
		by, _ := labels[sliceManager].(string)
		return ownSlice(by)
	}
	ofController := made(a) && made(b)
	each(func(o map[string]any) {
		dropKeys(o, "metadata.annotations", triggerTime)
		if ofController {
			delete(o, "endpoints")
			delete(o, "ports")
		}
	})(a, b)
}
