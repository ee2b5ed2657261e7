// SPDX-License-Identifier: Apache-2.0

package rule

import "k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

// kept are the metadata fields that an update leaves as they are: identity, and what others hang on the object.
var kept = []string{"uid", "resourceVersion", "generation", "creationTimestamp", "deletionTimestamp",
	"deletionGracePeriodSeconds", "generateName", "selfLink", "managedFields", "finalizers"}

var adopters = map[string]func(desired, live map[string]any){
	"/Service":               adoptService,
	"/Pod":                   adoptPod,
	"/PersistentVolumeClaim": adoptClaim,
	"/PersistentVolume":      adoptVolume,
	"/Secret":                adoptSecret,
	"batch/Job":              adoptJob,
	"apps/ReplicaSet":        adoptReplicaSet,
}

// Adopt completes the transformed object with what the target has decided since about the live one: identity, status, and the
// values that the server or its controllers allocate. What remains different is what an update has to change.
func Adopt(desired, live *unstructured.Unstructured) {
	to, from := find(desired.Object, "metadata"), find(live.Object, "metadata")
	for _, key := range kept {
		carry(to, from, key)
	}
	keepOwners(to, from)
	keepTracking(to, from)
	carry(desired.Object, live.Object, "status")
	gvk := desired.GroupVersionKind()
	if f := adopters[gvk.Group+"/"+gvk.Kind]; f != nil {
		f(desired.Object, live.Object)
	}
}

// keepOwners leaves the live references as they are, and adds those to restored owners that are missing.
func keepOwners(to, from map[string]any) {
	linked, _ := to["ownerReferences"].([]any)
	carry(to, from, "ownerReferences")
	live, _ := to["ownerReferences"].([]any)
	for _, l := range linked {
		if ref, _ := l.(map[string]any); !hasUID(live, ref["uid"]) {
			live = append(live[:len(live):len(live)], l)
		}
	}
	if len(live) > 0 {
		to["ownerReferences"] = live
	}
}

func hasUID(refs []any, uid any) bool {
	for _, r := range refs {
		if ref, _ := r.(map[string]any); ref["uid"] == uid {
			return true
		}
	}
	return false
}

// carry makes to[key] what from[key] is.
func carry(to, from map[string]any, key string) {
	if v, ok := from[key]; ok {
		to[key] = v
	} else {
		delete(to, key)
	}
}

// fill sets to[key] to what from has, if to has nothing.
func fill(to, from map[string]any, keys ...string) {
	for _, key := range keys {
		if v, ok := from[key]; ok && to[key] == nil {
			to[key] = v
		}
	}
}

func adoptService(desired, live map[string]any) {
	to, from := find(desired, "spec"), find(live, "spec")
	if to == nil || from == nil {
		return
	}
	fill(to, from, "clusterIP", "clusterIPs", "healthCheckNodePort")
	if t := to["type"]; t != "NodePort" && t != "LoadBalancer" {
		return
	}
	for _, p := range maps(to, "ports") {
		for _, q := range maps(from, "ports") {
			if a, b := portOf(p), portOf(q); portKey(a.Port, a.Protocol) == portKey(b.Port, b.Protocol) {
				fill(p, q, "nodePort")
			}
		}
	}
}

// adoptReplicaSet leaves the number of replicas to the Deployment.
func adoptReplicaSet(desired, live map[string]any) {
	for _, ref := range maps(find(live, "metadata"), "ownerReferences") {
		if to := find(desired, "spec"); ref["kind"] == "Deployment" && to != nil {
			carry(to, find(live, "spec"), "replicas")
		}
	}
}

func adoptPod(desired, live map[string]any) {
	if to := find(desired, "spec"); to != nil {
		fill(to, find(live, "spec"), "nodeName", "priority", "ephemeralContainers")
	}
}

// Annotations by which the volume controllers keep their books.
var bindingAnnotations = []string{
	"pv.kubernetes.io/bind-completed", "pv.kubernetes.io/bound-by-controller", "pv.kubernetes.io/provisioned-by",
	"volume.beta.kubernetes.io/storage-provisioner", "volume.kubernetes.io/storage-provisioner", "volume.kubernetes.io/selected-node",
}

func adoptAnnotations(desired, live map[string]any, keys []string) {
	from := find(live, "metadata", "annotations")
	for _, key := range keys {
		if from[key] == nil {
			continue
		}
		if to, err := child(desired, "metadata", "annotations"); err == nil {
			fill(to, from, key)
		}
	}
}

func adoptClaim(desired, live map[string]any) {
	adoptAnnotations(desired, live, bindingAnnotations)
	if to := find(desired, "spec"); to != nil {
		fill(to, find(live, "spec"), "volumeName", "dataSource", "dataSourceRef", "selector")
	}
}

func adoptVolume(desired, live map[string]any) {
	adoptAnnotations(desired, live, bindingAnnotations)
	to, from := find(desired, "spec", "claimRef"), find(live, "spec", "claimRef")
	if to != nil && to["namespace"] == from["namespace"] && to["name"] == from["name"] {
		fill(to, from, "uid", "resourceVersion")
	}
}

func adoptSecret(desired, live map[string]any) {
	if desired["type"] != tokenType {
		return
	}
	adoptAnnotations(desired, live, []string{accountUID})
	if from := find(live, "data"); from != nil {
		if to, err := child(desired, "data"); err == nil {
			fill(to, from, "token", "ca.crt", "namespace")
		}
	}
}

// adoptJob leaves selector and template alone: both are immutable and carry the live job's UID.
func adoptJob(desired, live map[string]any) {
	to, from := find(desired, "spec"), find(live, "spec")
	if to == nil || from == nil {
		return
	}
	fill(to, from, "selector")
	target := find(to, "template", "metadata")
	source := find(from, "template", "metadata", "labels")
	if target == nil {
		return
	}
	if labels, err := child(target, "labels"); err == nil {
		fill(labels, source, "controller-uid", "batch.kubernetes.io/controller-uid")
	}
}
