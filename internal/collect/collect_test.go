// SPDX-License-Identifier: Apache-2.0

package collect_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"

	velerov1 "hozon.dev/hozon/api/velero/v1"
	"hozon.dev/hozon/internal/cluster"
	"hozon.dev/hozon/internal/cluster/clustertest"
	"hozon.dev/hozon/internal/collect"
	"hozon.dev/hozon/internal/fail"
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
	ns := clustertest.Shared(t).Namespace(t)
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
	if grown > 32<<20 {
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
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapInuse
}

// recorder notes the lists that are asked for, and can spoil them.
type recorder struct {
	collect.Source
	spoil func(t object.Type, o cluster.ListOptions, body io.ReadCloser, err error) (io.ReadCloser, error)

	mu    sync.Mutex
	lists map[string][]cluster.ListOptions
}

func (r *recorder) List(ctx context.Context, t object.Type, o cluster.ListOptions) (io.ReadCloser, error) {
	r.mu.Lock()
	if r.lists == nil {
		r.lists = map[string][]cluster.ListOptions{}
	}
	r.lists[t.Resource] = append(r.lists[t.Resource], o)
	r.mu.Unlock()
	body, err := r.Source.List(ctx, t, o)
	if r.spoil != nil {
		return r.spoil(t, o, body, err)
	}
	return body, err
}

func (r *recorder) of(resource string) []cluster.ListOptions {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.lists[resource]
}

// A page whose body breaks off is read again, and no item comes twice.
func TestTornPage(t *testing.T) {
	c := open(t, clustertest.Shared(t))
	ns := clustertest.Shared(t).Namespace(t)
	for i := range 5 {
		create(t, c, "v1/configmaps", ns, fmt.Sprintf(`{"metadata":{"name":"c%d"},"data":{"k":"0123456789"}}`, i))
	}
	torn := 0
	source := &recorder{Source: c, spoil: func(typ object.Type, o cluster.ListOptions, body io.ReadCloser, err error) (io.ReadCloser, error) {
		if err != nil || o.ResourceVersion == "" || torn == 2 {
			return body, err
		}
		torn++
		defer body.Close()
		whole, err := io.ReadAll(body)
		return io.NopCloser(strings.NewReader(string(whole[:len(whole)-50-300*torn]))), err
	}}
	m, result := run(t, source, collect.Request{Exact: true, Types: []object.Type{typeNamed(t, typesOf(t, c), "configmaps")}})
	if torn != 2 || len(m.in(ns)) != 5 || len(result.Problems) != 0 {
		t.Errorf("torn %d times, %d items, %v", torn, len(m.in(ns)), result.Problems)
	}
}

// An API that answers at another revision than it was asked for is named, or refused.
func TestDrift(t *testing.T) {
	c := open(t, clustertest.Shared(t))
	ns := clustertest.Shared(t).Namespace(t)
	create(t, c, "v1/configmaps", ns, `{"metadata":{"name":"a"}}`)
	source := &recorder{Source: c}
	source.spoil = func(typ object.Type, o cluster.ListOptions, body io.ReadCloser, err error) (io.ReadCloser, error) {
		if err != nil || o.ResourceVersion == "" {
			return body, err
		}
		body.Close()
		create(t, c, "v1/configmaps", ns, `{"metadata":{"generateName":"x"}}`)
		return c.List(t.Context(), typ, cluster.ListOptions{})
	}
	req := collect.Request{Exact: true, Types: []object.Type{typeNamed(t, typesOf(t, c), "configmaps")}}
	m, result := run(t, source, req)
	if len(result.Own) != 1 || result.Own[0].ResourceVersion == result.ResourceVersion || len(m.in(ns)) != 2 {
		t.Errorf("own %+v, %d items", result.Own, len(m.in(ns)))
	}
	req.Consistency = collect.Require
	if _, err := collect.Run(t.Context(), source, req, new(memory)); !errors.Is(err, collect.ErrInconsistent) {
		t.Errorf("error %v", err)
	}
}

