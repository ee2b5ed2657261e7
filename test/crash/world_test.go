// SPDX-License-Identifier: Apache-2.0

package crash

import (
	"bytes"
	"context"
	"fmt"
	"strings"
	"testing"

	"golang.org/x/sync/errgroup"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"hozon.dev/hozon/internal/cluster"
	"hozon.dev/hozon/internal/cluster/clustertest"
	"hozon.dev/hozon/internal/object"
)

// world is a namespace with objects in it, in a real cluster without controllers.
type world struct {
	cluster   *clustertest.Cluster
	client    *cluster.Client
	types     map[string]object.Type
	namespace string
	objects   int // made there, without the namespace itself
}

var makers = []struct{ resource, format string }{
	{"configmaps", `{"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":%q},"data":{"text":%q}}`},
	{"configmaps", `{"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":%q,"labels":{"a":"b"}},"data":{"other":%q}}`},
	{"secrets", `{"apiVersion":"v1","kind":"Secret","metadata":{"name":%q},"stringData":{"text":%q}}`},
	{"serviceaccounts", `{"apiVersion":"v1","kind":"ServiceAccount","metadata":{"name":%q,"annotations":{"text":%q}}}`},
	{"services", `{"apiVersion":"v1","kind":"Service","metadata":{"name":%q,"annotations":{"text":%q}},"spec":{"ports":[{"port":80}],"selector":{"a":"b"}}}`},
	{"deployments.apps", `{"apiVersion":"apps/v1","kind":"Deployment","metadata":{"name":%q,"annotations":{"text":%q}},"spec":{"selector":{"matchLabels":{"a":"b"}},` +
		`"template":{"metadata":{"labels":{"a":"b"}},"spec":{"containers":[{"name":"c","image":"i:1"}]}}}}`},
}

// newWorld makes a namespace of its own with n objects in the cluster.
func newWorld(t *testing.T, c *clustertest.Cluster, n int) *world {
	t.Helper()
	client, err := cluster.Open(cluster.Options{Kubeconfig: c.Kubeconfig()})
	if err != nil {
		t.Fatal(err)
	}
	w := &world{cluster: c, client: client, types: map[string]object.Type{}, namespace: c.Namespace(t), objects: n}
	types, _, err := client.Types(t.Context(), false)
	if err != nil {
		t.Fatal(err)
	}
	for _, typ := range types {
		w.types[typ.GroupResource()] = typ
	}
	w.fill(t, n)
	return w
}

func (w *world) fill(t *testing.T, n int) {
	t.Helper()
	g, ctx := errgroup.WithContext(t.Context())
	g.SetLimit(8)
	for i := range n {
		g.Go(func() error {
			m := makers[i%len(makers)]
			body := fmt.Sprintf(m.format, fmt.Sprintf("o%05d", i), strings.Repeat("保存 <&> ", i%50))
			_, err := w.client.Create(ctx, w.types[m.resource], w.namespace, []byte(body), cluster.WriteOptions{})
			return err
		})
	}
	if err := g.Wait(); err != nil {
		t.Fatal(err)
	}
}

// contents are the objects of a namespace, by resource and name.
func (w *world) contents(t *testing.T, namespace string) map[string]*unstructured.Unstructured {
	t.Helper()
	all := map[string]*unstructured.Unstructured{}
	for _, m := range makers {
		typ := w.types[m.resource]
		err := w.list(t.Context(), typ, namespace, func(o *unstructured.Unstructured) { all[m.resource+"/"+o.GetName()] = o })
		if err != nil {
			t.Fatal(err)
		}
	}
	return all
}

func (w *world) list(ctx context.Context, typ object.Type, namespace string, fn func(*unstructured.Unstructured)) error {
	body, err := w.client.List(ctx, typ, cluster.ListOptions{Namespace: namespace})
	if err != nil {
		return err
	}
	defer body.Close()
	_, err = object.Split(body, nil, func(item []byte) error {
		item = bytes.Clone(item)
		head, err := object.Scan(item)
		if err != nil {
			return err
		}
		o := &unstructured.Unstructured{}
		if err := o.UnmarshalJSON(object.Inject(nil, item, head, typ.GroupVersion(), typ.Kind)); err != nil {
			return err
		}
		fn(o)
		return nil
	})
	return err
}

// equal checks that another namespace holds exactly the objects of the world, nothing less, more or other.
func (w *world) equal(t *testing.T, namespace string) {
	t.Helper()
	saved, restored := w.contents(t, w.namespace), w.contents(t, namespace)
	if len(saved) != w.objects {
		t.Fatalf("the world holds %d objects and not %d: the test compares nothing", len(saved), w.objects)
	}
	if len(restored) != len(saved) {
		t.Errorf("namespace %s holds %d objects, want %d", namespace, len(restored), len(saved))
	}
	for key, want := range saved {
		got, ok := restored[key]
		if !ok {
			t.Errorf("%s is missing", key)
			continue
		}
		want.SetNamespace(namespace)
		if same, differences := object.Same(want, got, object.SameOptions{}); !same {
			t.Errorf("%s: %v", key, differences)
		}
		if len(got.GetManagedFields()) == 0 {
			t.Errorf("%s has no managedFields", key)
		}
	}
}
