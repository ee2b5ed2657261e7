// SPDX-License-Identifier: Apache-2.0

package filter

import (
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	velerov1 "hozon.dev/hozon/api/velero/v1"
	"hozon.dev/hozon/internal/fail"
	"hozon.dev/hozon/internal/object"
)

func kind(group, resource, kind string, namespaced bool, short ...string) object.Type {
	return object.Type{Group: group, Version: "v1", Resource: resource, Singular: strings.ToLower(kind), Kind: kind, Namespaced: namespaced, ShortNames: short}
}

// served is what a small cluster serves, in the order of discovery.
var served = []object.Type{
	kind("", "pods", "Pod", true, "po"),
	kind("", "configmaps", "ConfigMap", true, "cm"),
	kind("", "persistentvolumeclaims", "PersistentVolumeClaim", true, "pvc"),
	kind("", "events", "Event", true, "ev"),
	kind("", "persistentvolumes", "PersistentVolume", false, "pv"),
	kind("", "namespaces", "Namespace", false, "ns"),
	kind("apps", "deployments", "Deployment", true, "deploy"),
	kind("events.k8s.io", "events", "Event", true, "ev"),
	kind("storage.k8s.io", "storageclasses", "StorageClass", false, "sc"),
	kind("apiextensions.k8s.io", "customresourcedefinitions", "CustomResourceDefinition", false, "crd", "crds"),
	kind("snapshot.storage.k8s.io", "volumesnapshots", "VolumeSnapshot", true, "vs"),
	kind("snapshot.storage.k8s.io", "volumesnapshotcontents", "VolumeSnapshotContent", false, "vsc"),
	kind("metrics.k8s.io", "pods", "PodMetrics", true),
	kind("example.com", "widgets", "Widget", true),
	kind("velero.io", "datauploads", "DataUpload", true),
}

var cluster = []Namespace{
	{Name: "default", Active: true},
	{Name: "shop", Active: true, Labels: map[string]string{"team": "a"}},
	{Name: "shop-test", Active: true},
	{Name: "secret", Active: true, Labels: map[string]string{velerov1.LabelExcludeFromBackup: "true"}},
	{Name: "dying"},
}

// verdicts is what a filter says of all types: those that are Yes, and those that are Related, by resource.
func verdicts(f *Filter) (yes, related string) {
	var y, r []string
	for _, t := range served {
		name := t.Resource
		if t.Group == "events.k8s.io" || t.Group == "metrics.k8s.io" {
			continue // twins, for the names only
		}
		switch f.Type(t) {
		case Yes:
			y = append(y, name)
		case Related:
			r = append(r, name)
		case No:
		}
	}
	return strings.Join(y, " "), strings.Join(r, " ")
}

func pointer(b bool) *bool { return &b }

