// SPDX-License-Identifier: Apache-2.0

package conformance

import (
	"fmt"
	"strings"
)

func webhooks() Case {
	return Case{
		ID: "C1", Title: "webhooks: restored with what they would block, blocking in the target, still starting",
		Before: func(s *Scene) {
			s.Apply(`
apiVersion: admissionregistration.k8s.io/v1
kind: ValidatingWebhookConfiguration
metadata: {name: $NS-flaky}
webhooks:
- name: flaky.conf.example.com
  failurePolicy: Fail
  sideEffects: NoneOnDryRun
  admissionReviewVersions: [v1]
  clientConfig: {url: "$HOOK/flaky", caBundle: $CA}
  namespaceSelector: {matchLabels: {kubernetes.io/metadata.name: $NS}}
  objectSelector: {matchLabels: {flaky: "true"}}
  rules: [{apiGroups: [""], apiVersions: [v1], operations: [CREATE], resources: [configmaps]}]
`)
		},
		Drift: func(s *Scene) { s.Delete("secrets/guarded") },
		Free:  []string{"secrets/guarded"},
		Check: func(s *Scene) {
			if s.Way == NewCluster {
				s.Same("secrets/guarded")
				return
			}
			// The webhook of the target stands in the way: it stays, and is named.
			s.Missing("secrets/guarded")
			s.Says("guarded", "guard.conf.example.com")
		},
	}
}

func owners() Case {
	ownerOf := func(s *Scene, child, owner string) {
		refs, _ := Field(s.Get(child), "metadata", "ownerReferences").([]any)
		want := Field(s.Get(owner), "metadata", "uid")
		if len(refs) != 1 || want == nil || Field(refs[0], "uid") != want {
			s.Fail("%s has the owners %v, want %s with UID %v", child, refs, owner, want)
		}
	}
	own := func(s *Scene, child, apiVersion, kind, owner string) {
		_, name, _ := strings.Cut(owner, "/")
		s.Patch(child, fmt.Sprintf(`{"metadata":{"ownerReferences":[{"apiVersion":%q,"kind":%q,"name":%q,"uid":%q,"controller":true,"blockOwnerDeletion":true}]}}`,
			apiVersion, kind, name, Field(s.Get(owner), "metadata", "uid")))
	}
	linked := false
	return Case{
		ID: "C2", Title: "ownerReferences across the set",
		Ready: func(s *Scene) bool {
			if !linked {
				own(s, "configmaps/of-gear", "c2.conf.example.com/v1", "Gear", "gears.c2.conf.example.com/g")
				own(s, "secrets/of-map", "v1", "ConfigMap", "configmaps/of-gear")
				own(s, "configmaps/of-absent", "v1", "ConfigMap", "configmaps/absent")
				own(s, "configmaps/of-class", "scheduling.k8s.io/v1", "PriorityClass", "priorityclasses.scheduling.k8s.io/class-c2")
				linked = true
			}
			return adopted(s, 2)
		},
		Free: []string{"configmaps/absent", "configmaps/of-absent"},
		Check: func(s *Scene) {
			ownerOf(s, "configmaps/of-gear", "gears.c2.conf.example.com/g")
			s.Is(true, "configmaps/of-gear", "metadata", "ownerReferences", 0, "controller")
			s.Is(true, "configmaps/of-gear", "metadata", "ownerReferences", 0, "blockOwnerDeletion")
			ownerOf(s, "secrets/of-map", "configmaps/of-gear")
			ownerOf(s, "configmaps/of-class", "priorityclasses.scheduling.k8s.io/class-c2")
			s.Until("the pods are adopted", func() bool { return adopted(s, 2) })
			if s.Way.existing() {
				return
			}
			// The owner was not saved: the reference goes, the object stays.
			s.Is("<nil>", "configmaps/of-absent", "metadata", "ownerReferences")
			s.Says("of-absent", "absent")
		},
	}
}

// adopted says that a namespace's pods are that many, and all are held by a controller that lives.
func adopted(s *Scene, want int) bool {
	uids := map[any]bool{}
	for _, kind := range []string{"replicasets.apps", "statefulsets.apps"} {
		for _, o := range s.List(kind) {
			uids[Field(o, "metadata", "uid")] = true
		}
	}
	pods := s.List("pods")
	for _, p := range pods {
		if !uids[Field(p, "metadata", "ownerReferences", 0, "uid")] {
			return false
		}
	}
	return len(pods) == want
}

func services() Case {
	return Case{
		ID: "C3", Title: "Services: node ports, health check ports, addresses, clashes",
		Drift:   func(s *Scene) { s.Patch("services/edited", `{"spec":{"selector":{"a":"other"}}}`) },
		Changed: []string{"services/edited"},
		Free:    []string{"services/chosen", "services/health-chosen"},
		Check: func(s *Scene) {
			ports := map[string][]any{
				"services/chosen":        {"spec", "ports", 0, "nodePort"},
				"services/health-chosen": {"spec", "healthCheckNodePort"},
				"services/address":       {"spec", "clusterIP"},
			}
			if s.Way != NewNamespace { // what a user chose is kept
				s.Is(30180, "services/chosen", ports["services/chosen"]...)
				s.Is(30181, "services/health-chosen", ports["services/health-chosen"]...)
				s.Is("10.96.0.77", "services/address", ports["services/address"]...)
				return
			}
			// The originals have the ports: the copies get others, and the report says which.
			for ref, at := range ports {
				o := s.Get(ref)
				if o == nil {
					s.Fail("%s does not exist", ref)
					continue
				}
				s.Says(strings.TrimPrefix(ref, "services/"), fmt.Sprint(Field(s.saved[ref].Object, at...)), fmt.Sprint(Field(o, at...)))
			}
		},
	}
}

func volumes() Case {
	bound := func(s *Scene) bool {
		return Field(s.Get("persistentvolumeclaims/data"), "status", "phase") == "Bound"
	}
	return Case{
		ID: "C4", Title: "volumes: bound to their own claims, among many free ones",
		Ready: func(s *Scene) bool {
			return bound(s) && Field(s.Get("persistentvolumeclaims/dynamic"), "status", "phase") == "Bound"
		},
		Free: []string{"persistentvolumes/conf-c4-own", "persistentvolumes/conf-c4-gone", "persistentvolumeclaims/dynamic"},
		Check: func(s *Scene) {
			claim := Field(s.Get("persistentvolumeclaims/data"), "spec", "volumeName")
			if claim != "conf-c4-own" {
				s.Fail("claim data asks for the volume %v", claim)
			}
			for i := range 20 {
				if ref := Field(s.Get(fmt.Sprintf("persistentvolumes/conf-c4-free-%d", i+1)), "spec", "claimRef"); ref != nil {
					s.Fail("free volume %d is taken by %v", i+1, ref)
				}
			}
			s.Is("conf-c4", "persistentvolumes/conf-c4-own", "spec", "claimRef", "namespace")
			s.Is("Retain", "persistentvolumes/conf-c4-own", "spec", "persistentVolumeReclaimPolicy")
			switch s.Way {
			case NewCluster:
				s.Until("claim data is bound", func() bool { return bound(s) })
				s.Missing("persistentvolumes/conf-c4-gone") // its bytes are gone: its claim asks for a new one
				s.Is("<nil>", "persistentvolumeclaims/dynamic", "spec", "volumeName")
				s.Is("<nil>", "persistentvolumeclaims/later", "metadata", "annotations", "volume.kubernetes.io/selected-node")
			case NewNamespace: // the original holds the volume
				s.Says("conf-c4-own")
			}
		},
	}
}
