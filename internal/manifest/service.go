// SPDX-License-Identifier: Apache-2.0

package manifest

import (
	"fmt"

	utiljson "k8s.io/apimachinery/pkg/util/json"
)

// chose reports whether somebody wrote the field spec.<name>, rather than the server: it is in what kubectl applied, or has a field manager.
// What the API server allocates is in neither.
func chose(o map[string]any, name string) bool {
	text, _ := mapAt(o, "metadata.annotations")["kubectl.kubernetes.io/last-applied-configuration"].(string)
	var applied map[string]any
	if text != "" && utiljson.Unmarshal([]byte(text), &applied) == nil && at(applied, "spec."+name) != nil {
		return true
	}
	for _, m := range maps(o, "metadata.managedFields") {
		if spec := mapAt(m, "fieldsV1.f:spec"); spec["f:"+name] != nil {
			return true
		}
	}
	return false
}

// isState reports whether an object is the state of one in a cluster. In anything else, a manifest, every field was written by somebody.
func isState(o map[string]any) bool {
	meta := mapAt(o, "metadata")
	return meta["uid"] != nil || meta["managedFields"] != nil
}

// chosenPorts returns what puts the node ports of a manifest back.
func chosenPorts(o map[string]any) func() {
	if kindOf(o) != "Service" || isState(o) {
		return func() {}
	}
	ports := maps(o, "spec.ports")
	nodes := make([]any, len(ports))
	for i, p := range ports {
		nodes[i] = p["nodePort"]
	}
	health := at(o, "spec.healthCheckNodePort")
	return func() {
		for i, p := range ports {
			if nodes[i] != nil {
				p["nodePort"] = nodes[i]
			}
		}
		if health != nil {
			mapAt(o, "spec")["healthCheckNodePort"] = health
		}
	}
}

// allocated takes the families of addresses out of a Service that nobody chose them for. It reads the managed fields, so it comes first.
func allocated(o map[string]any) {
	if kindOf(o) != "Service" {
		return
	}
	spec := mapAt(o, "spec")
	if spec["ipFamilies"] != nil && isState(o) && !chose(o, "ipFamilies") {
		delete(spec, "ipFamilies")
	}
	if spec["type"] == "ExternalName" {
		delete(spec, "clusterIP")
	}
}

// missed are the notes about what Clean takes out although somebody chose it.
func missed(o map[string]any) []Note {
	var notes []Note
	for i, owner := range maps(o, "metadata.ownerReferences") {
		notes = append(notes, Note{Kind: Owner, Field: index("metadata.ownerReferences", i), Text: fmt.Sprintf(
			"owned by %s %s: the reference is left out, as it goes by the owner's UID", owner["kind"], owner["name"])})
	}
	notes = append(notes, pushedTags(o)...)
	if kindOf(o) != "Service" {
		return notes
	}
	if ip := textAt(o, "spec.clusterIP"); ip != "" && ip != "None" && chose(o, "clusterIP") {
		notes = append(notes, Note{Kind: ClusterIP, Field: "spec.clusterIP", Text: fmt.Sprintf(
			"the fixed address %s is left out: another cluster has other addresses", ip)})
	}
	return notes
}
