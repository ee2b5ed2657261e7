// SPDX-License-Identifier: Apache-2.0

package manifest

import "strings"

// openShiftDefaults are those of OpenShift's API server, as far as it fills them in for everybody; see defaults for the form. A
// DeploymentConfig without replicas has none, so 1 is no default.
const openShiftDefaults = `
DeploymentConfig.apps.openshift.io spec.strategy.rollingParams.intervalSeconds      1
DeploymentConfig.apps.openshift.io spec.strategy.rollingParams.updatePeriodSeconds  1
DeploymentConfig.apps.openshift.io spec.strategy.rollingParams.timeoutSeconds       600
DeploymentConfig.apps.openshift.io spec.strategy.rollingParams.maxSurge             "25%"
DeploymentConfig.apps.openshift.io spec.strategy.rollingParams.maxUnavailable       "25%"
DeploymentConfig.apps.openshift.io spec.strategy.rollingParams                      {}
DeploymentConfig.apps.openshift.io spec.strategy.recreateParams.timeoutSeconds      600
DeploymentConfig.apps.openshift.io spec.strategy.recreateParams                     {}
DeploymentConfig.apps.openshift.io spec.strategy.activeDeadlineSeconds              21600
DeploymentConfig.apps.openshift.io spec.strategy.resources                          {}
DeploymentConfig.apps.openshift.io spec.strategy.type                               "Rolling"
DeploymentConfig.apps.openshift.io spec.strategy                                    {}
DeploymentConfig.apps.openshift.io spec.test                                        false
BuildConfig.build.openshift.io     spec.runPolicy                                   "Serial"
BuildConfig.build.openshift.io     spec.resources                                   {}
BuildConfig.build.openshift.io     spec.postCommit                                  {}
ImageStream.image.openshift.io     spec.lookupPolicy.local                          false
ImageStream.image.openshift.io     spec.lookupPolicy                                {}
ImageStream.image.openshift.io     spec.tags.*.importPolicy.importMode              "Legacy"
ImageStream.image.openshift.io     spec.tags.*.importPolicy                         {}
ImageStream.image.openshift.io     spec.tags.*.referencePolicy.type                 "Source"
ImageStream.image.openshift.io     spec.tags.*.referencePolicy                      {}
Route.route.openshift.io           spec.to.weight                                   100
Route.route.openshift.io           spec.to.kind                                     "Service"
Route.route.openshift.io           spec.alternateBackends.*.weight                  100
Route.route.openshift.io           spec.alternateBackends.*.kind                    "Service"
Route.route.openshift.io           spec.wildcardPolicy                              "None"
`

// openShiftSpecials are what OpenShift's controllers write into specifications.
var openShiftSpecials = []special{
	{"Route.route.openshift.io", "the host that the router made up", func(o map[string]any) {
		if notes := mapAt(o, "metadata.annotations"); notes["openshift.io/host.generated"] == "true" {
			delete(mapAt(o, "spec"), "host")
			dropKeys(o, "metadata.annotations", oneOf("openshift.io/host.generated"))
		}
	}},
	{"DeploymentConfig.apps.openshift.io", "the image that a trigger found last, and its own namespace", func(o map[string]any) {
		for _, t := range maps(o, "spec.triggers") {
			delete(mapAt(t, "imageChangeParams"), "lastTriggeredImage")
			if from := mapAt(t, "imageChangeParams.from"); equal(from["namespace"], at(o, "metadata.namespace")) {
				delete(from, "namespace")
			}
		}
	}},
	{"BuildConfig.build.openshift.io", "the image that a trigger found last", func(o map[string]any) {
		for _, t := range maps(o, "spec.triggers") {
			delete(mapAt(t, "imageChange"), "lastTriggeredImageID")
		}
	}},
	{"ImageStream.image.openshift.io", "how often a tag was imported", func(o map[string]any) {
		for _, t := range maps(o, "spec.tags") {
			delete(t, "generation")
		}
	}},
}

// strategies of a BuildConfig that begin with an image.
var strategies = []string{"sourceStrategy", "dockerStrategy", "customStrategy"}

