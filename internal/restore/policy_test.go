// SPDX-License-Identifier: Apache-2.0

package restore_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	velerov1 "hozon.dev/hozon/api/velero/v1"
	"hozon.dev/hozon/internal/blob/mem"
	"hozon.dev/hozon/internal/cluster"
	"hozon.dev/hozon/internal/cluster/clustertest"
	"hozon.dev/hozon/internal/fail"
	"hozon.dev/hozon/internal/object"
	"hozon.dev/hozon/internal/report"
	"hozon.dev/hozon/internal/restore"
	"hozon.dev/hozon/internal/store"
)

// policies makes a ConfigMap of policies.
func policies(t *testing.T, k *cluster.Client, ns, name, text string) {
	t.Helper()
	maps := object.Type{Version: "v1", Resource: "configmaps", Kind: "ConfigMap", Namespaced: true}
	body := fmt.Appendf(nil, `{"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":%q},"data":{"policy.yaml":%q}}`, name, text)
	if _, err := k.Create(t.Context(), maps, ns, body, cluster.WriteOptions{}); err != nil {
		t.Fatal(err)
	}
}

// asked runs a restore that lies in a namespace, without changing anything.
func asked(t *testing.T, k *cluster.Client, s *store.Store, ns string, spec velerov1.RestoreSpec) (restore.Result, error) {
	t.Helper()
	e := restore.Engine{Target: k, Store: s, Now: time.Now}
	return e.Run(t.Context(), &velerov1.Restore{ObjectMeta: metav1.ObjectMeta{Name: "r", Namespace: ns}, Spec: spec}, restore.Options{DryRun: true})
}

