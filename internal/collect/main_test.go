// SPDX-License-Identifier: Apache-2.0

package collect_test

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"

	velerov1 "hozon.dev/hozon/api/velero/v1"
	"hozon.dev/hozon/internal/cluster"
	"hozon.dev/hozon/internal/cluster/clustertest"
	"hozon.dev/hozon/internal/collect"
	"hozon.dev/hozon/internal/filter"
	"hozon.dev/hozon/internal/object"
)

func TestMain(m *testing.M) { clustertest.Main(m) }

// memory is a Sink that keeps everything.
type memory struct {
	mu    sync.Mutex
	items map[string]string // "v1 pods/ns/name" to body
	lanes int
	open  int
	err   error // of every Add
}

func (m *memory) Lane() collect.Lane {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.lanes++
	m.open++
	return m
}

func (m *memory) Add(it collect.Item) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.items == nil {
		m.items = map[string]string{}
	}
	key := it.Type.Version + " " + it.Ref.String()
	if _, ok := m.items[key]; ok {
		return fmt.Errorf("%s twice", key)
	}
	m.items[key] = string(it.Body)
	return m.err
}

func (m *memory) Close() error {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.open--
	return nil
}

func (m *memory) in(namespace string) []string {
	var out []string
	for key := range m.items {
		if strings.Contains(key, "/"+namespace+"/") {
			out = append(out, key)
		}
	}
	slices.Sort(out)
	return out
}

func (m *memory) has(t testing.TB, keys ...string) {
	t.Helper()
	for _, key := range keys {
		if _, ok := m.items[key]; !ok {
			t.Errorf("%s is missing", key)
		}
	}
}

func (m *memory) hasNot(t testing.TB, keys ...string) {
	t.Helper()
	for _, key := range keys {
		if _, ok := m.items[key]; ok {
			t.Errorf("%s should not be in", key)
		}
	}
}

func open(t testing.TB, c *clustertest.Cluster) *cluster.Client {
	t.Helper()
	client, err := cluster.Open(cluster.Options{Kubeconfig: c.Kubeconfig()})
	if err != nil {
		t.Fatal(err)
	}
	return client
}

// as is a client with the rights of a user.
func as(t testing.TB, c *clustertest.Cluster, user string) *cluster.Client {
	t.Helper()
	cfg, err := clientcmd.BuildConfigFromFlags("", c.Kubeconfig())
	if err != nil {
		t.Fatal(err)
	}
	cfg.Impersonate = rest.ImpersonationConfig{UserName: user}
	client, err := cluster.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	return client
}

func typesOf(t testing.TB, c *cluster.Client) []object.Type {
	t.Helper()
	types, _, err := c.Types(t.Context(), false)
	if err != nil {
		t.Fatal(err)
	}
	return types
}

func typeNamed(t testing.TB, types []object.Type, gr string) object.Type {
	t.Helper()
	i := slices.IndexFunc(types, func(t object.Type) bool { return t.GroupResource() == gr })
	if i < 0 {
		t.Fatalf("no type %s", gr)
	}
	return types[i]
}

// create creates objects of JSON; a namespace is given as ns.
func create(t testing.TB, c *cluster.Client, gvr, ns string, bodies ...string) {
	t.Helper()
	for _, body := range bodies {
		if err := tryCreate(t.Context(), c, gvr, ns, body); err != nil {
			t.Fatal(err)
		}
	}
}

func tryCreate(ctx context.Context, c *cluster.Client, gvr, ns, body string) error {
	group, rest, ok := strings.Cut(gvr, "/") // "apps/v1/deployments" or "v1/pods"
	version, resource, three := strings.Cut(rest, "/")
	if ok && !three {
		group, version, resource = "", group, rest
	}
	_, err := c.Create(ctx, object.Type{Group: group, Version: version, Resource: resource}, ns, []byte(body), cluster.WriteOptions{})
	return err
}

// define creates a CRD <plural>.<group> and waits until discovery has it.
func define(t testing.TB, c *cluster.Client, group, plural, kind, scope string, versions ...string) {
	t.Helper()
	var list []string
	for i, v := range versions {
		list = append(list, fmt.Sprintf(`{"name":%q,"served":true,"storage":%v,"schema":{"openAPIV3Schema":{"type":"object","x-kubernetes-preserve-unknown-fields":true}}}`, v, i == 0))
	}
	create(t, c, "apiextensions.k8s.io/v1/customresourcedefinitions", "", fmt.Sprintf(
		`{"metadata":{"name":"%s.%s"},"spec":{"group":%q,"scope":%q,"names":{"plural":%q,"kind":%q},"versions":[%s]}}`,
		plural, group, group, scope, plural, kind, strings.Join(list, ",")))
	eventually(t, func() error {
		types, _, err := c.Types(t.Context(), true)
		if err == nil && !slices.ContainsFunc(types, func(x object.Type) bool { return x.Group == group && x.Resource == plural }) {
			err = fmt.Errorf("%s.%s is not served", plural, group)
		}
		return err
	})
}

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
		time.Sleep(20 * time.Millisecond) // between two looks, not instead of one
	}
}

func filterFor(t testing.TB, c *cluster.Client, types []object.Type, spec velerov1.BackupSpec) *filter.Filter {
	t.Helper()
	body, err := c.List(t.Context(), typeNamed(t, types, "namespaces"), cluster.ListOptions{})
	if err != nil {
		t.Fatal(err)
	}
	defer body.Close()
	var list struct {
		Items []struct {
			Metadata struct {
				Name   string
				Labels map[string]string
			}
		}
	}
	if err := json.NewDecoder(body).Decode(&list); err != nil {
		t.Fatal(err)
	}
	var all []filter.Namespace
	for _, i := range list.Items {
		all = append(all, filter.Namespace{Name: i.Metadata.Name, Labels: i.Metadata.Labels, Active: true})
	}
	f, err := filter.ForBackup(spec, types, all)
	if err != nil {
		t.Fatal(err)
	}
	return f
}

func run(t testing.TB, c collect.Source, req collect.Request) (*memory, collect.Result) {
	t.Helper()
	var m memory
	result, err := collect.Run(t.Context(), c, req, &m)
	if err != nil {
		t.Fatal(err)
	}
	if m.open != 0 || len(m.items) != result.Items {
		t.Errorf("%d lanes left open; %d items counted, %d came", m.open, result.Items, len(m.items))
	}
	return &m, result
}
