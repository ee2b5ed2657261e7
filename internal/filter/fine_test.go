// SPDX-License-Identifier: Apache-2.0

package filter

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"

	velerov1 "hozon.dev/hozon/api/velero/v1"
	"hozon.dev/hozon/internal/fail"
	"hozon.dev/hozon/internal/object"
)

func labelled(t *testing.T, texts ...string) []labels.Selector {
	t.Helper()
	var out []labels.Selector
	for _, text := range texts {
		s, err := labels.Parse(text)
		if err != nil {
			t.Fatal(err)
		}
		out = append(out, s)
	}
	return out
}

// rules are those of the documented examples, in short.
func rules(t *testing.T) Fine {
	return Fine{
		Cluster: []KindRule{
			{Where: "line 1", Kinds: []string{"StorageClass"}, Names: []string{"app-*"}, ExcludedNames: []string{"app-tmp"}},
			{Where: "line 2", Kinds: []string{"persistentvolumes"}, Selectors: labelled(t, "app=web")},
		},
		Namespaces: []NamespaceRule{
			{Namespaces: []string{"team-front-*"}, Kinds: []KindRule{{Kinds: []string{"Deployment", "cm"}}}},
			{Namespaces: []string{"team-*", "shop"}, Kinds: []KindRule{
				{Kinds: []string{"ConfigMap"}, Names: []string{"app-*"}, ExcludedNames: []string{"*-tmp"}},
				{Kinds: []string{"po"}, Selectors: labelled(t, "app=web", "app=db")},
				{Kinds: []string{"gadgets.example.com", "Gizmo"}},
			}},
			{Namespaces: []string{"team-front-prod"}, Kinds: []KindRule{
				{Kinds: []string{"secrets", "Pod"}, Names: []string{"pinned"}}, {Selectors: labelled(t, "keep")},
			}},
		},
	}
}

// TestRefine: what filter policies take of what the spec lets through, by itself and because another object needs it.
func TestRefine(t *testing.T) {
	spec := velerov1.BackupSpec{
		ExcludedNamespaces: []string{"out"}, LabelSelector: &metav1.LabelSelector{MatchLabels: map[string]string{"global": "yes"}},
		IncludedClusterScopedResources: []string{"*"},
	}
	f, err := ForBackup(spec, served, cluster)
	if err != nil {
		t.Fatal(err)
	}
	if err := f.Refine(rules(t), served); err != nil {
		t.Fatal(err)
	}
	if !f.HasSelector() {
		t.Error("objects are not chosen one by one")
	}
	for _, c := range []struct{ object, labels, want, related string }{
		{"configmaps/shop/app-a", ``, "", ""},
		{"configmaps/shop/app-tmp", ``, ReasonName, ReasonName}, // excluded names go before
		{"configmaps/shop/other", `"global":"yes"`, ReasonName, ReasonName},
		{"pods/shop/a", `"app":"db"`, "", ""},
		{"pods/shop/a", `"global":"yes"`, ReasonSelector, ""}, // the policy's labels are in the place of the spec's
		{"secrets/shop/a", `"global":"yes"`, ReasonKind, ""},  // not named; and comes along if it is needed
		{"configmaps/team-back/app-a", ``, "", ""},
		{"configmaps/team-front-dev/other", ``, "", ""}, // the first pattern
		{"pods/team-front-dev/a", `"app":"web"`, ReasonKind, ""},
		{"secrets/team-front-prod/pinned", ``, "", ""}, // a name before all patterns
		{"pods/team-front-prod/a", `"keep":""`, ReasonName, ReasonName},
		{"configmaps/team-front-prod/a", `"keep":""`, "", ""}, // all other kinds
		{"configmaps/team-front-prod/a", `"global":"yes"`, ReasonSelector, ""},
		{"configmaps/free/a", `"global":"yes"`, "", ""}, // no policy: as the spec says
		{"configmaps/free/a", ``, ReasonSelector, ""},
		{"configmaps/out/app-a", ``, ReasonNamespace, ReasonNamespace},
		{"configmaps/shop/app-a", `"velero.io/exclude-from-backup":"true"`, ReasonLabel, ReasonLabel},
		{"gadgets.example.com/shop/a", ``, "", ""}, // that nobody serves when the run begins
		{"gizmos.example.com/shop/a", ``, "", ""},
		{"storageclasses.storage.k8s.io//app-a", ``, "", ""},
		{"storageclasses.storage.k8s.io//app-tmp", `"global":"yes"`, ReasonName, ReasonName},
		{"persistentvolumes//a", `"app":"web"`, "", ""},
		{"persistentvolumes//a", `"global":"yes"`, ReasonSelector, ""},
		{"priorityclasses.scheduling.k8s.io//a", `"global":"yes"`, "", ""}, // not named
		{"priorityclasses.scheduling.k8s.io//a", ``, ReasonSelector, ""},
	} {
		part := strings.Split(c.object, "/")
		group, resource := object.ParseGroupResource(part[0])
		ref := object.Ref{Group: group, Resource: resource, Namespace: part[1], Name: part[2]}
		kind := strings.ToUpper(resource[:1]) + strings.TrimSuffix(resource[1:], "s")
		head, err := object.Scan([]byte(`{"kind":"` + kind + `","metadata":{"labels":{` + c.labels + `}}}`))
		if err != nil {
			t.Fatal(err)
		}
		if ok, reason := f.Object(ref, head); reason != c.want || ok != (c.want == "") {
			t.Errorf("%s {%s}: got %v, %q, want %q", c.object, c.labels, ok, reason, c.want)
		}
		if ok, reason := f.Related(ref, head); reason != c.related || ok != (c.related == "") {
			t.Errorf("%s {%s} as related: got %v, %q, want %q", c.object, c.labels, ok, reason, c.related)
		}
	}
}

// TestRefineNotes: rules without effect, and kinds that nobody serves.
func TestRefineNotes(t *testing.T) {
	f, err := ForBackup(velerov1.BackupSpec{ExcludedNamespaceScopedResources: []string{"secrets"}}, served, cluster)
	if err != nil {
		t.Fatal(err)
	}
	fine := Fine{
		Cluster:    []KindRule{{Where: "line 1", Kinds: []string{"ConfigMap"}}},
		Namespaces: []NamespaceRule{{Namespaces: []string{"a"}, Kinds: []KindRule{{Where: "line 2", Kinds: []string{"StorageClass", "Secret", "Gadget", "Pod"}}}}},
	}
	if err := f.Refine(fine, append(served, object.Type{Version: "v1", Resource: "secrets", Singular: "secret", Kind: "Secret", Namespaced: true})); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{`line 2: "Gadget"`}, f.Unserved()); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff([]string{
		`line 1: "ConfigMap" has no effect: it is namespaced, and belongs into namespacedFilterPolicies`,
		`line 2: "StorageClass" has no effect: it is cluster-scoped, and belongs into clusterScopedFilterPolicy`,
		`line 2: "Secret" has no effect: the lists of resources leave it out`,
	}, f.Idle()); diff != "" {
		t.Error(diff)
	}
	twice := Fine{Cluster: []KindRule{{Where: "line 1", Kinds: []string{"StorageClass"}}, {Where: "line 2", Kinds: []string{"storageclasses"}}}}
	if err := f.Refine(twice, served); !fail.Is(err, fail.Invalid) || !strings.Contains(err.Error(), `line 2: "storageclasses" is named twice`) {
		t.Errorf("one kind by two names: %v", err)
	}
	if err := f.Refine(Fine{}, served); err != nil || !(Fine{}).Empty() {
		t.Errorf("no filters: %v", err)
	}
}
