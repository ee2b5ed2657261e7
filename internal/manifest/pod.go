// SPDX-License-Identifier: Apache-2.0

package manifest

import "strings"

// templates say where a kind has the template of its pods; that of a Pod is the object itself.
var templates = map[string]string{
	"PodTemplate":                        "template",
	"ReplicationController":              "spec.template",
	"ReplicaSet.apps":                    "spec.template",
	"Deployment.apps":                    "spec.template",
	"StatefulSet.apps":                   "spec.template",
	"DaemonSet.apps":                     "spec.template",
	"Job.batch":                          "spec.template",
	"CronJob.batch":                      "spec.jobTemplate.spec.template",
	"DeploymentConfig.apps.openshift.io": "spec.template",
}

// podSpec is the specification of the pods that an object is or makes, and its path; nil if it has none.
func podSpec(o map[string]any) (map[string]any, string) {
	kind := kindOf(o)
	path := "spec"
	if kind != "Pod" {
		t, ok := templates[kind]
		if !ok {
			return nil, ""
		}
		path = t + ".spec"
	}
	return mapAt(o, path), path
}

// claimSpecs are the specifications of the claims that an object is or makes, by their paths.
func claimSpecs(o map[string]any, fn func(path string, spec map[string]any)) {
	switch kindOf(o) {
	case "PersistentVolumeClaim":
		if spec := mapAt(o, "spec"); spec != nil {
			fn("spec", spec)
		}
	case "StatefulSet.apps":
		for i, t := range maps(o, "spec.volumeClaimTemplates") {
			if spec := mapAt(t, "spec"); spec != nil {
				fn(index("spec.volumeClaimTemplates", i)+".spec", spec)
			}
		}
	}
}

var containerLists = []string{"initContainers", "containers", "ephemeralContainers"}

// containers calls fn with every container and its path.
func containers(o map[string]any, fn func(path string, c map[string]any)) {
	spec, path := podSpec(o)
	if spec == nil {
		return
	}
	for _, list := range containerLists {
		for i, c := range maps(spec, list) {
			fn(index(path+"."+list, i), c)
		}
	}
}

// cleanPod leaves the defaults out of the specification of pods.
func cleanPod(o map[string]any) {
	spec, path := podSpec(o)
	if spec == nil {
		return
	}
	dropDefaults("(pod)", spec)
	if spec["serviceAccountName"] != nil {
		delete(spec, "serviceAccount") // the server's copy under the old name
	}
	isPod := path == "spec" && kindOf(o) == "Pod"
	if isPod && spec["serviceAccountName"] == "default" {
		delete(spec, "serviceAccountName")
	}
	containers(o, func(_ string, c map[string]any) {
		if isPod {
			dropEqualRequests(c)
		}
		dropDefaults("(container)", c)
		dropPullPolicy(c)
		for _, handler := range []string{"livenessProbe", "readinessProbe", "startupProbe", "lifecycle.postStart", "lifecycle.preStop"} {
			if h := mapAt(c, handler); h != nil {
				dropDefaults("(handler)", h)
			}
		}
		if spec["hostNetwork"] == true {
			for _, p := range maps(c, "ports") {
				if equal(p["hostPort"], p["containerPort"]) {
					delete(p, "hostPort")
				}
			}
		}
	})
	if template := mapAt(o, strings.TrimSuffix(path, ".spec")); !isPod {
		if meta, ok := template["metadata"].(map[string]any); ok && len(meta) == 0 {
			delete(template, "metadata")
		}
	}
}

// dropPullPolicy: the default is Always for the tag latest, given or meant, and IfNotPresent otherwise.
func dropPullPolicy(c map[string]any) {
	image, _ := c["image"].(string)
	if image == "" || strings.Trim(image, "abcdefghijklmnopqrstuvwxyz0123456789._-/:@") != "" {
		return // a name that the server may not be able to take apart
	}
	want := "IfNotPresent"
	if name, digest := splitImage(image); tagOf(name) == "latest" || tagOf(name) == "" && digest == "" {
		want = "Always"
	}
	if c["imagePullPolicy"] == want {
		delete(c, "imagePullPolicy")
	}
}

// dropEqualRequests: a Pod that says no request for a resource gets the limit's. (Templates are left as they are.)
func dropEqualRequests(c map[string]any) {
	limits, requests := mapAt(c, "resources.limits"), mapAt(c, "resources.requests")
	for name, limit := range limits {
		if equal(requests[name], limit) {
			delete(requests, name)
		}
	}
	if requests != nil && len(requests) == 0 {
		delete(mapAt(c, "resources"), "requests")
	}
}
