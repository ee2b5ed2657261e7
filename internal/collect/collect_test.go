// SPDX-License-Identifier: Apache-2.0

package collect_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	k8stypes "k8s.io/apimachinery/pkg/types"

	velerov1 "hozon.dev/hozon/api/velero/v1"
	"hozon.dev/hozon/internal/cluster"
	"hozon.dev/hozon/internal/cluster/clustertest"
	"hozon.dev/hozon/internal/collect"
	"hozon.dev/hozon/internal/object"
)

// Everything that a plain client sees comes out, once, complete, at one revision.
func TestEverything(t *testing.T) {
	c := open(t, clustertest.Shared(t))
	ns := clustertest.Shared(t).Namespace(t)
	define(t, c, "all.example.com", "foos", "Foo", "Namespaced", "v1", "v1beta1")
	create(t, c, "all.example.com/v1/foos", ns, `{"apiVersion":"all.example.com/v1","kind":"Foo","metadata":{"name":"f"},"spec":{"a":1}}`)
	create(t, c, "v1/configmaps", ns, `{"metadata":{"name":"a"},"data":{"k":"v"}}`)
	create(t, c, "v1/configmaps", ns, `{"metadata":{"name":"leaving","finalizers":["example.com/x"]}}`)
	if err := c.Delete(t.Context(), object.Type{Version: "v1", Resource: "configmaps"}, ns, "leaving", cluster.DeleteOptions{}); err != nil {
		t.Fatal(err)
	}
	all, _, err := c.Types(t.Context(), true)
	if err != nil {
		t.Fatal(err)
	}
	m, result := run(t, c, collect.Request{Types: all, Exact: true, Consistency: collect.Require})

	if len(result.Problems) != 0 || len(result.Own) != 0 || result.ResourceVersion == "" {
		t.Errorf("problems %v, own %v, revision %q", result.Problems, result.Own, result.ResourceVersion)
	}
	want := []object.Ref{{Resource: "configmaps", Namespace: ns, Name: "leaving"}}
	if diff := cmp.Diff(want, result.Terminating); diff != "" {
		t.Error(diff)
	}
	m.has(t, "v1 foos.all.example.com/"+ns+"/f", "v1beta1 foos.all.example.com/"+ns+"/f", "v1 configmaps/"+ns+"/a",
		"v1 namespaces/"+ns, "v1 customresourcedefinitions.apiextensions.k8s.io/foos.all.example.com", "v1 clusterroles.rbac.authorization.k8s.io/cluster-admin")
	if n := result.Counts[schema.GroupVersionResource{Version: "v1", Resource: "configmaps"}]; n == 0 {
		t.Error("no configmaps counted")
	}
	older := slices.DeleteFunc(slices.Clone(all), func(t object.Type) bool { return t.Group == "all.example.com" })
	_, result = run(t, c, collect.Request{Types: older, Exact: true})
	if len(result.Problems) != 1 || !strings.HasPrefix(result.Problems[0].Text, "list foos.all.example.com: the kind is newer") {
		t.Errorf("a kind that the types do not have yet: %v", result.Problems)
	}
	for _, key := range []string{"v1 configmaps/" + ns + "/a", "v1beta1 foos.all.example.com/" + ns + "/f"} {
		sameAsGet(t, c, all, ns, key, m.items[key])
	}
}

// sameAsGet compares a collected body with what a GET of the object returns.
func sameAsGet(t *testing.T, c *cluster.Client, types []object.Type, ns, key, body string) {
	t.Helper()
	version, rest, _ := strings.Cut(key, " ")
	gr, _, _ := strings.Cut(rest, "/")
	i := slices.IndexFunc(types, func(t object.Type) bool { return t.GroupResource() == gr && t.Version == version })
	live, err := c.Get(t.Context(), types[i], ns, rest[strings.LastIndex(rest, "/")+1:])
	if err != nil {
		t.Fatal(err)
	}
	var a, b any
	if json.Unmarshal(live, &a) != nil || json.Unmarshal([]byte(body), &b) != nil {
		t.Fatalf("%s is not JSON: %s", key, body)
	}
	if diff := cmp.Diff(a, b); diff != "" {
		t.Errorf("%s: %s", key, diff)
	}
}

