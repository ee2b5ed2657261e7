// SPDX-License-Identifier: Apache-2.0

package backup_test

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/uuid"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	velerov1 "hozon.dev/hozon/api/velero/v1"
	"hozon.dev/hozon/internal/backup"
	"hozon.dev/hozon/internal/blob/mem"
	"hozon.dev/hozon/internal/cluster"
	"hozon.dev/hozon/internal/cluster/clustertest"
	"hozon.dev/hozon/internal/fail"
	"hozon.dev/hozon/internal/store"
)

func TestMain(m *testing.M) { clustertest.Main(m) }

// world is a namespace of a cluster and a store.
type world struct {
	t      *testing.T
	c      *clustertest.Cluster
	ns     string
	engine backup.Engine
}

type quiet struct{}

func (quiet) Step(string)    {}
func (quiet) Items(_, _ int) {}

func newWorld(t *testing.T) *world {
	t.Helper()
	c := clustertest.Shared(t)
	k, err := cluster.Open(cluster.Options{Kubeconfig: c.Kubeconfig()})
	if err != nil {
		t.Fatal(err)
	}
	s, err := store.Open(t.Context(), mem.New())
	if err != nil {
		t.Fatal(err)
	}
	return &world{t, c, c.Namespace(t), backup.Engine{Cluster: k, Store: s, Now: time.Now, Tool: "test", Observe: quiet{}}}
}

// create creates objects out of YAML in which NS stands for the namespace.
func (w *world) create(text string) {
	w.t.Helper()
	cmd := w.c.Kubectl(w.t.Context(), "create", "-f", "-")
	cmd.Stdin = strings.NewReader(strings.ReplaceAll(text, "NS", w.ns))
	if out, err := cmd.CombinedOutput(); err != nil {
		w.t.Fatalf("%v\n%s", err, out)
	}
}

// policies makes a ConfigMap of policies.
func (w *world) policies(name, text string) {
	w.t.Helper()
	w.create(fmt.Sprintf("apiVersion: v1\nkind: ConfigMap\nmetadata: {name: %s, namespace: NS}\ndata:\n  policy.yaml: %q\n", name, text))
}

func (w *world) run(name string, spec velerov1.BackupSpec) (backup.Result, error) {
	w.t.Helper()
	if spec.IncludedNamespaces == nil {
		spec.IncludedNamespaces = []string{w.ns}
	}
	b := &velerov1.Backup{ObjectMeta: metav1.ObjectMeta{Name: name, Namespace: w.ns}, Spec: spec}
	return w.engine.Run(w.t.Context(), b, backup.Options{Run: uuid.NewString()})
}

func (w *world) must(name string, spec velerov1.BackupSpec) backup.Result {
	w.t.Helper()
	r, err := w.run(name, spec)
	if err != nil {
		w.t.Fatal(err)
	}
	return r
}

// names are the objects of a backup, "v1/ConfigMap ns/name", without those that a cluster puts into each namespace.
func (w *world) names(name string) []string {
	w.t.Helper()
	var list map[string][]string
	if err := w.engine.Store.ReadJSON(w.t.Context(), store.Backup, name, store.ResourceList, &list); err != nil {
		w.t.Fatal(err)
	}
	var out []string
	for _, kind := range slices.Sorted(maps.Keys(list)) {
		for _, id := range list[kind] {
			if !strings.Contains(id, "kube-root-ca") && !strings.HasSuffix(id, "/default") {
				out = append(out, kind+" "+strings.ReplaceAll(id, w.ns, "NS"))
			}
		}
	}
	return out
}

func named(name string) *corev1.TypedLocalObjectReference {
	return &corev1.TypedLocalObjectReference{Kind: "configmap", Name: name}
}

// volume is a claim and the volume that it is bound to.
func volume(name, class, labels string) string {
	return fmt.Sprintf(`---
apiVersion: v1
kind: PersistentVolume
metadata: {name: NS-%[1]s}
spec:
  capacity: {storage: 1Gi}
  accessModes: [ReadWriteOnce]
  storageClassName: %[2]s
  hostPath: {path: /x}
  claimRef: {namespace: NS, name: %[1]s}
---
apiVersion: v1
kind: PersistentVolumeClaim
metadata: {name: %[1]s, namespace: NS, labels: %[3]s}
spec:
  accessModes: [ReadWriteOnce]
  storageClassName: %[2]s
  volumeName: NS-%[1]s
  resources: {requests: {storage: 1Gi}}
`, name, class, labels)
}