// openShiftImages are the images that are named outside of containers.
func openShiftImages(o map[string]any, fn func(field string, in map[string]any, key string)) {
	named := func(field string, ref map[string]any) {
		if textAt(ref, "kind") == "DockerImage" {
			fn(field+".name", ref, "name")
		}
	}
	switch kindOf(o) {
	case "ImageStream.image.openshift.io":
		if textAt(o, "spec.dockerImageRepository") != "" {
			fn("spec.dockerImageRepository", mapAt(o, "spec"), "dockerImageRepository")
		}
		for i, t := range maps(o, "spec.tags") {
			named(index("spec.tags", i)+".from", mapAt(t, "from"))
		}
	case "BuildConfig.build.openshift.io":
		for _, s := range strategies {
			named("spec.strategy."+s+".from", mapAt(o, "spec.strategy."+s+".from"))
		}
		named("spec.output.to", mapAt(o, "spec.output.to"))
	}
}

// pushedTags notes the tags of an image stream that only its status has: builds and people pushed them into this cluster's registry.
func pushedTags(o map[string]any) []Note {
	if kindOf(o) != "ImageStream.image.openshift.io" {
		return nil
	}
	known := map[string]bool{}
	for _, t := range maps(o, "spec.tags") {
		known[textAt(t, "name")] = true
	}
	var pushed []string
	for _, t := range maps(o, "status.tags") {
		if tag := textAt(t, "tag"); !known[tag] {
			pushed = append(pushed, tag)
		}
	}
	if len(pushed) == 0 {
		return nil
	}
	return []Note{{Kind: OpenShift, Field: "status.tags", Text: "images that were pushed into this cluster's registry stay there, and these tags with them: " +
		strings.Join(pushed, ", ")}}
}

// openShift notes what only OpenShift has.
func (n *notes) openShift(kind string, o map[string]any) {
	switch kind {
	case "DeploymentConfig.apps.openshift.io":
		for i, t := range maps(o, "spec.triggers") {
			n.follows(index("spec.triggers", i)+".imageChangeParams.from", mapAt(t, "imageChangeParams.from"))
		}
	case "BuildConfig.build.openshift.io":
		n.buildConfig(o)
	case "ImageStream.image.openshift.io":
		for i, t := range maps(o, "spec.tags") {
			n.follows(index("spec.tags", i)+".from", mapAt(t, "from"))
		}
	case "Route.route.openshift.io":
		if host := textAt(o, "spec.host"); host != "" {
			n.add(OpenShift, "spec.host", "the fixed host %s: its name must lead to the other cluster", host)
		}
		if textAt(o, "spec.tls.key") != "" {
			n.add(Secret, "spec.tls.key", "a private key in clear text, whatever becomes of Secrets")
		}
	}
	if mapAt(o, "metadata.annotations")["image.openshift.io/triggers"] != nil {
		n.add(OpenShift, "metadata.annotations", "image.openshift.io/triggers: its images follow image stream tags")
	}
	if group, _ := groupOf(o); strings.HasSuffix(group, ".openshift.io") && kind != "" {
		n.add(OpenShift, "apiVersion", "only OpenShift has this kind")
	}
}

// follows notes a reference to an image stream, which must have an image in the other cluster.
func (n *notes) follows(field string, from map[string]any) {
	kind, name := textAt(from, "kind"), textAt(from, "name")
	if ns := textAt(from, "namespace"); ns != "" {
		name = ns + "/" + name
	}
	switch kind {
	case "ImageStreamTag":
		n.add(OpenShift, field, "follows the image stream tag %s, which must have an image there", name)
	case "ImageStreamImage":
		n.add(OpenShift, field, "the image %s of a stream: by digest, so it must be in that stream as it is", name)
	}
}

func (n *notes) buildConfig(o map[string]any) {
	for _, s := range strategies {
		n.follows("spec.strategy."+s+".from", mapAt(o, "spec.strategy."+s+".from"))
	}
	if to := mapAt(o, "spec.output.to"); textAt(to, "kind") == "ImageStreamTag" {
		n.add(OpenShift, "spec.output.to", "pushes to the image stream tag %s: the first build there makes the image", textAt(to, "name"))
	}
	for i, t := range maps(o, "spec.triggers") {
		for _, hook := range []string{"generic", "github", "gitlab", "bitbucket"} {
			if textAt(t, hook+".secret") != "" {
				n.add(Secret, index("spec.triggers", i)+"."+hook+".secret", "the secret of a webhook in clear text, whatever becomes of Secrets")
			}
		}
	}
}