// While a writer always creates a ConfigMap before its custom resource, no run may have the second without the
// first. Lists one after another do: that shows that the test can fail. It makes 20 runs against a busy API server, hence its length.
func TestOneRevision(t *testing.T) {
	c := open(t, clustertest.Shared(t))
	ns := clustertest.Shared(t).Namespace(t)
	define(t, c, "rev.example.com", "afters", "After", "Namespaced", "v1")
	ctx, stop := context.WithCancel(t.Context())
	var writers sync.WaitGroup
	for w := range 2 {
		writers.Go(func() {
			for i := 0; ctx.Err() == nil; i++ {
				name := fmt.Sprintf("w%d-%d", w, i)
				_ = tryCreate(ctx, c, "v1/configmaps", ns, fmt.Sprintf(`{"metadata":{"name":%q}}`, name))
				_ = tryCreate(ctx, c, "rev.example.com/v1/afters", ns, fmt.Sprintf(`{"apiVersion":"rev.example.com/v1","kind":"After","metadata":{"name":%q}}`, name))
			}
		})
	}
	defer writers.Wait()
	defer stop()

	types := typesOf(t, c)
	first, second := typeNamed(t, types, "configmaps"), typeNamed(t, types, "afters.rev.example.com")
	orphans := func(m *memory) (n, all int) {
		for _, key := range m.in(ns) {
			name := key[strings.LastIndex(key, "/")+1:]
			if !strings.Contains(key, "afters") {
				continue
			}
			all++
			if _, ok := m.items["v1 configmaps/"+ns+"/"+name]; !ok {
				n++
			}
		}
		return n, all
	}
	eventually(t, func() error {
		m, _ := run(t, c, collect.Request{Types: []object.Type{first, second}, Exact: true})
		if _, all := orphans(m); all < 20 {
			return fmt.Errorf("%d written", all)
		}
		return nil
	})
	for i := range 20 {
		m, result := run(t, c, collect.Request{Types: types, Exact: true, Consistency: collect.Require})
		if n, all := orphans(m); n > 0 || all == 0 {
			t.Errorf("run %d at %s: %d of %d have no ConfigMap", i, result.ResourceVersion, n, all)
		}
		if len(result.Own) > 0 || len(result.Problems) > 0 {
			t.Errorf("run %d: own %v, problems %v", i, result.Own, result.Problems)
		}
	}
	eventually(t, func() error { // each list consistent in itself, in the order of the names
		var m memory
		for _, one := range []object.Type{first, second} {
			if _, err := collect.Run(t.Context(), c, collect.Request{Types: []object.Type{one}}, &m); err != nil {
				t.Fatal(err)
			}
		}
		if n, _ := orphans(&m); n == 0 {
			return errors.New("plain lists did not show what they get wrong")
		}
		return nil
	})
}

// Lists come in several pages, of built-in kinds and custom resources, and memory does not grow with them. The
// objects are as large as they get, to make pages of a hundred of them, and writing 90 MB takes its time.
func TestPages(t *testing.T) {
	c := open(t, clustertest.Shared(t))
	const ns = "a-pages" // before every other one: the first item of a kind says how many the first page may have
	create(t, c, "v1/namespaces", "", `{"metadata":{"name":"`+ns+`"}}`)
	define(t, c, "page.example.com", "bigs", "Big", "Namespaced", "v1")
	pad := strings.Repeat("p", 1_000_000)
	for i := range 60 {
		create(t, c, "v1/configmaps", ns, fmt.Sprintf(`{"metadata":{"name":"c%02d"},"data":{"pad":%q}}`, i, pad))
		create(t, c, "page.example.com/v1/bigs", ns, fmt.Sprintf(`{"apiVersion":"page.example.com/v1","kind":"Big","metadata":{"name":"b%02d"},"pad":%q}`, i, pad[:500_000]))
	}
	types := typesOf(t, c)
	pages := &recorder{Source: c}
	req := collect.Request{Exact: true, Types: []object.Type{typeNamed(t, types, "configmaps"), typeNamed(t, types, "bigs.page.example.com")}}
	heap := &heapSink{before: heapInUse()}
	result, err := collect.Run(t.Context(), pages, req, heap)
	if err != nil || len(result.Problems) > 0 {
		t.Fatal(err, result.Problems)
	}
	bigs := result.Counts[schema.GroupVersionResource{Group: "page.example.com", Version: "v1", Resource: "bigs"}]
	maps := result.Counts[schema.GroupVersionResource{Version: "v1", Resource: "configmaps"}]
	if bigs != 60 || maps < 60 || result.Items != bigs+maps {
		t.Errorf("%d bigs, %d configmaps, %d items", bigs, maps, result.Items)
	}
	grown := int64(heap.most - heap.before)
	t.Logf("the heap grew by %d MiB", grown>>20)
	if grown > 16<<20 {
		t.Errorf("the heap grew by %d bytes for %d bytes of items", grown, result.Bytes)
	}
	for _, resource := range []string{"configmaps", "bigs"} {
		var exact, continued int
		for _, o := range pages.of(resource) {
			switch {
			case o.Continue != "":
				continued++
			case o.ResourceVersion != "":
				exact++
			}
		}
		if exact != 1 || continued == 0 {
			t.Errorf("%s: %d first pages, %d further ones", resource, exact, continued)
		}
	}
}

