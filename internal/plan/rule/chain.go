// SPDX-License-Identifier: Apache-2.0

package rule

import "hozon.dev/hozon/internal/object"

// chains are the built-in owners that take their children back by themselves, by labels: the child is created
// without the reference, before its owner, and the controller adopts it. A reference made by us would race with that.
var chains = map[string]map[string]bool{
	"pods": {
		"apps/ReplicaSet": true, "apps/StatefulSet": true, "apps/DaemonSet": true, "/ReplicationController": true, "batch/Job": true,
	},
	"replicasets.apps":         {"apps/Deployment": true},
	"controllerrevisions.apps": {"apps/StatefulSet": true, "apps/DaemonSet": true},
	// The StatefulSet controller sets this reference itself if the set's retention policy asks for it.
	"persistentvolumeclaims": {"apps/StatefulSet": true},
}

// Adopts reports whether the owner takes the object back by itself.
func Adopts(child object.Ref, o Owner) bool {
	return chains[child.GroupResource()][o.Group+"/"+o.Kind]
}

// Remakes reports whether the owner, once restored, makes the object anew, so that a saved one would be in the way: a Job counts the
// pods that it made, and a pod makes its ephemeral claims.
func Remakes(child object.Ref, o Owner) bool {
	switch child.GroupResource() {
	case "pods":
		return o.Group == "batch" && o.Kind == "Job"
	case "persistentvolumeclaims":
		return o.Group == "" && o.Kind == "Pod"
	}
	return false
}
