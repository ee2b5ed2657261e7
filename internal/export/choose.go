// SPDX-License-Identifier: Apache-2.0

package export

import (
	"slices"
	"strings"

	"hozon.dev/hozon/internal/object"
	"hozon.dev/hozon/internal/plan/rule"
)

// views are kinds that show what other kinds hold, or tell of one cluster's past: nobody would write them.
var views = []string{
	"events", "events.events.k8s.io", "leases.coordination.k8s.io",
	"imagestreamtags.image.openshift.io", "imagestreamimages.image.openshift.io", "imagetags.image.openshift.io",
	"roles.authorization.openshift.io", "rolebindings.authorization.openshift.io",
}

func view(groupResource string) bool { return slices.Contains(views, groupResource) }

// ofCluster reports whether a namespace belongs to the cluster, not to a project.
func ofCluster(namespace string) bool {
	return namespace == "kube-system" || namespace == "kube-public" || namespace == "kube-node-lease" ||
		namespace == "openshift" || strings.HasPrefix(namespace, "openshift-")
}

// leave says why an object is not exported; "" if it is.
func leave(it Item) (string, error) {
	gr := it.Ref.GroupResource()
	if it.Head.Terminating {
		return "it is being deleted", nil
	}
	if reason, ok := object.Generated(it.Ref, it.Head); ok && gr != "serviceaccounts" {
		return reason, nil
	}
	owners, err := it.Head.Owners()
	if err != nil {
		return "", err
	}
	for _, o := range owners {
		if o.Controller {
			return "its " + o.Kind + " " + o.Name + " makes it", nil
		}
	}
	switch gr {
	case "pods", "jobs.batch", "secrets":
		traits, err := rule.Inspect(it.Ref, it.Head, it.Body)
		if err != nil || traits.Skip != "" {
			return traits.Skip, err
		}
	}
	if _, ok := it.Head.Annotation("control-plane.alpha.kubernetes.io/leader"); ok {
		return "its holder writes it all the time", nil
	}
	return ofOpenShift(gr, it), nil
}

// makers are the annotations by which older versions of OpenShift, without references to owners, say what an object was made for.
var makers = map[string][2]string{
	"replicationcontrollers":    {"openshift.io/deployment-config.name", "DeploymentConfig"},
	"builds.build.openshift.io": {"openshift.io/build-config.name", "BuildConfig"},
	"pods":                      {"openshift.io/build.name", "Build"},
}

// ofOpenShift says which objects OpenShift makes in every project, or for others.
func ofOpenShift(gr string, it Item) string {
	if maker, ok := makers[gr]; ok {
		if by, _ := it.Head.Annotation(maker[0]); by != "" {
			return "its " + maker[1] + " " + by + " makes it"
		}
	}
	const reason = "OpenShift makes it in every project"
	name := it.Ref.Name
	switch gr {
	case "secrets":
		account, ok := it.Head.Annotation("kubernetes.io/service-account.name")
		if !ok {
			account, ok = it.Head.Annotation("openshift.io/internal-registry-auth-token.service-account")
		}
		if ok && strings.HasPrefix(name, account+"-dockercfg-") {
			return reason
		}
	case "rolebindings.rbac.authorization.k8s.io":
		if name == "system:image-pullers" || name == "system:image-builders" || name == "system:deployers" {
			return reason
		}
	}
	return ""
}

// pristine reports whether a cleaned service account is as a cluster makes it: one that somebody has added to is exported.
func pristine(ref object.Ref, o map[string]any) bool {
	switch ref.Name {
	case "default", "builder", "deployer", "pipeline":
	default:
		return false
	}
	if ref.GroupResource() != "serviceaccounts" {
		return false
	}
	meta, _ := o["metadata"].(map[string]any)
	return len(o) == 3 && len(meta) == 2 // apiVersion, kind, metadata; name, namespace
}

// builtinGroups are those that every API server has by itself. Kinds of others come from definitions, or from servers of their own.
var builtinGroups = map[string]bool{
	"": true, "apps": true, "batch": true, "autoscaling": true, "policy": true, "extensions": true,
	"admissionregistration.k8s.io": true, "apiextensions.k8s.io": true, "apiregistration.k8s.io": true, "authentication.k8s.io": true,
	"authorization.k8s.io": true, "certificates.k8s.io": true, "coordination.k8s.io": true, "discovery.k8s.io": true, "events.k8s.io": true,
	"flowcontrol.apiserver.k8s.io": true, "internal.apiserver.k8s.io": true, "networking.k8s.io": true, "node.k8s.io": true,
	"rbac.authorization.k8s.io": true, "resource.k8s.io": true, "scheduling.k8s.io": true, "storage.k8s.io": true, "storagemigration.k8s.io": true,
}

const definitions = "customresourcedefinitions.apiextensions.k8s.io"

// definitionOf is the definition that a kind comes from; zero for kinds that a cluster, or OpenShift, has by itself.
func definitionOf(t object.Type) object.Ref {
	if builtinGroups[t.Group] || strings.HasSuffix(t.Group, ".openshift.io") {
		return object.Ref{}
	}
	return object.Ref{Group: "apiextensions.k8s.io", Resource: "customresourcedefinitions", Name: t.GroupResource()}
}
