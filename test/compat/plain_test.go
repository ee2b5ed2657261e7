// SPDX-License-Identifier: Apache-2.0

package compat

import (
	"crypto/sha256"
	"encoding/hex"
	"slices"
	"strings"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	utiljson "k8s.io/apimachinery/pkg/util/json"

	velerov1 "hozon.dev/hozon/api/velero/v1"
	"hozon.dev/hozon/internal/cluster"
	"hozon.dev/hozon/internal/cluster/clustertest"
	"hozon.dev/hozon/internal/object"
	"hozon.dev/hozon/internal/report"
	"hozon.dev/hozon/internal/restore"
)

// theirs is what Velero 1.18.3 did.
type theirs struct {
	Restores map[string]struct {
		Errors       int
		ErrorText    struct{ Namespaces map[string][]string }
		ResourceList map[string][]string
	}
}

// created are the objects that Velero created.
func (th theirs) created(restore string) []string {
	var list []string
	for kind, names := range th.Restores[restore].ResourceList {
		for _, n := range names {
			// The API server removes restored addresses of other Services, and controllers make the slices: we leave them out.
			if name, ok := strings.CutSuffix(n, "(created)"); ok && !strings.HasSuffix(kind, "/IPAddress") && !strings.HasSuffix(kind, "/EndpointSlice") {
				list = append(list, kind+" "+name)
			}
		}
	}
	slices.Sort(list)
	return list
}

func yes() *bool { b := true; return &b }

// TestPlain restores the backups of the set plain as Velero did: all that Velero created is created, what it made of each object is
// what we make of it, and doing it again changes nothing.
func TestPlain(t *testing.T) {
	all := velerov1.RestoreSpec{BackupName: "full", IncludeClusterResources: yes()}
	cases := []struct {
		name   string
		spec   velerov1.RestoreSpec
		before *velerov1.RestoreSpec // restored first
		shared []string              // kinds of which the originals keep objects, or their ports, so that the copies differ
	}{
		{name: "full-r", spec: all},
		{name: "everything-r", spec: velerov1.RestoreSpec{BackupName: "everything"}},
		{name: "selector-r", spec: velerov1.RestoreSpec{
			BackupName: "full", LabelSelector: &metav1.LabelSelector{MatchLabels: map[string]string{"tier": "db"}},
			IncludedNamespaces: []string{"shop-data"}, NamespaceMapping: map[string]string{"shop-data": "only-db"},
		}},
		{name: "mapped-r", before: &all, shared: []string{"persistentvolumes", "clusterrolebindings", "services"}, spec: velerov1.RestoreSpec{
			BackupName: "two-namespaces", NamespaceMapping: map[string]string{"shop": "shop-copy", "shop-data": "shop-data-copy"},
		}},
	}
	var th theirs
	readJSON(t, &th, "plain", "expected.json")
	for _, tc := range cases {
		t.Run(tc.name, func(t *testing.T) { // each needs a cluster of its own, which takes 3 s
			k := client(t, clustertest.Start(t, clustertest.Options{UnsafeNoFsync: true}))
			s := bucket(t, "plain", "bucket")
			if tc.before != nil {
				if _, err := run(t, k, s, "before", *tc.before, restore.Options{}); err != nil {
					t.Fatal(err)
				}
			}
			first, err := run(t, k, s, "ours-"+tc.name, tc.spec, restore.Options{})
			if err != nil {
				t.Fatal(err)
			}
			ours := with(first.Report, report.Created)
			for _, name := range th.created(tc.name) {
				if !slices.Contains(ours, name) {
					t.Errorf("Velero creates %s, we do not", name)
				}
			}
			checkFailures(t, first)
			for _, w := range first.Report.Warnings {
				t.Errorf("warning: %s", w.Text)
			}
			compare(t, k, tc.name)
			again(t, rerun{tc.spec, tc.name, tc.shared}, func(name string, spec velerov1.RestoreSpec) (restore.Result, error) {
				return run(t, k, s, name, spec, restore.Options{})
			})
		})
	}
}

// rerun is a restore that was done before.
type rerun struct {
	spec   velerov1.RestoreSpec
	name   string
	shared []string
}