func TestBackupTypes(t *testing.T) {
	const (
		namespaced = "pods configmaps persistentvolumeclaims events"
		everything = namespaced + " persistentvolumes namespaces deployments storageclasses customresourcedefinitions widgets datauploads"
	)
	one := []string{"shop"}
	for _, c := range []struct {
		name         string
		spec         velerov1.BackupSpec
		yes, related string
	}{
		{"no filter: everything, cluster-scoped kinds too", velerov1.BackupSpec{}, everything, ""},
		{"all namespaces by star", velerov1.BackupSpec{IncludedNamespaces: []string{"*"}}, everything, ""},
		{"all active namespaces by name", velerov1.BackupSpec{IncludedNamespaces: []string{"default", "shop*", "secret"}}, everything, ""},
		{"some namespaces: cluster-scoped kinds only as needed", velerov1.BackupSpec{IncludedNamespaces: one},
			namespaced + " namespaces deployments widgets datauploads", "persistentvolumes storageclasses customresourcedefinitions"},
		{"a namespace excluded", velerov1.BackupSpec{ExcludedNamespaces: one},
			namespaced + " namespaces deployments widgets datauploads", "persistentvolumes storageclasses customresourcedefinitions"},

		{"old: some resources, all namespaces", velerov1.BackupSpec{IncludedResources: []string{"deployments", "sc"}},
			"deployments storageclasses", "pods configmaps persistentvolumeclaims events customresourcedefinitions widgets datauploads"},
		{"old: some resources, some namespaces", velerov1.BackupSpec{IncludedResources: []string{"deploy", "pv", "ns"}, IncludedNamespaces: one},
			"namespaces deployments", "pods configmaps persistentvolumeclaims events persistentvolumes customresourcedefinitions widgets datauploads"},
		{"old: a resource excluded brings the cluster-scoped kinds", velerov1.BackupSpec{ExcludedResources: []string{"cm"}},
			"pods persistentvolumeclaims events persistentvolumes namespaces deployments storageclasses customresourcedefinitions widgets datauploads", ""},
		{"old: cluster resources, some namespaces", velerov1.BackupSpec{IncludeClusterResources: pointer(true), IncludedNamespaces: one}, everything, ""},
		{"old: cluster resources and some kinds", velerov1.BackupSpec{IncludeClusterResources: pointer(true), IncludedResources: []string{"pods", "storageclasses"}, IncludedNamespaces: one},
			"pods storageclasses", "configmaps persistentvolumeclaims events persistentvolumes namespaces deployments customresourcedefinitions widgets datauploads"},
		{"old: no cluster resources, no Namespace objects either", velerov1.BackupSpec{IncludeClusterResources: pointer(false)},
			namespaced + " deployments widgets datauploads", ""},
		{"old: CRDs excluded", velerov1.BackupSpec{IncludedResources: []string{"widgets"}, ExcludedResources: []string{"crds"}},
			"widgets", "pods configmaps persistentvolumeclaims events deployments datauploads"},

		{"scoped: some namespaced kinds", velerov1.BackupSpec{IncludedNamespaceScopedResources: []string{"pods"}},
			"pods namespaces", "configmaps persistentvolumeclaims events persistentvolumes deployments storageclasses customresourcedefinitions widgets datauploads"},
		{"scoped: a namespaced kind excluded", velerov1.BackupSpec{ExcludedNamespaceScopedResources: []string{"pods"}},
			"configmaps persistentvolumeclaims events namespaces deployments widgets datauploads", "persistentvolumes storageclasses customresourcedefinitions"},
		{"scoped: no namespaced kind", velerov1.BackupSpec{ExcludedNamespaceScopedResources: []string{"*"}, IncludedClusterScopedResources: []string{"*"}},
			"persistentvolumes namespaces storageclasses customresourcedefinitions", ""},
		{"scoped: some cluster-scoped kinds", velerov1.BackupSpec{IncludedClusterScopedResources: []string{"storageclasses"}, IncludedNamespaces: one},
			namespaced + " namespaces deployments storageclasses widgets datauploads", "persistentvolumes customresourcedefinitions"},
		{"scoped: all cluster-scoped kinds", velerov1.BackupSpec{IncludedClusterScopedResources: []string{"*"}, IncludedNamespaces: one}, everything, ""},
		{"scoped: a cluster-scoped kind excluded", velerov1.BackupSpec{ExcludedClusterScopedResources: []string{"pv"}},
			namespaced + " namespaces deployments widgets datauploads", "storageclasses customresourcedefinitions"},
		{"scoped: no cluster-scoped kind, no Namespace objects either", velerov1.BackupSpec{ExcludedClusterScopedResources: []string{"*"}},
			namespaced + " deployments widgets datauploads", ""},
		{"scoped: an entry of the wrong scope includes nothing", velerov1.BackupSpec{IncludedClusterScopedResources: []string{"pods"}},
			namespaced + " namespaces deployments widgets datauploads", "persistentvolumes storageclasses customresourcedefinitions"},
		{"snapshots come from the snapshot engine", velerov1.BackupSpec{IncludedResources: []string{"volumesnapshots", "vsc", "pods"}, IncludeClusterResources: pointer(true)},
			"pods", "configmaps persistentvolumeclaims events persistentvolumes namespaces deployments storageclasses customresourcedefinitions widgets datauploads"},
	} {
		t.Run(c.name, func(t *testing.T) {
			f, err := ForBackup(c.spec, served, cluster)
			if err != nil {
				t.Fatal(err)
			}
			yes, related := verdicts(f)
			want, got := set(c.yes, c.related), set(yes, related)
			if diff := cmp.Diff(want, got); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func set(yes, related string) map[string]string {
	m := map[string]string{}
	for _, n := range strings.Fields(yes) {
		m[n] = "yes"
	}
	for _, n := range strings.Fields(related) {
		m[n] = "related"
	}
	return m
}

func TestRestoreTypes(t *testing.T) {
	const (
		namespaced = "pods configmaps persistentvolumeclaims deployments widgets datauploads volumesnapshots"
		wide       = "persistentvolumes storageclasses customresourcedefinitions volumesnapshotcontents"
	)
	one := []string{"shop"}
	for _, c := range []struct {
		name         string
		spec         velerov1.RestoreSpec
		yes, related string
	}{
		{"no filter", velerov1.RestoreSpec{}, namespaced + " namespaces " + wide, ""},
		{"some namespaces", velerov1.RestoreSpec{IncludedNamespaces: one}, namespaced + " namespaces", wide},
		{"some namespaces, cluster resources", velerov1.RestoreSpec{IncludedNamespaces: one, IncludeClusterResources: pointer(true)}, namespaced + " namespaces " + wide, ""},
		{"no cluster resources: namespaces as needed", velerov1.RestoreSpec{IncludeClusterResources: pointer(false)}, namespaced, "namespaces"},
		{"some resources: theirs as needed", velerov1.RestoreSpec{IncludedResources: []string{"widgets"}}, "widgets datauploads", "namespaces customresourcedefinitions"},
		{"resources excluded", velerov1.RestoreSpec{ExcludedResources: []string{"ns", "crd", "po", "datauploads"}},
			"configmaps persistentvolumeclaims deployments widgets datauploads volumesnapshots persistentvolumes storageclasses volumesnapshotcontents", "namespaces"},
	} {
		t.Run(c.name, func(t *testing.T) {
			c.spec.BackupName = "b"
			f, err := ForRestore(c.spec, served)
			if err != nil {
				t.Fatal(err)
			}
			yes, related := verdicts(f)
			if diff := cmp.Diff(set(c.yes, c.related), set(yes, related)); diff != "" {
				t.Error(diff)
			}
		})
	}
	f, err := ForRestore(velerov1.RestoreSpec{BackupName: "b", IncludedResources: []string{"*"}, IncludeClusterResources: pointer(true)}, nil)
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range NonRestorable() {
		group, resource := object.ParseGroupResource(name)
		if f.Type(object.Type{Group: group, Resource: resource}) != No || f.Resource(group, resource) {
			t.Errorf("%s is restored", name)
		}
	}
}

func TestNames(t *testing.T) {
	for name, want := range map[string]string{
		"pods":                   "pods", // of the core group, before metrics
		"Pod":                    "pods",
		"po":                     "pods",
		"pods.metrics.k8s.io":    "pods.metrics.k8s.io",
		"podmetrics":             "pods.metrics.k8s.io",
		"deployment":             "deployments.apps",
		"deploy":                 "deployments.apps",
		"deployments.apps":       "deployments.apps",
		"Deployment.apps":        "deployments.apps",
		"events":                 "events",
		"ev.events":              "events.events.k8s.io", // a group cut short
		"storageclasses.storage": "storageclasses.storage.k8s.io",
		"crds":                   "customresourcedefinitions.apiextensions.k8s.io",
		"nothing":                "",
		"deployments.batch":      "",
	} {
		got, ok := resolve(name, served)
		if ok != (want != "") || ok && got.GroupResource() != want {
			t.Errorf("%s means %s, %v, want %q", name, got.GroupResource(), ok, want)
		}
	}
}

func TestUnresolved(t *testing.T) {
	f, err := ForBackup(velerov1.BackupSpec{IncludedNamespaceScopedResources: []string{"po", "gadgets", "*.example.com", "*.nowhere", "storageclasses"},
		ExcludedClusterScopedResources: []string{"things.example.com"}}, served, cluster)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{"gadgets", "*.nowhere", "storageclasses", "things.example.com"}, f.Unresolved()); diff != "" {
		t.Error(diff)
	}
	for resource, want := range map[string]Inclusion{"pods": Yes, "configmaps": Related, "gadgets": Yes} {
		if got := f.Type(object.Type{Resource: resource, Namespaced: true}); got != want {
			t.Errorf("%s: %v, want %v", resource, got, want)
		}
	}
	if got := f.Type(object.Type{Group: "example.com", Resource: "widgets", Namespaced: true}); got != Yes {
		t.Errorf("a pattern does not match: %v", got)
	}
	if got := f.Type(object.Type{Group: "example.com", Resource: "things"}); got != No {
		t.Errorf("a name that was not served when the run began is not excluded: %v", got)
	}
}

func TestBackupNamespaces(t *testing.T) {
	for _, c := range []struct {
		name                                  string
		include, exclude                      []string
		everywhere                            bool
		included, literals, missing, unmached string
	}{
		{name: "none given", everywhere: true, included: "default dying shop shop-test"},
		{name: "star", include: []string{"*"}, everywhere: true, included: "default dying shop shop-test"},
		{name: "by name", include: []string{"shop", "gone"}, included: "shop", literals: "shop gone", missing: "gone"},
		{name: "by pattern", include: []string{"shop*", "x?"}, included: "shop shop-test", unmached: "x?"},
		{name: "a class", include: []string{"[ds]*"}, everywhere: true, included: "default dying shop shop-test"},
		{name: "nothing matches", include: []string{"x*"}, unmached: "x*"},
		{name: "excluded by pattern", exclude: []string{"shop-*"}, included: "default dying shop"},
		{name: "included and excluded", include: []string{"shop*"}, exclude: []string{"*-test"}, included: "shop"},
		{name: "no namespace", include: []string{""}},
	} {
		t.Run(c.name, func(t *testing.T) {
			f, err := ForBackup(velerov1.BackupSpec{IncludedNamespaces: c.include, ExcludedNamespaces: c.exclude}, served, cluster)
			if err != nil {
				t.Fatal(err)
			}
			got := fmt.Sprintf("%v: %v; literals %v, missing %v, unmatched %v", f.Everywhere(), f.Namespaces(), f.Literals(), f.Missing(), f.Unmatched())
			want := fmt.Sprintf("%v: [%v]; literals [%v], missing [%v], unmatched [%v]", c.everywhere, c.included, c.literals, c.missing, c.unmached)
			if got != want {
				t.Errorf("got  %s\nwant %s", got, want)
			}
			for _, ns := range cluster {
				if f.Namespace(ns.Name) != strings.Contains(" "+c.included+" ", " "+ns.Name+" ") {
					t.Errorf("%s: %v", ns.Name, f.Namespace(ns.Name))
				}
			}
			if diff := cmp.Diff([]string{"secret"}, f.ExcludedByLabel()); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestObject(t *testing.T) {
	selector := &metav1.LabelSelector{MatchLabels: map[string]string{"app": "web"}}
	or := []*metav1.LabelSelector{{MatchLabels: map[string]string{"app": "db"}}, {MatchExpressions: []metav1.LabelSelectorRequirement{{Key: "tier", Operator: metav1.LabelSelectorOpExists}}}}
	shop := []string{"shop"}
	for _, c := range []struct {
		name             string
		spec             velerov1.BackupSpec
		object, metadata string
		want, related    string // reasons; "": in
	}{
		{"no filter", velerov1.BackupSpec{}, "pods/shop/a", `{}`, "", ""},
		{"the exclude label", velerov1.BackupSpec{}, "pods/shop/a", `{"labels":{"velero.io/exclude-from-backup":"true"}}`, ReasonLabel, ReasonLabel},
		{"the exclude label says false", velerov1.BackupSpec{}, "pods/shop/a", `{"labels":{"velero.io/exclude-from-backup":"false"}}`, "", ""},
		{"the exclude label on the namespace", velerov1.BackupSpec{}, "pods/secret/a", `{}`, ReasonNamespace, ReasonNamespace},
		{"and the namespace itself", velerov1.BackupSpec{}, "namespaces//secret", `{}`, ReasonLabel, ReasonLabel},
		{"being deleted", velerov1.BackupSpec{}, "pods/shop/a", `{"deletionTimestamp":"2026-01-01T00:00:00Z"}`, ReasonTerminating, ReasonTerminating},
		{"another namespace", velerov1.BackupSpec{IncludedNamespaces: shop}, "pods/default/a", `{}`, ReasonNamespace, ReasonNamespace},
		{"another Namespace object", velerov1.BackupSpec{IncludedNamespaces: shop}, "namespaces//default", `{}`, ReasonNamespace, ""},
		{"the Namespace object", velerov1.BackupSpec{IncludedNamespaces: shop, LabelSelector: selector}, "namespaces//shop", `{}`, "", ""},
		{"the Namespace object among all: only with what is in it", velerov1.BackupSpec{LabelSelector: selector}, "namespaces//shop", `{}`, ReasonSelector, ""},
		{"the Namespace object among all, by its own label", velerov1.BackupSpec{LabelSelector: selector}, "namespaces//shop", `{"labels":{"app":"web"}}`, "", ""},
		{"selector matches", velerov1.BackupSpec{LabelSelector: selector}, "pods/shop/a", `{"labels":{"app":"web"}}`, "", ""},
		{"selector does not match", velerov1.BackupSpec{LabelSelector: selector}, "pods/shop/a", `{"labels":{"app":"db"}}`, ReasonSelector, ""},
		{"selector, cluster-scoped", velerov1.BackupSpec{LabelSelector: selector}, "storageclasses.storage.k8s.io//a", `{}`, ReasonSelector, ""},
		{"one of two selectors", velerov1.BackupSpec{OrLabelSelectors: or}, "pods/shop/a", `{"labels":{"app":"db"}}`, "", ""},
		{"the other", velerov1.BackupSpec{OrLabelSelectors: or}, "pods/shop/a", `{"labels":{"tier":""}}`, "", ""},
		{"neither", velerov1.BackupSpec{OrLabelSelectors: or}, "pods/shop/a", `{"labels":{"app":"web"}}`, ReasonSelector, ""},
		{"an empty selector", velerov1.BackupSpec{LabelSelector: &metav1.LabelSelector{}}, "pods/shop/a", `{}`, "", ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			f, err := ForBackup(c.spec, served, cluster)
			if err != nil {
				t.Fatal(err)
			}
			head, err := object.Scan([]byte(`{"metadata":` + c.metadata + `}`))
			if err != nil {
				t.Fatal(err)
			}
			part := strings.Split(c.object, "/")
			group, resource := object.ParseGroupResource(part[0])
			ref := object.Ref{Group: group, Resource: resource, Namespace: part[1], Name: part[2]}
			if ok, reason := f.Object(ref, head); reason != c.want || ok != (c.want == "") {
				t.Errorf("got %v, %q, want %q", ok, reason, c.want)
			}
			if ok, reason := f.Related(ref, head); reason != c.related || ok != (c.related == "") {
				t.Errorf("as related: got %v, %q, want %q", ok, reason, c.related)
			}
		})
	}
}

func TestForRefusesWhatValidationRefuses(t *testing.T) {
	if _, err := ForBackup(velerov1.BackupSpec{ExcludedResources: []string{"*"}}, served, cluster); !fail.Is(err, fail.Invalid) {
		t.Errorf("backup: %v", err)
	}
	if _, err := ForRestore(velerov1.RestoreSpec{}, served); !fail.Is(err, fail.Invalid) {
		t.Errorf("restore: %v", err)
	}
}

func TestRestoreObjects(t *testing.T) {
	f, err := ForRestore(velerov1.RestoreSpec{BackupName: "b", IncludedNamespaces: []string{"s*"}, ExcludedNamespaces: []string{"*-test"},
		LabelSelector: &metav1.LabelSelector{MatchLabels: map[string]string{"a": "b"}}}, served)
	if err != nil {
		t.Fatal(err)
	}
	head, err := object.Scan([]byte(`{"metadata":{"labels":{"a":"b","velero.io/exclude-from-backup":"true"}}}`))
	if err != nil {
		t.Fatal(err)
	}
	for ns, want := range map[string]bool{"shop": true, "shop-test": false, "default": false} {
		if ok, _ := f.Object(object.Ref{Resource: "pods", Namespace: ns, Name: "a"}, head); ok != want {
			t.Errorf("a pod in %s: %v", ns, ok)
		}
		if ok, _ := f.Object(object.Ref{Resource: "namespaces", Name: ns}, head); ok != want {
			t.Errorf("namespace %s: %v", ns, ok)
		}
	}
	if !f.HasSelector() || len(f.Selectors()) != 1 || f.Everywhere() {
		t.Error("what the filter says of itself")
	}
}
