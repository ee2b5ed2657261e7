// SPDX-License-Identifier: Apache-2.0

package cluster_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"

	"hozon.dev/hozon/internal/cluster"
	"hozon.dev/hozon/internal/cluster/clustertest"
	"hozon.dev/hozon/internal/fail"
	"hozon.dev/hozon/internal/object"
)

func TestMain(m *testing.M) { clustertest.Main(m) }

var (
	configMaps  = object.Type{Version: "v1", Resource: "configmaps", Kind: "ConfigMap", Namespaced: true}
	deployments = object.Type{Group: "apps", Version: "v1", Resource: "deployments", Kind: "Deployment", Namespaced: true}
	crds        = object.Type{Group: "apiextensions.k8s.io", Version: "v1", Resource: "customresourcedefinitions"}
	apiServices = object.Type{Group: "apiregistration.k8s.io", Version: "v1", Resource: "apiservices"}
)

func configOf(t testing.TB) *rest.Config {
	t.Helper()
	cfg, err := clientcmd.BuildConfigFromFlags("", clustertest.Shared(t).Kubeconfig())
	if err != nil {
		t.Fatal(err)
	}
	return cfg
}

func open(t testing.TB) *cluster.Client {
	t.Helper()
	c, err := cluster.Open(cluster.Options{Kubeconfig: clustertest.Shared(t).Kubeconfig()})
	if err != nil {
		t.Fatal(err)
	}
	return c
}

type meta struct {
	Metadata struct{ Name, ResourceVersion, UID, Continue string }
	Data     map[string]string
	Items    []json.RawMessage
}

func decode(t testing.TB, body []byte) meta {
	t.Helper()
	var m meta
	if err := json.Unmarshal(body, &m); err != nil {
		t.Fatal(err)
	}
	return m
}

func wantError(t *testing.T, err error, kind fail.Kind, texts ...string) {
	t.Helper()
	if !fail.Is(err, kind) {
		t.Errorf("error %v of kind %v, want %v", err, fail.Of(err), kind)
		return
	}
	for _, text := range texts {
		if !strings.Contains(err.Error(), text) {
			t.Errorf("error %q does not say %q", err, text)
		}
	}
}

func TestVerbs(t *testing.T) {
	c, ns, ctx := open(t), clustertest.Shared(t).Namespace(t), t.Context()
	body := []byte(`{"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":"a:b"},"data":{"k":"1"}}`)

	if _, err := c.Create(ctx, configMaps, ns, []byte(`{"metadata":{"name":"dry"}}`), cluster.WriteOptions{DryRun: true}); err != nil {
		t.Fatal(err)
	}
	_, err := c.Get(ctx, configMaps, ns, "dry")
	wantError(t, err, fail.NotFound, "get configmaps/"+ns+"/dry: ")

	_, err = c.Create(ctx, configMaps, ns, body, cluster.WriteOptions{})
	wantError(t, err, fail.Invalid, "create configmaps/"+ns+"/a:b: ", "RFC 1123")
	body = []byte(strings.Replace(string(body), "a:b", "a.b", 1))
	stored, err := c.Create(ctx, configMaps, ns, body, cluster.WriteOptions{FieldManager: "tester"})
	if err != nil || !strings.Contains(string(stored), `"manager":"tester"`) {
		t.Fatalf("%s %v", stored, err)
	}
	_, err = c.Create(ctx, configMaps, ns, body, cluster.WriteOptions{})
	wantError(t, err, fail.Exists, "already exists")

	changed, err := c.Update(ctx, configMaps, ns, "a.b", []byte(strings.Replace(string(stored), `"k":"1"`, `"k":"2"`, 1)), cluster.WriteOptions{})
	if err != nil || decode(t, changed).Data["k"] != "2" {
		t.Fatalf("%s %v", changed, err)
	}
	_, err = c.Update(ctx, configMaps, ns, "a.b", stored, cluster.WriteOptions{})
	wantError(t, err, fail.Busy, "update configmaps/"+ns+"/a.b: ", "modified")

	patched, err := c.Patch(ctx, configMaps, ns, "a.b", types.MergePatchType, []byte(`{"data":{"k":"3"}}`), cluster.WriteOptions{})
	if err != nil || decode(t, patched).Data["k"] != "3" {
		t.Fatalf("%s %v", patched, err)
	}
	_, err = c.Patch(ctx, configMaps, ns, "a.b", "application/x", []byte(`{}`), cluster.WriteOptions{})
	wantError(t, err, fail.Unsupported, "patch configmaps/")

	err = c.Delete(ctx, configMaps, ns, "a.b", cluster.DeleteOptions{ResourceVersion: decode(t, stored).Metadata.ResourceVersion})
	wantError(t, err, fail.Busy, "delete configmaps/")
	if err := c.Delete(ctx, configMaps, ns, "a.b", cluster.DeleteOptions{UID: decode(t, stored).Metadata.UID}); err != nil {
		t.Fatal(err)
	}
	wantError(t, c.Delete(ctx, configMaps, ns, "a.b", cluster.DeleteOptions{}), fail.NotFound)
	wantError(t, c.Delete(ctx, configMaps, ns, "", cluster.DeleteOptions{}), fail.Invalid)

	var status *apierrors.StatusError
	if !errors.As(err, &status) {
		t.Error("the server's status is lost")
	}
	calls := c.Calls()
	if calls["create"] != 4 || calls["update"] != 2 || calls["patch"] != 2 || calls["delete"] != 3 || calls["get"] != 1 || calls["total"] != 12 {
		t.Errorf("calls: %v", calls)
	}
}

