// SPDX-License-Identifier: Apache-2.0

package conformance

import (
	"fmt"
	"strings"
)

func references() Case {
	return Case{
		ID: "X1", Title: "namespaces in references are mapped",
		Free: []string{"clusterrolebindings.rbac.authorization.k8s.io/robots-x1"},
		Check: func(s *Scene) {
			s.Is(s.NS(), "rolebindings.rbac.authorization.k8s.io/robots", "subjects", 0, "namespace")
			s.Is("elsewhere", "rolebindings.rbac.authorization.k8s.io/robots", "subjects", 1, "namespace")
			s.Is("conf-x1", "clusterrolebindings.rbac.authorization.k8s.io/robots-x1", "subjects", 0, "namespace") // nobody takes rights away
			if s.Way == NewNamespace {
				s.Says("robots-x1")
			}
		},
	}
}

func tracking() Case {
	return Case{
		ID: "X2", Title: "marks of Argo CD, Flux, Helm and of earlier restores",
		Free: []string{"configmaps/argo-annotation", "configmaps/argo-label", "configmaps/flux"},
		Ready: func(s *Scene) bool {
			s.Run(`{"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":"argo-label","namespace":"$NS","labels":{"app.kubernetes.io/instance":"shop","app":"x"}}}`,
				"apply", "--server-side", "--field-manager=argocd-controller", "-f", "-")
			return true
		},
		Check: func(s *Scene) {
			s.Is(s.NS(), "configmaps/helm", "metadata", "annotations", "meta.helm.sh/release-namespace")
			s.Is("shop", "configmaps/helm", "metadata", "labels", "app.kubernetes.io/instance")
			if s.Way == NewNamespace { // not what Flux manages
				s.Is("<nil>", "configmaps/flux", "metadata", "labels", "kustomize.toolkit.fluxcd.io/name")
			} else {
				s.Same("configmaps/flux")
			}
			if s.Way.existing() {
				s.Is("shop", "configmaps/argo-label", "metadata", "labels", "app.kubernetes.io/instance")
				return
			}
			// Argo CD prunes what bears its mark and is not in Git.
			s.Is("<nil>", "configmaps/argo-annotation", "metadata", "annotations", "argocd.argoproj.io/tracking-id")
			s.Is("shop", "configmaps/argo-annotation", "metadata", "labels", "app.kubernetes.io/instance")
			s.Is("<nil>", "configmaps/argo-label", "metadata", "labels", "app.kubernetes.io/instance")
			s.Is("x", "configmaps/argo-label", "metadata", "labels", "app")
			if name := fmt.Sprint(Field(s.Get("configmaps/argo-annotation"), "metadata", "labels", "velero.io/restore-name")); name == "long-ago" {
				s.Fail("the label of an earlier restore is back")
			}
		},
	}
}

func clusterAPI() Case {
	return Case{
		ID: "X3", Title: "clusters of Cluster API are paused until all is there",
		Check: func(s *Scene) {
			s.Is("<nil>", "clusters.cluster.x-k8s.io/prod", "spec", "paused")
			if made := s.Hooks.Created(s.NS() + "/prod"); !s.Way.existing() && !strings.Contains(made, `"paused":true`) {
				s.Fail("it was created unpaused")
			}
		},
	}
}

func modifiers() Case {
	return Case{
		ID: "X4", Title: "resource modifiers",
		Free: []string{"configmaps/json", "configmaps/merge", "deployments.apps/strategic", "persistentvolumeclaims/claim"},
		Check: func(s *Scene) {
			s.Is("other.example.com", "configmaps/untested", "data", "url")
			if s.Way == None {
				s.Is("old.example.com", "configmaps/json", "data", "url")
				return
			}
			s.Is("map[number:7 url:new.example.com]", "configmaps/json", "data")
			s.Is("map[a:c]", "configmaps/merge", "data")
			s.Is("mirror/i:1", "deployments.apps/strategic", "spec", "template", "spec", "containers", 0, "image")
			s.Is("d:1", "deployments.apps/strategic", "spec", "template", "spec", "containers", 1, "image")
			if !s.Way.existing() {
				s.Is("conf-x4-new", "persistentvolumeclaims/claim", "spec", "storageClassName")
			}
		},
	}
}

func conversions() Case {
	return Case{
		ID: "X5", Title: "custom resources whose conversion webhook is still starting",
		Before: func(s *Scene) {
			s.Apply(`
apiVersion: admissionregistration.k8s.io/v1
kind: ValidatingWebhookConfiguration
metadata: {name: $NS-starting}
webhooks:
- name: starting.conf.example.com
  failurePolicy: Fail
  sideEffects: NoneOnDryRun
  admissionReviewVersions: [v1]
  clientConfig: {url: "$HOOK/starting", caBundle: $CA}
  namespaceSelector: {matchLabels: {kubernetes.io/metadata.name: $NS}}
  rules: [{apiGroups: [x5.conf.example.com], apiVersions: ["*"], operations: [CREATE], resources: [gauges]}]
`)
		},
		Check: func(s *Scene) {
			s.Is("x5.conf.example.com/v2", "gauges.x5.conf.example.com/g", "apiVersion")
			s.Is(3, "gauges.x5.conf.example.com/g", "spec", "width")
			if n := s.Hooks.tries(s.NS() + "/g"); !s.Way.existing() && n < 3 {
				s.Fail("the object was tried %d times: its conversion was not waited for", n)
			}
		},
	}
}

func aggregated() Case {
	const service = "apiservices.apiregistration.k8s.io/v1.x6.conf.example.com"
	return Case{
		ID: "X6", Title: "aggregated APIs: what nobody stores is not restored",
		Ready: func(s *Scene) bool {
			_, err := s.Site.run(s.ctx, "", "-n", s.NS(), "get", "readings.x6.conf.example.com")
			return err == nil
		},
		Free:      []string{service},
		Explained: []string{"readings.x6.conf.example.com"},
		Check: func(s *Scene) {
			s.Same("configmaps/beside")
			s.Hooks.mu.Lock()
			posted := s.Hooks.posted
			s.Hooks.mu.Unlock()
			if posted > 0 {
				s.Fail("%d readings were to be made", posted)
			}
			if s.Way == NewCluster {
				s.Is("readings", service, "spec", "service", "name")
			}
			if action := s.Outcome.Actions["readings.x6.conf.example.com/"+s.NS()+"/made-up"]; s.Outcome.Actions != nil && action != "skipped" {
				s.Fail("the reading that was saved is %q", action)
			}
		},
	}
}
