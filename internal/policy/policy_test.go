// SPDX-License-Identifier: Apache-2.0

package policy

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"hozon.dev/hozon/internal/fail"
)

func parse(t *testing.T, text string) Policies {
	t.Helper()
	p, err := Parse("velero/p", map[string]string{"policy.yaml": text})
	if err != nil {
		t.Fatal(err)
	}
	return p
}

const (
	fast = `{"metadata":{"name":"fast"},"spec":{"capacity":{"storage":"10Gi"},"storageClassName":"fast","csi":{"driver":"disk.example.com","volumeAttributes":{"a":"1","b":"2"}}}}`
	nfs  = `{"metadata":{"name":"nfs"},"spec":{"capacity":{"storage":"1Ti"},"nfs":{"server":"192.0.2.1","path":"/export"}}}`
	bare = `{"metadata":{"name":"bare"},"spec":{"hostPath":{"path":"/x"}}}`
	data = `{"metadata":{"labels":{"tier":"gold","x":"y"}},"spec":{"volumeMode":"Filesystem","accessModes":["ReadWriteOnce","ReadOnlyMany"]},"status":{"phase":"Bound"}}`
)

// TestConditions: which of three volumes, the first of them claimed, each condition is true of.
func TestConditions(t *testing.T) {
	var volumes []Volume
	for _, body := range []string{fast, nfs, bare} {
		v, err := ReadVolume([]byte(body))
		if err != nil {
			t.Fatal(err)
		}
		volumes = append(volumes, v)
	}
	var err error
	if volumes[0].Claim, err = ReadClaim([]byte(data)); err != nil {
		t.Fatal(err)
	}
	for conditions, want := range map[string]string{
		`{}`:                                              "csi nfs hostPath",
		`{capacity: "1Gi,100Gi"}`:                         "csi",
		`{capacity: "10Gi,10Gi"}`:                         "csi",
		`{capacity: "100Gi,"}`:                            "nfs",
		`{capacity: ",10Gi"}`:                             "csi",
		`{capacity: ","}`:                                 "csi nfs",
		`{storageClass: [slow, fast]}`:                    "csi",
		`{nfs: {}}`:                                       "nfs",
		`{nfs: {server: 192.0.2.1}}`:                      "nfs",
		`{nfs: {path: /other}}`:                           "",
		`{csi: {}}`:                                       "csi",
		`{csi: {driver: disk.example.com}}`:               "csi",
		`{csi: {driver: other}}`:                          "",
		`{csi: {volumeAttributes: {a: "1"}}}`:             "csi",
		`{csi: {volumeAttributes: {a: "2"}}}`:             "",
		`{volumeTypes: [hostPath, nfs]}`:                  "nfs hostPath",
		`{pvcLabels: {tier: gold}}`:                       "csi",
		`{pvcLabels: {tier: gold, more: "1"}}`:            "",
		`{pvcPhase: [Bound, Pending]}`:                    "csi",
		`{pvcVolumeMode: Filesystem}`:                     "csi",
		`{pvcAccessModes: [ReadOnlyMany, ReadWriteOnce]}`: "csi",
		`{pvcAccessModes: [ReadWriteOnce]}`:               "",
		`{volumeTypes: [csi], storageClass: [slow]}`:      "",
	} {
		p := parse(t, "version: v1\nvolumePolicies:\n- conditions: "+conditions+"\n  action: {type: skip}\n")
		var got []string
		for _, v := range volumes {
			if _, ok := p.Decide(v); ok {
				got = append(got, v.Type)
			}
		}
		if strings.Join(got, " ") != want {
			t.Errorf("%s: %q, want %q", conditions, got, want)
		}
	}
}

// TestFirstRule: the first rule that matches counts, and says where it is.
func TestFirstRule(t *testing.T) {
	p := parse(t, `version: v1
volumePolicies:
- conditions:
    storageClass: [fast]
  action:
    type: fs-backup
- conditions: {}
  action: {type: custom, parameters: {a: [1]}}
`)
	v, err := ReadVolume([]byte(fast))
	if err != nil {
		t.Fatal(err)
	}
	if r, ok := p.Decide(v); !ok || r.Action != FSBackup || r.Where != "ConfigMap velero/p, key policy.yaml, line 3" {
		t.Errorf("%+v, %v", r, ok)
	}
	if r, ok := p.Decide(Volume{}); !ok || r.Action != Custom || !strings.HasSuffix(r.Where, "line 7") {
		t.Errorf("%+v, %v", r, ok)
	}
	if _, ok := (Policies{}).Decide(v); ok {
		t.Error("no policies decide nothing")
	}
}