func TestListPages(t *testing.T) {
	c, ns, ctx := open(t), clustertest.Shared(t).Namespace(t), t.Context()
	for i := range 5 {
		body := fmt.Appendf(nil, `{"metadata":{"name":"c%d","labels":{"odd":"%v"}}}`, i, i%2 == 1)
		if _, err := c.Create(ctx, configMaps, ns, body, cluster.WriteOptions{}); err != nil {
			t.Fatal(err)
		}
	}
	page := func(o cluster.ListOptions) meta {
		t.Helper()
		o.Namespace = ns
		body, err := c.List(ctx, configMaps, o)
		if err != nil {
			t.Fatal(err)
		}
		defer body.Close()
		all, err := io.ReadAll(body)
		if err != nil {
			t.Fatal(err)
		}
		return decode(t, all)
	}
	first := page(cluster.ListOptions{Limit: 2})
	if _, err := c.Create(ctx, configMaps, ns, []byte(`{"metadata":{"name":"c9"}}`), cluster.WriteOptions{}); err != nil {
		t.Fatal(err)
	}
	rest := page(cluster.ListOptions{Continue: first.Metadata.Continue})
	if len(first.Items) != 2 || len(rest.Items) != 3 || rest.Metadata.ResourceVersion != first.Metadata.ResourceVersion {
		t.Errorf("%d + %d items at %s and %s", len(first.Items), len(rest.Items), first.Metadata.ResourceVersion, rest.Metadata.ResourceVersion)
	}
	then := page(cluster.ListOptions{ResourceVersion: first.Metadata.ResourceVersion})
	if len(then.Items) != 5 || then.Metadata.ResourceVersion != first.Metadata.ResourceVersion {
		t.Errorf("%d items at %s", len(then.Items), then.Metadata.ResourceVersion)
	}
	if odd := page(cluster.ListOptions{LabelSelector: "odd=true"}); len(odd.Items) != 2 {
		t.Errorf("%d odd items", len(odd.Items))
	}
	_, err := c.List(ctx, configMaps, cluster.ListOptions{ResourceVersion: "x"})
	wantError(t, err, fail.Invalid, "list configmaps: ")
}

func TestWatch(t *testing.T) {
	c, ns, ctx := open(t), clustertest.Shared(t).Namespace(t), t.Context()
	stored, err := c.Create(ctx, configMaps, ns, []byte(`{"metadata":{"name":"a"}}`), cluster.WriteOptions{})
	if err != nil {
		t.Fatal(err)
	}
	w, err := c.Watch(ctx, configMaps, ns, decode(t, stored).Metadata.ResourceVersion, cluster.WatchOptions{FieldSelector: "metadata.name=a"})
	if err != nil {
		t.Fatal(err)
	}
	defer w.Close()
	if _, err := c.Create(ctx, configMaps, ns, []byte(`{"metadata":{"name":"b"}}`), cluster.WriteOptions{}); err != nil {
		t.Fatal(err)
	}
	if err := c.Delete(ctx, configMaps, ns, "a", cluster.DeleteOptions{}); err != nil {
		t.Fatal(err)
	}
	e, err := w.Next()
	if err != nil || e.Type != "DELETED" || decode(t, e.Object).Metadata.Name != "a" {
		t.Errorf("%s %s %v", e.Type, e.Object, err)
	}
}

func TestDenied(t *testing.T) {
	cfg := configOf(t)
	cfg.Impersonate = rest.ImpersonationConfig{UserName: "nobody"}
	c, err := cluster.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	_, err = c.List(t.Context(), deployments, cluster.ListOptions{})
	wantError(t, err, fail.Denied, "list deployments.apps: ", `User "nobody" cannot list`)
}

func TestUnreachable(t *testing.T) {
	good := configOf(t)
	tests := []struct {
		name  string
		spoil func(*rest.Config)
		kind  fail.Kind
		text  string
	}{
		{"nobody listens", func(c *rest.Config) { c.Host = "https://127.0.0.1:1" }, fail.Transient, "connection refused"},
		{"no such host", func(c *rest.Config) { c.Host = "https://nowhere.invalid" }, fail.Transient, "nowhere.invalid"},
		{"other authority", func(c *rest.Config) { c.CAData, c.CAFile = nil, "" }, fail.Denied, "certificate"},
		{"other credentials", func(c *rest.Config) {
			c.BearerToken, c.BearerTokenFile, c.CertData, c.KeyData, c.CertFile, c.KeyFile = "wrong", "", nil, nil, "", ""
		}, fail.Denied, "does not accept these credentials"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			cfg := rest.CopyConfig(good)
			tt.spoil(cfg)
			c, err := cluster.New(cfg)
			if err != nil {
				t.Fatal(err)
			}
			_, err = c.Version(t.Context())
			wantError(t, err, tt.kind, tt.text, cfg.Host)
			_, _, err = c.Types(t.Context(), false)
			wantError(t, err, tt.kind, cfg.Host)
		})
	}
}