// A kind stored elsewhere is listed on its own and named, or refused.
func TestOutsideOfDomain(t *testing.T) {
	c := open(t, clustertest.Shared(t))
	source := &recorder{Source: c, spoil: func(typ object.Type, o cluster.ListOptions, body io.ReadCloser, err error) (io.ReadCloser, error) {
		if err != nil || typ.Resource != "events" {
			return body, err
		}
		defer body.Close()
		if o.ResourceVersion != "" {
			t.Errorf("events were asked for at %s", o.ResourceVersion)
		}
		return io.NopCloser(strings.NewReader(`{"kind":"EventList","apiVersion":"v1","metadata":{"resourceVersion":"7"},"items":[]}`)), nil
	}}
	req := collect.Request{Exact: true, Types: typesOf(t, c)}
	_, result := run(t, source, req)
	if len(result.Own) != 1 || result.Own[0].Type.GroupResource() != "events" || result.Own[0].ResourceVersion != "7" || !strings.Contains(result.Own[0].Reason, "stored elsewhere") {
		t.Errorf("own: %+v", result.Own)
	}
	req.Consistency = collect.Require
	if _, err := collect.Run(t.Context(), source, req, new(memory)); !errors.Is(err, collect.ErrInconsistent) || !strings.Contains(err.Error(), "events") {
		t.Errorf("error %v", err)
	}
}