// TestVolumePolicies: the policies of the backup, and behind them those for all, decide what becomes of each volume, and that is said.
func TestVolumePolicies(t *testing.T) {
	w := newWorld(t)
	w.create(volume("cache", "fast", "{}") + volume("data", "slow", "{tier: gold}") + volume("logs", "slow", "{}") + volume("rest", "other", "{}"))
	w.policies("own", "version: v1\nvolumePolicies:\n- conditions: {storageClass: [fast]}\n  action: {type: skip}\n- conditions: {pvcLabels: {tier: gold}}\n  action: {type: snapshot}\n")
	w.policies("all", "version: v1\nvolumePolicies:\n- conditions: {storageClass: [fast, slow]}\n  action: {type: fs-backup}\n")
	w.engine.GlobalPolicy = "all"
	result := w.must("b", velerov1.BackupSpec{ResourcePolicy: named("own")})
	var infos []store.BackedUpVolume
	if err := w.engine.Store.ReadJSON(t.Context(), store.Backup, "b", store.VolumeInfo, &infos); err != nil {
		t.Fatal(err)
	}
	got := map[string]string{}
	for _, i := range infos {
		got[i.PVCName] = strings.ReplaceAll(i.SkippedReason, w.ns, "NS")
	}
	const notSaved = ": only objects are saved; the bytes in the volume are not"
	want := map[string]string{
		"cache": "volume policy skip (ConfigMap NS/own, key policy.yaml, line 3)",
		"data":  "volume policy snapshot (ConfigMap NS/own, key policy.yaml, line 5)" + notSaved,
		"logs":  "volume policy fs-backup (ConfigMap NS/all, key policy.yaml, line 3)" + notSaved,
		"rest":  strings.TrimPrefix(notSaved, ": "),
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
	warned := ""
	for _, n := range result.Report.Warnings {
		warned += n.Text + "\n"
	}
	for name, want := range map[string]bool{"cache": false, "data": true, "logs": true, "rest": true} {
		if got := strings.Contains(warned, "PersistentVolumeClaim "+name+" "); got != want {
			t.Errorf("a warning about %s: %v, want %v\n%s", name, got, want, warned)
		}
	}
	if got := result.Backup.Annotations[velerov1.AnnotationGlobalVolumePolicy]; got != "all" {
		t.Errorf("annotation of the policies for all: %q", got)
	}
}

// TestResourceLists: lists of a policy are added to the spec's, which count where both speak of a resource.
func TestResourceLists(t *testing.T) {
	w := newWorld(t)
	w.create("apiVersion: v1\nkind: Secret\nmetadata: {name: s, namespace: NS}\n---\napiVersion: v1\nkind: ConfigMap\nmetadata: {name: c, namespace: NS}\n")
	w.policies("p", "version: v1\nincludeExcludePolicy:\n  includedNamespaceScopedResources: [cm]\n  excludedNamespaceScopedResources: [secrets, serviceaccounts]\n  excludedClusterScopedResources: [namespaces]\n")
	w.must("policy", velerov1.BackupSpec{ResourcePolicy: named("p")})
	if diff := cmp.Diff([]string{"v1/ConfigMap NS/c", "v1/ConfigMap NS/p"}, w.names("policy")); diff != "" {
		t.Errorf("policy alone -want +got:\n%s", diff)
	}
	w.must("spec", velerov1.BackupSpec{ResourcePolicy: named("p"), IncludedNamespaceScopedResources: []string{"secret"}})
	if diff := cmp.Diff([]string{"v1/ConfigMap NS/c", "v1/ConfigMap NS/p", "v1/Secret NS/s"}, w.names("spec")); diff != "" {
		t.Errorf("with the spec -want +got:\n%s", diff)
	}
}

// TestFilterPolicies: of a namespace that a policy names only what it takes is saved, and what that needs.
func TestFilterPolicies(t *testing.T) {
	w := newWorld(t)
	w.create(volume("data", "slow", "{}") + volume("more", "slow", "{}") + `---
apiVersion: v1
kind: Pod
metadata: {name: web, namespace: NS, labels: {app: web}}
spec:
  containers: [{name: a, image: a}]
  volumes: [{name: d, persistentVolumeClaim: {claimName: data}}]
---
apiVersion: v1
kind: Pod
metadata: {name: db, namespace: NS, labels: {app: db}}
spec: {containers: [{name: a, image: a}]}
---
apiVersion: v1
kind: Secret
metadata: {name: s, namespace: NS, labels: {app: web}}
`)
	w.policies("app-a", "version: v1")
	w.policies("app-tmp", "version: v1")
	w.policies("fine", "version: v1\nclusterScopedFilterPolicy: {resourceFilters: [{kinds: [PersistentVolume], names: [NS-data]}]}\n"+
		"namespacedFilterPolicies:\n- namespaces: [\"NS\"]\n  resourceFilters:\n  - {kinds: [cm], names: ['app-*'], excludedNames: ['*-tmp']}\n  - {kinds: [Pod], labelSelector: {app: web}}\n")
	w.must("fine", velerov1.BackupSpec{ResourcePolicy: named("fine"), IncludedClusterScopedResources: []string{"pv"}})
	want := []string{"v1/ConfigMap NS/app-a", "v1/Namespace NS", "v1/PersistentVolume NS-data", "v1/PersistentVolumeClaim NS/data", "v1/Pod NS/web"}
	if diff := cmp.Diff(want, w.names("fine")); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
}

// TestBadPolicies: nothing starts, and the ConfigMap, key and line are named.
func TestBadPolicies(t *testing.T) {
	w := newWorld(t)
	w.policies("typo", "version: v1\nvolumePolicies:\n- condition: {}\n  action: {type: skip}\n")
	w.policies("lists", "version: v1\nincludeExcludePolicy: {excludedNamespaceScopedResources: [secrets]}\n")
	w.policies("fine", "version: v1\nnamespacedFilterPolicies:\n- namespaces: [a]\n  resourceFilters: [{kinds: [Gadget]}]\n")
	yes := true
	for name, c := range map[string]struct {
		spec velerov1.BackupSpec
		all  string
		want string
	}{
		"typo":     {velerov1.BackupSpec{ResourcePolicy: named("typo")}, "", "invalid resource policies: ConfigMap NS/typo, key policy.yaml, line 3: volumePolicies: unknown field \"condition\": expected action or conditions"},
		"missing":  {velerov1.BackupSpec{ResourcePolicy: named("nobody")}, "", "invalid resource policies: ConfigMap NS/nobody does not exist"},
		"kind":     {velerov1.BackupSpec{ResourcePolicy: &corev1.TypedLocalObjectReference{Kind: "Secret", Name: "x"}}, "", "spec.resourcePolicy is a Secret: expected a ConfigMap"},
		"family":   {velerov1.BackupSpec{ResourcePolicy: named("lists"), IncludeClusterResources: &yes}, "", "They cannot be used with include-exclude policies."},
		"all":      {velerov1.BackupSpec{}, "lists", "ConfigMap NS/lists is for all backups: expected volumePolicies only"},
		"unserved": {velerov1.BackupSpec{ResourcePolicy: named("fine")}, "", `ConfigMap NS/fine, key policy.yaml, line 4: "Gadget": expected kinds that an API of this cluster serves`},
		"old":      {velerov1.BackupSpec{ResourcePolicy: named("fine"), IncludeClusterResources: &yes}, "", "They cannot be used with namespace-scoped or fine-grained global filter policies."},
		"ordered":  {velerov1.BackupSpec{OrderedResources: map[string]string{"pods": "a/b", "gadgets": "x"}}, "", `spec.orderedResources: no API of this cluster serves a resource "gadgets"`},
	} {
		w.engine.GlobalPolicy = c.all
		_, err := w.run(name, c.spec)
		if !fail.Is(err, fail.Invalid) || !strings.Contains(strings.ReplaceAll(err.Error(), w.ns, "NS"), c.want) {
			t.Errorf("%s: %v, want %s", name, err, c.want)
		}
		if _, err := w.engine.Store.Backup(t.Context(), name); !fail.Is(err, fail.NotFound) {
			t.Errorf("%s: the backup exists: %v", name, err)
		}
	}
}

// TestAllVersions: with the feature each object is there in every version that is served, in Velero's layout.
func TestAllVersions(t *testing.T) {
	w := newWorld(t)
	w.create(`apiVersion: autoscaling/v2
kind: HorizontalPodAutoscaler
metadata: {name: h, namespace: NS}
spec: {maxReplicas: 3, scaleTargetRef: {apiVersion: apps/v1, kind: Deployment, name: d}}
`)
	spec := velerov1.BackupSpec{IncludedNamespaceScopedResources: []string{"hpa"}}
	w.must("one", spec)
	w.engine.AllVersions = true
	w.must("all", spec)
	const at = "resources/horizontalpodautoscalers.autoscaling/"
	for name, want := range map[string][]string{
		"one": {at + "namespaces/NS/h.json", at + "v2-preferredversion/namespaces/NS/h.json"},
		"all": {at + "namespaces/NS/h.json", at + "v1/namespaces/NS/h.json", at + "v2-preferredversion/namespaces/NS/h.json"},
	} {
		var got []string
		for _, path := range w.paths(name) {
			if strings.HasPrefix(path, at) {
				got = append(got, strings.ReplaceAll(path, w.ns, "NS"))
			}
		}
		slices.Sort(got)
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s -want +got:\n%s", name, diff)
		}
		if result, err := w.engine.Store.Verify(t.Context(), name, func(int) {}); err != nil || len(result.Damages) > 0 {
			t.Errorf("%s: %+v, %v", name, result, err)
		}
	}
}
