// SPDX-License-Identifier: Apache-2.0

package backup

import (
	"encoding/json"
	"testing"
)

func TestZone(t *testing.T) {
	affinity := func(key string, zones ...string) string {
		terms := ""
		for i, z := range zones {
			if i > 0 {
				terms += ","
			}
			terms += `{"matchExpressions":[{"key":"kubernetes.io/os","operator":"In","values":["linux"]},{"key":"` + key + `","operator":"In","values":["` + z + `"]}]}`
		}
		return `{"spec":{"nodeAffinity":{"required":{"nodeSelectorTerms":[` + terms + `]}}}}`
	}
	for pv, want := range map[string]string{
		`{}`: "",
		`{"metadata":{"labels":{"topology.kubernetes.io/zone":"a","failure-domain.beta.kubernetes.io/zone":"b"}}}`: "a",
		`{"metadata":{"labels":{"failure-domain.beta.kubernetes.io/zone":"b"}}}`:                                   "b",
		affinity("topology.ebs.csi.aws.com/zone", "c", "d"):                                                        "c",
		affinity("topology.gke.io/zone", "e", "f"):                                                                 "e__f",
		affinity("topology.kubernetes.io/zone", "g"):                                                               "g",
		affinity("example.com/zone", "h"):                                                                          "",
	} {
		var v volume
		if err := json.Unmarshal([]byte(pv), &v); err != nil {
			t.Fatal(err)
		}
		if got := v.zone(); got != want {
			t.Errorf("%s is in zone %q, want %q", pv, got, want)
		}
	}
}