func TestLists(t *testing.T) {
	p := parse(t, "version: v1\nincludeExcludePolicy:\n  includedClusterScopedResources: [a]\n  excludedClusterScopedResources: [b]\n  includedNamespaceScopedResources: [c, d]\n  excludedNamespaceScopedResources: [e]\n")
	want := Lists{IncludedClusterScoped: []string{"a"}, ExcludedClusterScoped: []string{"b"}, IncludedNamespaceScoped: []string{"c", "d"}, ExcludedNamespaceScoped: []string{"e"}}
	if diff := cmp.Diff(want, p.Lists); diff != "" {
		t.Error(diff)
	}
}

// TestBad: each error names ConfigMap, key, line and what was expected.
func TestBad(t *testing.T) {
	const at = "ConfigMap velero/p, key policy.yaml, line "
	rule := func(conditions string) string {
		return "version: v1\nvolumePolicies:\n- action: {type: skip}\n  conditions:\n    " + conditions + "\n"
	}
	for text, want := range map[string]string{
		"":                         "ConfigMap velero/p, key policy.yaml: expected",
		"a: [":                     "ConfigMap velero/p, key policy.yaml: expected YAML",
		"[]":                       at + "1: policies: expected a mapping with clusterScopedFilterPolicy, includeExcludePolicy",
		"volumePolicies: []":       at + "1: version is missing: expected v1",
		"version: v2":              at + `1: version: "v2": expected one of v1`,
		"version: v1\nvolumes: []": at + `2: policies: unknown field "volumes": expected clusterScopedFilterPolicy, includeExcludePolicy, namespacedFilterPolicies, version or volumePolicies`,
		"version: v1\nversion: v1": at + `2: policies: field "version" is there twice`,
		"version: v1\n---\na: 1":   at + "2: expected one document",
		"version: v1\nvolumePolicies:\n- conditions: {}":                         at + "3: volumePolicies: expected action.type",
		"version: v1\nvolumePolicies:\n- conditions: {}\n  action: {type: move}": at + `4: action.type: "move": expected one of skip, fs-backup, snapshot, custom`,
		"version: v1\nvolumePolicies: &a\n- *a":                                  "aliases",
		rule("storageclass: [a]"):                                                at + `5: conditions: unknown field "storageclass": expected capacity, csi,`,
		rule("storageClass: a"):                                                  at + "5: storageClass: expected a list",
		rule("storageClass: []"):                                                 at + "5: storageClass: expected a list that is not empty",
		rule("capacity: 10Gi"):                                                   at + `5: capacity: "10Gi": expected "low,high"`,
		rule(`capacity: "1Gi,much"`):                                             at + `5: capacity: "much": expected a quantity`,
		rule(`capacity: "2Gi,1Gi"`):                                              at + "5: capacity: \"2Gi,1Gi\": expected the lower bound first",
		rule("volumeTypes: [disk]"):                                              at + `5: volumeTypes: "disk": expected one of awsElasticBlockStore,`,
		rule("nfs: {host: a}"):                                                   at + `5: nfs: unknown field "host": expected path or server`,
		rule("csi: {driver: [a]}"):                                               at + "5: csi.driver: expected a text",
		rule("pvcLabels: [a]"):                                                   at + "5: pvcLabels: expected a mapping of texts",
		rule("pvcVolumeMode: file"):                                              at + `5: pvcVolumeMode: "file": expected one of Filesystem, Block`,
		"version: v1\nincludeExcludePolicy:\n  includedClusterScopedResources: ['*']":                                   at + `3: includedClusterScopedResources: "*": expected a resource, and no *`,
		"version: v1\nincludeExcludePolicy: {includedClusterScopedResources: [a], excludedClusterScopedResources: [a]}": at + `2: includeExcludePolicy: "a" is both included and excluded`,
	} {
		_, err := Parse("velero/p", map[string]string{"policy.yaml": text})
		if !fail.Is(err, fail.Invalid) || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: got %v, want %q", text, err, want)
		}
	}
	for _, data := range []map[string]string{nil, {"a": "version: v1", "b": "version: v1"}} {
		if _, err := Parse("velero/p", data); !fail.Is(err, fail.Invalid) || !strings.Contains(err.Error(), "expected exactly one") {
			t.Errorf("%d keys: %v", len(data), err)
		}
	}
	for _, body := range []string{`{"spec":[]}`, `{"spec":{"capacity":7}}`} {
		if _, err := ReadVolume([]byte(body)); !fail.Is(err, fail.Corrupt) {
			t.Errorf("volume %s: %v", body, err)
		}
	}
	if _, err := ReadClaim([]byte(`{"spec":[]}`)); !fail.Is(err, fail.Corrupt) {
		t.Errorf("claim: %v", err)
	}
}

func FuzzParse(f *testing.F) {
	f.Add("version: v1\nvolumePolicies:\n- conditions: {capacity: \"1Gi,\", csi: {driver: a}}\n  action: {type: skip}\n")
	f.Fuzz(func(t *testing.T, text string) {
		p, err := Parse("velero/p", map[string]string{"k": text})
		if err != nil && !fail.Is(err, fail.Invalid) {
			t.Errorf("%v", err)
		}
		p.Decide(Volume{})
	})
}