func TestVersion(t *testing.T) {
	info, err := open(t).Version(t.Context())
	if err != nil || info.GitVersion != clustertest.Version {
		t.Errorf("%v %v", info, err)
	}
}

// The test waits for the API server to publish a new API, which takes it a second or more.
func TestTypes(t *testing.T) {
	c, ctx := open(t), t.Context()
	before := c.Calls()["get"]
	preferred, problems, err := c.Types(ctx, false)
	if err != nil || len(problems) != 0 {
		t.Fatal(err, problems)
	}
	if n := c.Calls()["get"] - before; n != 2 {
		t.Errorf("discovery took %d requests", n)
	}
	find := func(types []object.Type, gr, version string) *object.Type {
		for i := range types {
			if types[i].GroupResource() == gr && (version == "" || types[i].Version == version) {
				return &types[i]
			}
		}
		return nil
	}
	d := find(preferred, "deployments.apps", "")
	if d == nil || d.Kind != "Deployment" || !d.Namespaced || !d.Preferred || d.Version != "v1" || !slices.Contains(d.Verbs, "create") {
		t.Errorf("deployments: %+v", d)
	}
	if find(preferred, "pods/status", "") != nil || find(preferred, "tokenreviews.authentication.k8s.io", "") != nil {
		t.Error("subresources or kinds that cannot be listed are in")
	}

	const dead = `{"metadata":{"name":"v1.dead.example.com"},"spec":{"group":"dead.example.com","version":"v1",
		"groupPriorityMinimum":100,"versionPriority":1,"insecureSkipTLSVerify":true,"service":{"namespace":"default","name":"dead"}}}`
	if _, err := c.Create(ctx, apiServices, "", []byte(dead), cluster.WriteOptions{}); err != nil {
		t.Fatal(err)
	}
	const crd = `{"metadata":{"name":"foos.types.example.com"},"spec":{"group":"types.example.com","scope":"Cluster",
		"names":{"plural":"foos","singular":"foo","kind":"Foo","shortNames":["fo"]},"versions":[
		{"name":"v1","served":true,"storage":true,"schema":{"openAPIV3Schema":{"type":"object"}}},
		{"name":"v1beta1","served":true,"storage":false,"schema":{"openAPIV3Schema":{"type":"object"}}}]}}`
	if _, err := c.Create(ctx, crds, "", []byte(crd), cluster.WriteOptions{}); err != nil {
		t.Fatal(err)
	}
	eventually(t, func() error {
		all, problems, err := c.Types(ctx, true)
		if err != nil {
			return err
		}
		v1, beta := find(all, "foos.types.example.com", "v1"), find(all, "foos.types.example.com", "v1beta1")
		if v1 == nil || beta == nil || !v1.Preferred || beta.Preferred || v1.Singular != "foo" || !slices.Equal(v1.ShortNames, []string{"fo"}) {
			return fmt.Errorf("foos: %+v %+v", v1, beta)
		}
		if len(problems) != 1 || problems[0].GroupVersion() != "dead.example.com/v1" || !strings.Contains(problems[0].Err.Error(), "dead.example.com/v1") {
			return fmt.Errorf("problems: %v", problems)
		}
		return nil
	})
	if err := c.Delete(ctx, apiServices, "", "v1.dead.example.com", cluster.DeleteOptions{}); err != nil {
		t.Fatal(err)
	}
}

// BenchmarkCreate creates ConfigMaps of 4 kB, 16 at a time, and reports the CPU time of this process for each.
func BenchmarkCreate(b *testing.B) {
	c, ns := open(b), clustertest.Shared(b).Namespace(b)
	pad := strings.Repeat("x", 3500)
	var n atomic.Int64
	b.SetParallelism(8)
	before := cpu(b)
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			body := fmt.Appendf(nil, `{"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":"b%d"},"data":{"pad":%q}}`, n.Add(1), pad)
			if _, err := c.Create(b.Context(), configMaps, ns, body, cluster.WriteOptions{}); err != nil {
				b.Error(err)
				return
			}
		}
	})
	b.ReportMetric(float64(cpu(b)-before)/float64(b.N), "cpu-ns/op")
}

// cpu is the CPU time of this process so far.
func cpu(t testing.TB) time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		t.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// eventually waits until ok finds nothing wrong.
func eventually(t testing.TB, ok func() error) {
	t.Helper()
	for deadline := time.Now().Add(30 * time.Second); ; {
		err := ok()
		if err == nil {
			return
		}
		if time.Now().After(deadline) {
			t.Fatal(err)
		}
		time.Sleep(50 * time.Millisecond) // between two looks, not instead of one
	}
}