// heapSink looks at the heap with every large item.
type heapSink struct {
	mu           sync.Mutex
	before, most uint64
}

func (h *heapSink) Lane() collect.Lane { return h }
func (h *heapSink) Close() error       { return nil }

func (h *heapSink) Add(it collect.Item) error {
	if len(it.Body) < 100_000 {
		return nil
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	h.most = max(h.most, heapInUse())
	return nil
}

func heapInUse() uint64 {
	runtime.GC() // what is garbage depends on the machine's load
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}

// A user who may read one namespace gets it at one revision, and the rest as problems.
func TestDenied(t *testing.T) {
	shared := clustertest.Shared(t)
	admin, ns, other := open(t, shared), shared.Namespace(t), shared.Namespace(t)
	const role = `{"metadata":{"name":"reader"},"rules":[{"apiGroups":[""],"resources":["configmaps","secrets"],"verbs":["list","get"]}]}`
	const binding = `{"metadata":{"name":"reader"},"roleRef":{"apiGroup":"rbac.authorization.k8s.io","kind":"Role","name":"reader"},"subjects":[{"apiGroup":"rbac.authorization.k8s.io","kind":"User","name":"tenant"}]}`
	create(t, admin, "rbac.authorization.k8s.io/v1/roles", ns, role)
	create(t, admin, "rbac.authorization.k8s.io/v1/rolebindings", ns, binding)
	for _, n := range []string{ns, other} {
		create(t, admin, "v1/configmaps", n, `{"metadata":{"name":"a"}}`)
	}
	types := typesOf(t, admin)
	f := filterFor(t, admin, types, velerov1.BackupSpec{IncludedNamespaces: []string{ns, other}})
	c := as(t, shared, "tenant")
	eventually(t, func() error { // the authorizer learns of roles a moment later
		b, err := c.List(t.Context(), typeNamed(t, types, "secrets"), cluster.ListOptions{Namespace: ns})
		if err == nil {
			b.Close()
		}
		return err
	})
	m, result := run(t, c, collect.Request{Types: types, Filter: f, Exact: true})
	m.has(t, "v1 configmaps/"+ns+"/a")
	m.hasNot(t, "v1 configmaps/"+other+"/a")
	if result.ResourceVersion == "" {
		t.Error("no revision")
	}
	var texts []string
	for _, p := range result.Problems {
		texts = append(texts, p.Namespace+": "+p.Text)
	}
	all := strings.Join(texts, "\n")
	for _, want := range []string{other + ": list configmaps: not allowed in namespace " + other, "list deployments.apps: ", "list namespaces: "} {
		if !strings.Contains(all, want) {
			t.Errorf("no problem says %q:\n%s", want, all)
		}
	}
	if strings.Contains(all, ns+": ") {
		t.Errorf("the readable namespace has a problem:\n%s", all)
	}
}

// A part of the namespaces brings along what it needs: PVC → PV, service account → binding → role, custom resource → CRD, and
// with a selector the claims of a pod.
func TestRelated(t *testing.T) {
	c := open(t, clustertest.Shared(t))
	ns, other := clustertest.Shared(t).Namespace(t), clustertest.Shared(t).Namespace(t)
	define(t, c, "rel.example.com", "wants", "Want", "Namespaced", "v1")
	define(t, c, "unrel.example.com", "nots", "Not", "Namespaced", "v1")
	for i, n := range []string{ns, other} {
		create(t, c, "v1/persistentvolumes", "", fmt.Sprintf(`{"metadata":{"name":"pv-%s"},"spec":{"capacity":{"storage":"1Gi"},"accessModes":["ReadWriteOnce"],"hostPath":{"path":"/x"}}}`, n))
		create(t, c, "v1/persistentvolumeclaims", n, fmt.Sprintf(`{"metadata":{"name":"data"},"spec":{"accessModes":["ReadWriteOnce"],"volumeName":"pv-%s","resources":{"requests":{"storage":"1Gi"}}}}`, n))
		create(t, c, "v1/persistentvolumeclaims", n, `{"metadata":{"name":"unused"},"spec":{"accessModes":["ReadWriteOnce"],"resources":{"requests":{"storage":"1Gi"}}}}`)
		create(t, c, "v1/serviceaccounts", n, `{"metadata":{"name":"app"}}`)
		create(t, c, "rbac.authorization.k8s.io/v1/clusterroles", "", fmt.Sprintf(`{"metadata":{"name":"role-%s"}}`, n))
		create(t, c, "rbac.authorization.k8s.io/v1/clusterrolebindings", "", fmt.Sprintf(`{"metadata":{"name":"binding-%s"},"roleRef":{"apiGroup":"rbac.authorization.k8s.io","kind":"ClusterRole","name":"role-%s"},"subjects":[{"kind":"ServiceAccount","name":"app","namespace":%q}]}`, n, n, n))
		create(t, c, "v1/pods", n, `{"metadata":{"name":"web","labels":{"app":"web"}},"spec":{"containers":[{"name":"c","image":"i"}],"volumes":[{"name":"d","persistentVolumeClaim":{"claimName":"data"}}]}}`)
		if i == 0 {
			create(t, c, "rel.example.com/v1/wants", n, `{"apiVersion":"rel.example.com/v1","kind":"Want","metadata":{"name":"w"}}`)
		} else {
			create(t, c, "unrel.example.com/v1/nots", n, `{"apiVersion":"unrel.example.com/v1","kind":"Not","metadata":{"name":"n"}}`)
		}
	}
	types := typesOf(t, c)
	subset := velerov1.BackupSpec{IncludedNamespaces: []string{ns}}
	m, result := run(t, c, collect.Request{Types: types, Filter: filterFor(t, c, types, subset), Exact: true})
	if len(result.Problems) > 0 {
		t.Error(result.Problems)
	}
	const rbac = ".rbac.authorization.k8s.io/"
	m.has(t, "v1 namespaces/"+ns, "v1 pods/"+ns+"/web", "v1 persistentvolumeclaims/"+ns+"/unused", "v1 persistentvolumes/pv-"+ns,
		"v1 clusterrolebindings"+rbac+"binding-"+ns, "v1 clusterroles"+rbac+"role-"+ns,
		"v1 customresourcedefinitions.apiextensions.k8s.io/wants.rel.example.com", "v1 wants.rel.example.com/"+ns+"/w")
	m.hasNot(t, "v1 namespaces/"+other, "v1 pods/"+other+"/web", "v1 persistentvolumes/pv-"+other, "v1 clusterrolebindings"+rbac+"binding-"+other,
		"v1 clusterroles"+rbac+"role-"+other, "v1 clusterroles"+rbac+"cluster-admin", "v1 customresourcedefinitions.apiextensions.k8s.io/nots.unrel.example.com")

	subset.LabelSelector = &metav1.LabelSelector{MatchLabels: map[string]string{"app": "web"}}
	m, _ = run(t, c, collect.Request{Types: types, Filter: filterFor(t, c, types, subset), Exact: true})
	m.has(t, "v1 pods/"+ns+"/web", "v1 persistentvolumeclaims/"+ns+"/data", "v1 persistentvolumes/pv-"+ns, "v1 namespaces/"+ns)
	m.hasNot(t, "v1 persistentvolumeclaims/"+ns+"/unused", "v1 serviceaccounts/"+ns+"/app", "v1 wants.rel.example.com/"+ns+"/w", "v1 pods/"+other+"/web")
}

// TestLate: what a claim needs was listed before it: the running pods that mount it, and the claims of its group. They come in all the same, at the run's revision.
func TestLate(t *testing.T) {
	c := open(t, clustertest.Shared(t))
	ns := clustertest.Shared(t).Namespace(t)
	for _, name := range []string{"data", "log", "other", "far"} {
		labels := map[string]string{"data": `"app":"db","velero.io/volume-group":"db"`, "log": `"velero.io/volume-group":"db"`}[name]
		create(t, c, "v1/persistentvolumes", "", fmt.Sprintf(`{"metadata":{"name":"%s-%s"},"spec":{"capacity":{"storage":"1Gi"},"accessModes":["ReadWriteOnce"],"hostPath":{"path":"/x"}}}`, name, ns))
		create(t, c, "v1/persistentvolumeclaims", ns, fmt.Sprintf(`{"metadata":{"name":%q,"labels":{%s}},"spec":{"accessModes":["ReadWriteOnce"],"volumeName":"%s-%s","resources":{"requests":{"storage":"1Gi"}}}}`, name, labels, name, ns))
	}
	for name, claims := range map[string][]string{"runs": {"data", "far"}, "waits": {"data"}, "else": {"other"}} {
		volumes := ""
		for i, claim := range claims {
			volumes += fmt.Sprintf(`,{"name":"v%d","persistentVolumeClaim":{"claimName":%q}}`, i, claim)
		}
		create(t, c, "v1/pods", ns, fmt.Sprintf(`{"metadata":{"name":%q},"spec":{"containers":[{"name":"c","image":"i"}],"volumes":[%s]}}`, name, volumes[1:]))
	}
	pods := object.Type{Version: "v1", Resource: "pods", Kind: "Pod", Namespaced: true}
	for _, name := range []string{"runs", "else"} {
		if _, err := c.Patch(t.Context(), pods, ns, name, k8stypes.MergePatchType, []byte(`{"status":{"phase":"Running"}}`), cluster.WriteOptions{Subresource: "status"}); err != nil {
			t.Fatal(err)
		}
	}
	create(t, c, "v1/configmaps", ns, `{"metadata":{"name":"settings","labels":{"app":"db"},"annotations":{"meta.helm.sh/release-name":"db"}}}`)
	for _, release := range []string{"db", "other"} {
		create(t, c, "v1/secrets", ns, fmt.Sprintf(`{"metadata":{"name":"sh.helm.release.v1.%s.v1","labels":{"owner":"helm","name":%[1]q}}}`, release))
	}
	types := typesOf(t, c)
	spec := velerov1.BackupSpec{IncludedNamespaces: []string{ns}, LabelSelector: &metav1.LabelSelector{MatchLabels: map[string]string{"app": "db"}}}
	m, result := run(t, c, collect.Request{Types: types, Filter: filterFor(t, c, types, spec), Exact: true, GroupLabel: "velero.io/volume-group"})
	if len(result.Problems)+len(result.Own) > 0 {
		t.Error(result.Problems, result.Own)
	}
	m.has(t, "v1 persistentvolumeclaims/"+ns+"/data", "v1 persistentvolumeclaims/"+ns+"/log", "v1 persistentvolumeclaims/"+ns+"/far", "v1 pods/"+ns+"/runs",
		"v1 persistentvolumes/data-"+ns, "v1 persistentvolumes/log-"+ns, "v1 persistentvolumes/far-"+ns, "v1 namespaces/"+ns, "v1 configmaps/"+ns+"/settings", "v1 secrets/"+ns+"/sh.helm.release.v1.db.v1")
	m.hasNot(t, "v1 secrets/"+ns+"/sh.helm.release.v1.other.v1", "v1 pods/"+ns+"/waits", "v1 pods/"+ns+"/else", "v1 persistentvolumeclaims/"+ns+"/other", "v1 persistentvolumes/other-"+ns)
}