// TestFilterPolicy: of a namespace that the policy of a restore names only what it takes comes back, and what that needs; elsewhere all does.
func TestFilterPolicy(t *testing.T) {
	c := clustertest.Shared(t)
	k, ns, other := client(t, c), c.Namespace(t), c.Namespace(t)
	policies(t, k, ns, "p", "version: v1\nnamespacedFilterPolicies:\n- namespaces: ["+ns+"]\n  resourceFilters:\n  - {kinds: [ConfigMap], names: ['app-*'], excludedNames: ['*-tmp']}\n"+
		"  - {kinds: [Pod], labelSelector: {app: web}}\n  - kinds: [gadgets.example.com]\nclusterScopedFilterPolicy:\n  resourceFilters:\n  - {kinds: [ClusterRole], names: ["+ns+"-b]}\n")
	pod := `{"apiVersion":"v1","kind":"Pod","metadata":{"name":%q,"namespace":%q,"labels":{"app":%q}},"spec":{"containers":[{"name":"a","image":"a"}],"volumes":[{"name":"d","persistentVolumeClaim":{"claimName":"data"}}]},"status":{"phase":"Running"}}`
	objects := [][]byte{
		configMap(ns, "app-a", "v"), configMap(ns, "app-tmp", "v"), configMap(ns, "rest", "v"), configMap(other, "rest", "v"),
		fmt.Appendf(nil, pod, "db", ns, "db"), fmt.Appendf(nil, pod, "web", ns, "web"),
		fmt.Appendf(nil, `{"apiVersion":"v1","kind":"PersistentVolumeClaim","metadata":{"name":"data","namespace":%q},"spec":{"accessModes":["ReadWriteOnce"],"resources":{"requests":{"storage":"1Gi"}}}}`, ns),
		fmt.Appendf(nil, `{"apiVersion":"v1","kind":"PersistentVolumeClaim","metadata":{"name":"rest","namespace":%q},"spec":{"accessModes":["ReadWriteOnce"],"resources":{"requests":{"storage":"1Gi"}}}}`, ns),
		fmt.Appendf(nil, `{"apiVersion":"v1","kind":"Secret","metadata":{"name":"s","namespace":%q}}`, ns),
		fmt.Appendf(nil, `{"apiVersion":"example.com/v1","kind":"Gadget","metadata":{"name":"g","namespace":%q}}`, ns),
	}
	for _, letter := range []string{"a", "b"} {
		objects = append(objects, fmt.Appendf(nil, `{"apiVersion":"rbac.authorization.k8s.io/v1","kind":"ClusterRole","metadata":{"name":"%s-%s"}}`, ns, letter))
	}
	slices.SortFunc(objects, func(a, b []byte) int { return strings.Compare(string(a), string(b)) })
	s := backup(t, mem.New(), "b", true, objects)
	yes := true
	r, err := asked(t, k, s, ns, velerov1.RestoreSpec{BackupName: "b", IncludeClusterResources: &yes, ResourcePolicy: &corev1.TypedLocalObjectReference{Kind: "configmap", Name: "p"}})
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for i := range r.Report.Items.All() {
		if i.Action == report.Created || i.Action == report.Skipped {
			got = append(got, strings.NewReplacer(ns, "NS", other, "OTHER").Replace(i.Ref.String())+" "+string(i.Action))
		}
	}
	slices.Sort(got)
	want := []string{"clusterroles.rbac.authorization.k8s.io/NS-b created", "configmaps/NS/app-a created", "configmaps/OTHER/rest created", "gadgets.example.com/NS/g skipped", "persistentvolumeclaims/NS/data created", "pods/NS/web created"}
	if !slices.Equal(got, want) {
		t.Errorf("got\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}

// TestBadFilterPolicies: nothing is done, and the ConfigMap, key and line are named.
func TestBadFilterPolicies(t *testing.T) {
	c := clustertest.Shared(t)
	k, ns := client(t, c), c.Namespace(t)
	s := backup(t, mem.New(), "b", true, [][]byte{configMap(ns, "a", "v")})
	policies(t, k, ns, "volumes", "version: v1\nvolumePolicies: []\n")
	policies(t, k, ns, "kind", "version: v1\nnamespacedFilterPolicies:\n- namespaces: ["+ns+"]\n  resourceFilters: [{kinds: [Gizmo]}]\n")
	for name, want := range map[string]string{
		"volumes": "invalid restore resource policies: ConfigMap NS/volumes, key policy.yaml, line 2: volumePolicies: it is for backups",
		"kind":    `invalid restore resource policies: ConfigMap NS/kind, key policy.yaml, line 4: "Gizmo": the cluster serves no such kind, and backup b has none`,
		"nobody":  "invalid restore resource policies: ConfigMap NS/nobody does not exist",
	} {
		spec := velerov1.RestoreSpec{BackupName: "b", ResourcePolicy: &corev1.TypedLocalObjectReference{Kind: "configmap", Name: name}}
		r, err := asked(t, k, s, ns, spec)
		if !fail.Is(err, fail.Invalid) || !strings.Contains(strings.ReplaceAll(fmt.Sprint(err), ns, "NS"), want) {
			t.Errorf("%s: %v, want %s", name, err, want)
		}
		if r.Report.Items.Len() != 0 {
			t.Errorf("%s: something was looked at", name)
		}
	}
}

// TestHookWithoutContainer: a hook of the spec that names a container which no restored pod of its set has refuses the restore; one that some pods have does not.
func TestHookWithoutContainer(t *testing.T) {
	c := clustertest.Shared(t)
	k, ns := client(t, c), c.Namespace(t)
	pod := `{"apiVersion":"v1","kind":"Pod","metadata":{"name":%q,"namespace":%q,"labels":{"app":%[1]q}},"spec":{"containers":[{"name":%[3]q,"image":"i"}]},"status":{"phase":"Running"}}`
	s := backup(t, mem.New(), "b", true, [][]byte{fmt.Appendf(nil, pod, "db", ns, "main"), fmt.Appendf(nil, pod, "web", ns, "server")})
	for container, want := range map[string]string{
		"main":   "",
		"nobody": `spec.hooks, set "warm": pod NS/db has no container "nobody": it has main, and neither has any other pod that the set applies to`,
	} {
		hooks := velerov1.RestoreHooks{Resources: []velerov1.RestoreResourceHookSpec{{Name: "warm", PostHooks: []velerov1.RestoreResourceHook{
			{Exec: &velerov1.ExecRestoreHook{Container: container, Command: []string{"true"}}},
		}}}}
		_, err := asked(t, k, s, ns, velerov1.RestoreSpec{BackupName: "b", Hooks: hooks})
		if want == "" && err != nil || want != "" && (!fail.Is(err, fail.Invalid) || strings.ReplaceAll(fmt.Sprint(err), ns, "NS") != want) {
			t.Errorf("%s: %v, want %q", container, err, want)
		}
	}
}
