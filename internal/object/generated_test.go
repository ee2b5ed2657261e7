// SPDX-License-Identifier: Apache-2.0

package object

import (
	"fmt"
	"testing"
)

func TestGenerated(t *testing.T) {
	label := func(k, v string) string { return fmt.Sprintf(`{"metadata":{"labels":{%q:%q}}}`, k, v) }
	note := func(k, v string) string { return fmt.Sprintf(`{"metadata":{"annotations":{%q:%q}}}`, k, v) }
	const none = `{}`
	for _, c := range []struct {
		resource, ns, name, body string
		want                     bool
	}{
		{"configmaps", "a", "kube-root-ca.crt", none, true},
		{"configmaps", "a", "kube-root-ca", none, false},
		{"configmaps", "kube-system", "extension-apiserver-authentication", none, true},
		{"configmaps", "a", "extension-apiserver-authentication", none, false},
		{"serviceaccounts", "a", "default", none, true},
		{"serviceaccounts", "a", "web", none, false},
		{"services", "default", "kubernetes", none, true},
		{"services", "a", "kubernetes", none, false},
		{"endpoints", "default", "kubernetes", none, true},
		{"endpoints", "a", "web", note("endpoints.kubernetes.io/last-change-trigger-time", "x"), true},
		{"endpoints", "a", "web", label("endpoints.kubernetes.io/managed-by", "endpoint-controller"), true},
		{"endpoints", "a", "by-hand", none, false},
		{"endpointslices.discovery.k8s.io", "default", "kubernetes", none, true},
		{"endpointslices.discovery.k8s.io", "a", "web-x", label("endpointslice.kubernetes.io/managed-by", "endpointslice-controller.k8s.io"), true},
		{"endpointslices.discovery.k8s.io", "a", "web-x", label("endpointslice.kubernetes.io/managed-by", "endpointslicemirroring-controller.k8s.io"), true},
		{"endpointslices.discovery.k8s.io", "a", "web-x", label("endpointslice.kubernetes.io/managed-by", "me"), false},
		{"leases.coordination.k8s.io", "kube-node-lease", "n1", none, true},
		{"leases.coordination.k8s.io", "kube-system", "apiserver-abc", none, true},
		{"leases.coordination.k8s.io", "a", "operator", none, false},
		{"events", "a", "x", none, true},
		{"events.events.k8s.io", "a", "x", none, true},
		{"secrets", "a", "web-token-x7", note("kubernetes.io/service-account.name", "web"), true},
		{"secrets", "a", "asked-for", note("kubernetes.io/service-account.name", "web"), false},
		{"secrets", "a", "web-token-x7", none, false},
		{"ipaddresses.networking.k8s.io", "", "10.0.0.1", label("ipaddress.kubernetes.io/managed-by", "ipallocator.k8s.io"), true},
		{"ipaddresses.networking.k8s.io", "", "10.0.0.1", none, false},
		{"servicecidrs.networking.k8s.io", "", "kubernetes", none, true},
		{"apiservices.apiregistration.k8s.io", "", "v1.apps", label("kube-aggregator.kubernetes.io/automanaged", "onstart"), true},
		{"apiservices.apiregistration.k8s.io", "", "v1.mine", none, false},
		{"priorityclasses.scheduling.k8s.io", "", "system-node-critical", none, true},
		{"priorityclasses.scheduling.k8s.io", "", "high", none, false},
		{"clusterroles.rbac.authorization.k8s.io", "", "view", label("kubernetes.io/bootstrapping", "rbac-defaults"), true},
		{"clusterroles.rbac.authorization.k8s.io", "", "view", `{"metadata":{"labels":{"kubernetes.io/bootstrapping":"rbac-defaults"},"annotations":{"rbac.authorization.kubernetes.io/autoupdate":"false"}}}`, false},
		{"clusterrolebindings.rbac.authorization.k8s.io", "", "cluster-admin", label("kubernetes.io/bootstrapping", "rbac-defaults"), false},
		{"flowschemas.flowcontrol.apiserver.k8s.io", "", "probes", note("apf.kubernetes.io/autoupdate-spec", "true"), true},
		{"flowschemas.flowcontrol.apiserver.k8s.io", "", "probes", note("apf.kubernetes.io/autoupdate-spec", "false"), false},
		{"storageversions.internal.apiserver.k8s.io", "", "x", none, true},
		{"clustertrustbundles.certificates.k8s.io", "", "kubernetes.io:kube-apiserver-serving:x", none, true},
		{"clustertrustbundles.certificates.k8s.io", "", "example.com:x", none, false},
		{"controllerrevisions.apps", "a", "web-1", none, false},
		{"nodes", "", "n1", none, false},
	} {
		head, err := Scan([]byte(c.body))
		if err != nil {
			t.Fatal(err)
		}
		group, resource := ParseGroupResource(c.resource)
		ref := Ref{Group: group, Resource: resource, Namespace: c.ns, Name: c.name}
		reason, ok := Generated(ref, head)
		if ok != c.want || ok != (reason != "") {
			t.Errorf("%v with %s: got %v, %q", ref, c.body, ok, reason)
		}
	}
}