// Compaction takes the revision away in the middle of a run; kinds on their own still work. The API server's cache
// is without its history, which lives for 15 seconds longer.
func TestExpired(t *testing.T) {
	own := clustertest.Start(t, clustertest.Options{UnsafeNoFsync: true, APIServerFlags: []string{"--etcd-compaction-interval=500ms", "--feature-gates=ListFromCacheSnapshot=false"}})
	c := open(t, own)
	ns := own.Namespace(t)
	create(t, c, "v1/configmaps", ns, `{"metadata":{"name":"a"}}`)
	types := typesOf(t, c)
	var once sync.Once
	source := &recorder{Source: c, spoil: func(typ object.Type, o cluster.ListOptions, body io.ReadCloser, err error) (io.ReadCloser, error) {
		if o.ResourceVersion == "" {
			return body, err
		}
		once.Do(func() {
			eventually(t, func() error { // the compaction leaves the last revisions alone, so make new ones
				create(t, c, "v1/configmaps", ns, `{"metadata":{"generateName":"x"}}`)
				b, err := c.List(t.Context(), typ, o)
				if err == nil {
					b.Close()
					return errors.New("not compacted yet")
				}
				return nil
			})
		})
		if err == nil {
			body.Close()
		}
		return c.List(t.Context(), typ, o)
	}}
	m := new(memory)
	_, err := collect.Run(t.Context(), source, collect.Request{Types: types, Exact: true}, m)
	if !errors.Is(err, collect.ErrExpired) || !fail.Is(err, fail.Transient) || errors.Is(err, collect.ErrInconsistent) {
		t.Errorf("error %v", err)
	}
	m, result := run(t, source, collect.Request{Types: types})
	m.has(t, "v1 configmaps/"+ns+"/a")
	if result.ResourceVersion != "" || len(result.Own) == 0 || len(result.Problems) > 0 {
		t.Errorf("revision %q, own %v, problems %v", result.ResourceVersion, result.Own, result.Problems)
	}
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

// A dead aggregated API and a kind that is not there are problems, and the rest is complete.
func TestKindsThatFail(t *testing.T) {
	c := open(t, clustertest.Shared(t))
	ns := clustertest.Shared(t).Namespace(t)
	create(t, c, "apiregistration.k8s.io/v1/apiservices", "", `{"metadata":{"name":"v1.deadly.example.com"},"spec":{"group":"deadly.example.com","version":"v1",
		"groupPriorityMinimum":100,"versionPriority":1,"insecureSkipTLSVerify":true,"service":{"namespace":"default","name":"dead"}}}`)
	defer c.Delete(context.WithoutCancel(t.Context()), object.Type{Group: "apiregistration.k8s.io", Version: "v1", Resource: "apiservices"}, "", "v1.deadly.example.com", cluster.DeleteOptions{})
	create(t, c, "v1/configmaps", ns, `{"metadata":{"name":"a"}}`)
	verbs := []string{"list", "get", "create", "delete"}
	types := append(typesOf(t, c),
		object.Type{Group: "deadly.example.com", Version: "v1", Resource: "corpses", Kind: "Corpse", Verbs: verbs},
		object.Type{Group: "apps", Version: "v1", Resource: "gone", Kind: "Gone", Namespaced: true, Verbs: verbs},
		object.Type{Group: "authorization.k8s.io", Version: "v1", Resource: "selfsubjectaccessreviews", Kind: "SelfSubjectAccessReview", Verbs: verbs})
	m, result := run(t, c, collect.Request{Types: types, Exact: true})
	m.has(t, "v1 configmaps/"+ns+"/a")
	if len(result.Problems) != 3 {
		t.Fatalf("problems: %v", result.Problems)
	}
	for i, want := range []string{"list corpses.deadly.example.com: ", "list gone.apps: ", "list selfsubjectaccessreviews.authorization.k8s.io: "} {
		if p := result.Problems[i]; !strings.HasPrefix(p.Text, want) || !p.Cluster {
			t.Errorf("problem %q, want %q", p.Text, want)
		}
	}
}

// An API server that dies under a run ends it, soon.
func TestServerGone(t *testing.T) {
	own := clustertest.Start(t, clustertest.Options{UnsafeNoFsync: true})
	c := open(t, own)
	types := typesOf(t, c)
	var once sync.Once
	source := &recorder{Source: c, spoil: func(_ object.Type, o cluster.ListOptions, body io.ReadCloser, err error) (io.ReadCloser, error) {
		if o.ResourceVersion != "" {
			once.Do(own.KillAPIServer)
		}
		return body, err
	}}
	_, err := collect.Run(t.Context(), source, collect.Request{Types: types, Exact: true}, new(memory))
	if err == nil || !fail.Is(err, fail.Transient) || !strings.Contains(err.Error(), "reach the API server") {
		t.Errorf("error %v of kind %v", err, fail.Of(err))
	}
	if _, err := collect.Run(t.Context(), c, collect.Request{Types: types, Exact: true}, new(memory)); err == nil {
		t.Error("a run without a server")
	}
}

func TestCancel(t *testing.T) {
	c := open(t, clustertest.Shared(t))
	types := typesOf(t, c)
	ctx, cancel := context.WithCancelCause(t.Context())
	cause := errors.New("enough")
	var started time.Time
	source := &recorder{Source: c, spoil: func(_ object.Type, o cluster.ListOptions, body io.ReadCloser, err error) (io.ReadCloser, error) {
		if o.ResourceVersion != "" && ctx.Err() == nil {
			started = time.Now()
			cancel(cause)
		}
		return body, err
	}}
	_, err := collect.Run(ctx, source, collect.Request{Types: types, Exact: true, Parallel: 1}, new(memory))
	if !errors.Is(err, cause) || time.Since(started) > time.Second {
		t.Errorf("%v after %v", err, time.Since(started))
	}
}

func TestSinkErrors(t *testing.T) {
	c := open(t, clustertest.Shared(t))
	req := collect.Request{Types: typesOf(t, c), Exact: true}
	full := errors.New("full")
	if _, err := collect.Run(t.Context(), c, req, &memory{err: full}); !errors.Is(err, full) {
		t.Errorf("error %v", err)
	}
	var m memory
	m.err = fail.Errorf(fail.Invalid, "too long a name")
	result, err := collect.Run(t.Context(), c, req, &m)
	if err != nil || result.Items != 0 || len(result.Problems) != len(m.items) || len(m.items) == 0 {
		t.Errorf("%v, %d items, %d problems of %d", err, result.Items, len(result.Problems), len(m.items))
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
