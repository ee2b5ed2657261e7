// SPDX-License-Identifier: Apache-2.0

package conformance

import (
	"fmt"
	"slices"
	"strings"
)

func statefulSet() Case {
	linked := false
	const set = "statefulsets.apps/db"
	return Case{
		ID: "C5", Title: "StatefulSet with claims, owned by an operator's object",
		Ready: func(s *Scene) bool {
			if !linked {
				linked = true
				s.Patch(set, fmt.Sprintf(`{"metadata":{"ownerReferences":[{"apiVersion":"c5.conf.example.com/v1","kind":"Database","name":"main","uid":%q,"controller":true}]}}`,
					Field(s.Get("databases.c5.conf.example.com/main"), "metadata", "uid")))
			}
			return claimsOfSet(s) && adopted(s, 2)
		},
		Free: []string{"persistentvolumes/conf-c5-zero", "persistentvolumes/conf-c5-one"},
		Check: func(s *Scene) {
			owner := Field(s.Get("databases.c5.conf.example.com/main"), "metadata", "uid")
			if got := Field(s.Get(set), "metadata", "ownerReferences", 0, "uid"); got != owner || owner == nil {
				s.Fail("the set is owned by %v, want %v", got, owner)
			}
			s.Until("the set has its pods", func() bool { return adopted(s, 2) })
			for i, volume := range []string{"conf-c5-zero", "conf-c5-one"} {
				s.Is(volume, fmt.Sprintf("persistentvolumeclaims/data-db-%d", i), "spec", "volumeName")
			}
			if s.Way == NewCluster {
				s.Until("the claims are bound, and owned by the set", func() bool { return claimsOfSet(s) })
			}
		},
	}
}

// claimsOfSet says that both claims are bound and held by the set.
func claimsOfSet(s *Scene) bool {
	uid := Field(s.Get("statefulsets.apps/db"), "metadata", "uid")
	for i := range 2 {
		claim := s.Get(fmt.Sprintf("persistentvolumeclaims/data-db-%d", i))
		if Field(claim, "status", "phase") != "Bound" || Field(claim, "metadata", "ownerReferences", 0, "uid") != uid {
			return false
		}
	}
	return uid != nil
}

func changedDeployment() Case {
	var saved []string
	hashes := func(s *Scene) []string {
		var out []string
		for _, p := range s.List("pods") {
			out = append(out, fmt.Sprint(Field(p, "metadata", "name")))
		}
		slices.Sort(out)
		return out
	}
	return Case{
		ID: "C6", Title: "Deployment changed after the backup, with old pods and ReplicaSets in it",
		Ready: func(s *Scene) bool {
			saved = hashes(s)
			return adopted(s, 2)
		},
		Drift: func(s *Scene) {
			s.Patch("deployments.apps/web", `{"spec":{"template":{"spec":{"containers":[{"name":"c","image":"i:2"}]}}}}`)
			s.Until("the new pods are there", func() bool {
				for _, p := range s.List("pods") {
					if Field(p, "spec", "containers", 0, "image") != "i:2" {
						return false
					}
				}
				return adopted(s, 2)
			})
		},
		Changed: []string{"deployments.apps/web"},
		Check: func(s *Scene) {
			s.Until("the pods are those of one template", func() bool {
				for _, p := range s.List("pods") {
					want := "i:1"
					if s.Way == None {
						want = "i:2"
					}
					if Field(p, "spec", "containers", 0, "image") != want {
						return false
					}
				}
				return adopted(s, 2)
			})
			if !s.Way.existing() && !slices.Equal(hashes(s), saved) {
				s.Fail("pods %v, saved were %v", hashes(s), saved)
			}
		},
	}
}

func autoscaler() Case {
	return Case{
		ID: "C7", Title: "autoscaler against spec.replicas",
		Ready: func(s *Scene) bool { return adopted(s, 2) },
		Drift: func(s *Scene) { // as the autoscaler does
			s.Run("", "-n", s.NS(), "scale", "deployment", "web", "--replicas=5")
			s.Until("there are five pods", func() bool { return adopted(s, 5) })
		},
		Free: []string{"deployments.apps/web"},
		Check: func(s *Scene) {
			if !s.Way.existing() {
				s.Same("deployments.apps/web")
				s.Until("the saved pods are there", func() bool { return adopted(s, 2) })
				return
			}
			s.Is(5, "deployments.apps/web", "spec", "replicas")
			if did, ok := s.Outcome.Actions["deployments.apps/conf-c7/web"]; ok && did != "unchanged" { // the difference is the autoscaler's
				s.Fail("the Deployment is said to be %s", did)
			}
		},
	}
}

func sidecars() Case {
	return Case{
		ID: "C8", Title: "injected sidecars and native ones",
		Free: []string{"pods/app"},
		Check: func(s *Scene) {
			pod := s.Get("pods/app")
			if pod == nil {
				s.Fail("the pod does not exist")
				return
			}
			names := func(list string) string {
				all, _ := Field(pod, "spec", list).([]any)
				var out []string
				for _, c := range all {
					out = append(out, fmt.Sprint(Field(c, "name")))
				}
				return strings.Join(out, " ")
			}
			if got := names("containers"); got != "c istio-proxy" {
				s.Fail("containers %s", got)
			}
			if got := names("initContainers"); got != "native istio-init" {
				s.Fail("init containers %s", got)
			}
			if got := strings.Count(names("volumes"), "istio-envoy"); got != 1 {
				s.Fail("volumes %s", names("volumes"))
			}
		},
	}
}

func limits() Case {
	return Case{
		ID: "C9", Title: "PodSecurity restricted, a full quota, limit ranges",
		Ready: func(s *Scene) bool {
			return adopted(s, 3) || len(s.List("pods")) == 3 && Field(s.Get("resourcequotas/full"), "status", "used", "count/secrets") == "2"
		},
		Drift: func(s *Scene) {
			s.Delete("secrets/b")
			s.Until("another Secret has filled the quota", func() bool {
				_, _ = s.Site.run(s.ctx, "", "-n", s.NS(), "create", "secret", "generic", "intruder")
				return s.Get("secrets/intruder") != nil
			})
		},
		Free: []string{"secrets/b"},
		Check: func(s *Scene) {
			if got := len(s.List("pods")); got != 3 {
				s.Fail("%d pods, want 3", got)
			}
			if s.Way.existing() {
				s.Missing("secrets/b")
				s.Says("secrets", "b", "exceeded quota: full")
				return
			}
			s.Same("secrets/b")
		},
	}
}
