// SPDX-License-Identifier: Apache-2.0

package object

import "strings"

// Generated says whether an object is of those that a cluster makes by itself, and why: that the
// target has another one is no reason for a warning, and it need not be restored. It goes by
// name, labels and annotations alone.
func Generated(ref Ref, head Head) (reason string, ok bool) {
	for _, g := range generated[kindOf(ref)] {
		if g.fits(ref, head) {
			return g.reason, true
		}
	}
	return "", false
}

type groupResource struct{ group, resource string }

func kindOf(ref Ref) groupResource { return groupResource{ref.Group, ref.Resource} }

type generator struct {
	reason string
	fits   func(Ref, Head) bool
}

// The labels and annotations that give makers away.
const (
	sliceManager      = "endpointslice.kubernetes.io/managed-by"
	endpointsManager  = "endpoints.kubernetes.io/managed-by"
	addressManager    = "ipaddress.kubernetes.io/managed-by"
	accountName       = "kubernetes.io/service-account.name"
	bootstrapping     = "kubernetes.io/bootstrapping"
	autoUpdateRole    = "rbac.authorization.kubernetes.io/autoupdate"
	autoUpdateFlow    = "apf.kubernetes.io/autoupdate-spec"
	automanagedByAPIs = "kube-aggregator.kubernetes.io/automanaged"
)

func ownSlice(manager string) bool {
	return manager == "endpointslice-controller.k8s.io" || manager == "endpointslicemirroring-controller.k8s.io"
}

const byServer, byController = "made by the API server", "made by a controller of the cluster"

var (
	anyOf      = generator{"tells of one cluster's past", func(Ref, Head) bool { return true }}
	inDefault  = generator{byServer, func(r Ref, _ Head) bool { return r.Namespace == "default" && r.Name == "kubernetes" }}
	bootstraps = generator{byServer, isBootstrapRole}
	ownFlow    = generator{byServer, hasAnnotation(autoUpdateFlow, "true")}
)

var generated = map[groupResource][]generator{
	{"", "events"}:              {anyOf},
	{"events.k8s.io", "events"}: {anyOf},
	{"", "configmaps"}: {
		{byController, func(r Ref, _ Head) bool {
			return r.Name == "kube-root-ca.crt" || r.Name == "openshift-service-ca.crt"
		}},
		{byServer, func(r Ref, _ Head) bool {
			return r.Namespace == "kube-system" && (r.Name == "extension-apiserver-authentication" || r.Name == "kube-apiserver-legacy-service-account-token-tracking")
		}},
	},
	{"", "serviceaccounts"}: {{byController, func(r Ref, _ Head) bool { return r.Name == "default" }}},
	{"", "secrets"}:         {{byController, isTokenSecret}},
	{"", "services"}:        {inDefault},
	{"", "endpoints"}:       {inDefault, {byController, isOwnEndpoints}},
	{"discovery.k8s.io", "endpointslices"}: {inDefault, {byController, func(_ Ref, h Head) bool {
		manager, _ := h.Label(sliceManager)
		return ownSlice(manager)
	}}},
	{"coordination.k8s.io", "leases"}: {{"renewed all the time by its holder", func(r Ref, _ Head) bool {
		return r.Namespace == "kube-node-lease" || r.Namespace == "kube-system"
	}}},
	{"networking.k8s.io", "ipaddresses"}:  {{byServer, hasLabel(addressManager, "ipallocator.k8s.io")}},
	{"networking.k8s.io", "servicecidrs"}: {{byServer, func(r Ref, _ Head) bool { return r.Name == "kubernetes" }}},
	{"apiregistration.k8s.io", "apiservices"}: {{byServer, func(_ Ref, h Head) bool {
		_, ok := h.Label(automanagedByAPIs)
		return ok
	}}},
	{"scheduling.k8s.io", "priorityclasses"}:                        {{byServer, func(r Ref, _ Head) bool { return strings.HasPrefix(r.Name, "system-") }}},
	{"rbac.authorization.k8s.io", "clusterroles"}:                   {bootstraps},
	{"rbac.authorization.k8s.io", "roles"}:                          {bootstraps},
	{"flowcontrol.apiserver.k8s.io", "flowschemas"}:                 {ownFlow},
	{"flowcontrol.apiserver.k8s.io", "prioritylevelconfigurations"}: {ownFlow},
	{"internal.apiserver.k8s.io", "storageversions"}:                {{byServer, func(Ref, Head) bool { return true }}},
	{"certificates.k8s.io", "clustertrustbundles"}:                  {{byController, func(r Ref, _ Head) bool { return strings.HasPrefix(r.Name, "kubernetes.io:") }}},
}

func hasLabel(key, value string) func(Ref, Head) bool {
	return func(_ Ref, h Head) bool {
		v, _ := h.Label(key)
		return v == value
	}
}

func hasAnnotation(key, value string) func(Ref, Head) bool {
	return func(_ Ref, h Head) bool {
		v, _ := h.Annotation(key)
		return v == value
	}
}

// isBootstrapRole: the API server brings these roles up to date at each start, unless told not to.
func isBootstrapRole(_ Ref, h Head) bool {
	by, _ := h.Label(bootstrapping)
	update, _ := h.Annotation(autoUpdateRole)
	return by == "rbac-defaults" && update != "false"
}

// isTokenSecret: the secret that older clusters made for each ServiceAccount. One that a user asked for is named otherwise.
func isTokenSecret(r Ref, h Head) bool {
	account, ok := h.Annotation(accountName)
	return ok && strings.HasPrefix(r.Name, account+"-token-")
}

// isOwnEndpoints: newer controllers leave a label, older ones this annotation.
func isOwnEndpoints(_ Ref, h Head) bool {
	_, managed := h.Label(endpointsManager)
	_, triggered := h.Annotation(triggerTime)
	return managed || triggered
}