// again restores a second time, under each policy: nothing is to be done, and nothing to be warned about.
func again(t *testing.T, c rerun, run func(string, velerov1.RestoreSpec) (restore.Result, error)) {
	for _, policy := range []velerov1.PolicyType{"", "none", "update"} {
		spec := c.spec
		spec.ExistingResourcePolicy = policy
		second, err := run(strings.Trim("again-"+c.name+"-"+string(policy), "-"), spec)
		if err != nil {
			t.Fatal(err)
		}
		for i := range second.Report.Items.All() {
			if slices.Contains(c.shared, i.Ref.Resource) {
				continue
			}
			if i.Action == report.Created || i.Action == report.Updated {
				t.Errorf("policy %q: %s is %s the second time", policy, i.Ref, i.Action)
			}
			if i.Warning != "" {
				t.Errorf("policy %q: %s: %s (%s)", policy, i.Ref, i.Warning, i.Reason)
			}
		}
		checkFailures(t, second)
		for _, w := range second.Report.Warnings {
			t.Errorf("policy %q: %s", policy, w.Text)
		}
	}
}

func checkFailures(t *testing.T, r restore.Result) {
	t.Helper()
	for i := range r.Report.Items.All() {
		if i.Action == report.Failed {
			t.Errorf("%s: %s", i.Ref, i.Reason)
		}
	}
	if phase := r.Restore.Status.Phase; phase != velerov1.RestorePhaseCompleted {
		t.Errorf("phase %s", phase)
	}
}

// compare compares with the objects that Velero's restore left. Its cluster had controllers, ours has none.
func compare(t *testing.T, k *cluster.Client, name string) {
	t.Helper()
	var list []map[string]any
	readJSON(t, &list, "plain", "restored", name+".json.gz")
	types, _, err := k.Types(t.Context(), true)
	if err != nil {
		t.Fatal(err)
	}
	resources := map[string]object.Type{}
	for _, typ := range types {
		resources[typ.GroupVersion()+"/"+typ.Kind] = typ
	}
	compared := 0
	for _, o := range list {
		want := &unstructured.Unstructured{Object: o}
		typ := resources[want.GetAPIVersion()+"/"+want.GetKind()]
		if excused(want) {
			continue
		}
		body, err := k.Get(t.Context(), typ, want.GetNamespace(), want.GetName())
		if err != nil {
			if want.GetGenerateName() == "" { // else made by a controller, under a name of its own
				t.Errorf("%s %s/%s: %v", want.GetKind(), want.GetNamespace(), want.GetName(), err)
			}
			continue
		}
		got := &unstructured.Unstructured{}
		if err := utiljson.Unmarshal(body, &got.Object); err != nil {
			t.Fatal(err)
		}
		shorten(got.Object)
		want.SetOwnerReferences(nil) // set by controllers
		got.SetOwnerReferences(nil)
		if same, differences := object.Same(want, got, object.SameOptions{}); !same {
			t.Errorf("%s %s/%s: Velero against ours: %v", want.GetKind(), want.GetNamespace(), want.GetName(), differences)
		}
		compared++
	}
	t.Logf("%d of %d objects compared", compared, len(list))
}

// excused are objects where ours differ on purpose: addresses and slices are not restored; a LimitRange comes after the pods, so that it does not
// change pods that are older than it; a token of a mapped service account does not name the old namespace.
func excused(o *unstructured.Unstructured) bool {
	switch o.GetKind() {
	case "IPAddress", "EndpointSlice":
		return true
	case "Pod":
		return o.GetAnnotations()["kubernetes.io/limit-ranger"] != ""
	case "Secret":
		return o.Object["type"] == "kubernetes.io/service-account-token" && strings.HasSuffix(o.GetNamespace(), "-copy")
	}
	return false
}

// shorten replaces long values by their hashes, as the reference data has them.
func shorten(v any) any {
	switch v := v.(type) {
	case map[string]any:
		for key, e := range v {
			v[key] = shorten(e)
		}
	case []any:
		for i, e := range v {
			v[i] = shorten(e)
		}
	case string:
		if len(v) > 100000 {
			sum := sha256.Sum256([]byte(v))
			return "sha256:" + hex.EncodeToString(sum[:])
		}
	}
	return v
}
