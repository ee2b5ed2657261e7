// SPDX-License-Identifier: Apache-2.0

package scale

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/sync/errgroup"

	"hozon.dev/hozon/internal/cluster"
	"hozon.dev/hozon/internal/cluster/clustertest"
	"hozon.dev/hozon/internal/object"
)

const customGroup = "scale.example.com"

// world is the cluster that grows. Object i lies in namespace i / perNamespace, so that a smaller world is the beginning of a larger one.
type world struct {
	size
	perNamespace int
	client       *cluster.Client
	etcd         *http.Client
	templates    map[string]template // by resource
	prose        string
	made         int // objects
}

// template is a real object as the API server stores it, with marks in the places that differ from copy to copy.
type template struct {
	folder string // of etcd's keys
	text   string
	uid    string
}

// Marks are what templates hold in place of names and content.
const (
	markName      = "mark-name"
	markNamespace = "mark-space" // no mark is the beginning of another
	markOwner     = "mark-owner"
	markData      = "mark-data"
)

func newWorld(t *testing.T, c *clustertest.Cluster, s size) *world {
	t.Helper()
	client, err := cluster.Open(cluster.Options{Kubeconfig: c.Kubeconfig()})
	if err != nil {
		t.Fatal(err)
	}
	n := s.steps[len(s.steps)-1]
	w := &world{size: s, perNamespace: (n + s.namespaces - 1) / s.namespaces, client: client, templates: map[string]template{}, prose: prose()}
	w.etcd = &http.Client{Transport: &http.Transport{
		MaxIdleConnsPerHost: lanes,
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			return new(net.Dialer).DialContext(ctx, "unix", filepath.Join(c.Dir, "etcd.sock"))
		},
	}}
	if err := w.begin(t.Context()); err != nil {
		t.Fatal(err)
	}
	return w
}

// begin makes the namespaces, the kinds, the large objects, and a template of each kind of object.
func (w *world) begin(ctx context.Context) error {
	namespaces := object.Type{Version: "v1", Resource: "namespaces"}
	definitions := object.Type{Group: "apiextensions.k8s.io", Version: "v1", Resource: "customresourcedefinitions"}
	g, short := errgroup.WithContext(ctx)
	g.SetLimit(lanes)
	for i := -1; i < w.namespaces; i++ {
		name := namespaceName(i)
		if i < 0 {
			name = markNamespace
		}
		g.Go(func() error {
			return w.create(short, namespaces, "", fmt.Sprintf(`{"apiVersion":"v1","kind":"Namespace","metadata":{"name":%q}}`, name))
		})
	}
	for k := range w.kinds {
		g.Go(func() error { return w.create(short, definitions, "", definition(k)) })
	}
	if err := g.Wait(); err != nil {
		return err
	}
	if err := w.awaitKinds(ctx); err != nil {
		return err
	}
	for _, m := range makers {
		if err := w.learn(ctx, m); err != nil {
			return err
		}
	}
	return w.createLarge(ctx)
}

func (w *world) create(ctx context.Context, t object.Type, namespace, body string) error {
	_, err := w.client.Create(ctx, t, namespace, []byte(body), cluster.WriteOptions{FieldManager: "helm"})
	return err
}

func namespaceName(i int) string { return fmt.Sprintf("scale-%04d", i) }

func custom(k int) object.Type {
	return object.Type{Group: customGroup, Version: "v1", Resource: fmt.Sprintf("thing%ds", k), Kind: fmt.Sprintf("Thing%d", k), Namespaced: true}
}

func definition(k int) string {
	t := custom(k)
	return fmt.Sprintf(`{"apiVersion":"apiextensions.k8s.io/v1","kind":"CustomResourceDefinition","metadata":{"name":"%[1]s.%[2]s"},"spec":{`+
		`"group":%[2]q,"scope":"Namespaced","names":{"plural":%[1]q,"singular":%[3]q,"kind":%[4]q},"versions":[{"name":"v1","served":true,"storage":true,`+
		`"schema":{"openAPIV3Schema":{"type":"object","x-kubernetes-preserve-unknown-fields":true}}}]}}`,
		t.Resource, customGroup, strings.TrimSuffix(t.Resource, "s"), t.Kind)
}

// awaitKinds returns when every custom kind is served.
func (w *world) awaitKinds(ctx context.Context) error {
	tick := time.NewTicker(200 * time.Millisecond)
	defer tick.Stop()
	for {
		types, _, err := w.client.Types(ctx, false)
		if err != nil {
			return err
		}
		n := 0
		for _, t := range types {
			if t.Group == customGroup {
				n++
			}
		}
		if n == w.kinds {
			return nil
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-tick.C:
		}
	}
}

// maker says how a kind of object is made: share of twenty, and the body with marks.
type maker struct {
	share  int
	t      object.Type
	folder string
	body   string
}

const podSpec = `{"containers":[{"name":"main","image":"registry.example.com/main:1","args":["mark-data"],"env":[{"name":"A","value":"b"}],` +
	`"ports":[{"name":"http","containerPort":8080}],"resources":{"limits":{"memory":"64Mi"}}}]}`

func meta(more string) string {
	return `"metadata":{"name":"mark-name","namespace":"mark-space","labels":{"app":"mark-name"}` + more + `}`
}

func owned(kind string) string {
	return meta(`,"ownerReferences":[{"apiVersion":"apps/v1","kind":"` + kind + `","name":"mark-owner","uid":"mark-owner-uid","controller":true}]`)
}

// makers are in the order in which the objects of a block of twenty are made; an owner comes before what it owns.
var makers = []maker{
	{7, object.Type{Version: "v1", Resource: "configmaps"}, "configmaps", `{"apiVersion":"v1","kind":"ConfigMap",` + meta("") + `,"data":{"config.yaml":"mark-data"}}`},
	{4, object.Type{Version: "v1", Resource: "secrets"}, "secrets", `{"apiVersion":"v1","kind":"Secret",` + meta("") + `,"data":{"token":"` + base64Mark + `"}}`},
	{1, object.Type{Version: "v1", Resource: "serviceaccounts"}, "serviceaccounts", `{"apiVersion":"v1","kind":"ServiceAccount",` + meta("") + `}`},
	{1, object.Type{Version: "v1", Resource: "services"}, "services/specs", `{"apiVersion":"v1","kind":"Service",` + meta("") +
		`,"spec":{"clusterIP":"None","selector":{"app":"mark-name"},"ports":[{"port":80}]}}`},
	{1, object.Type{Group: "apps", Version: "v1", Resource: "deployments"}, "deployments", `{"apiVersion":"apps/v1","kind":"Deployment",` + meta("") +
		`,"spec":{"selector":{"matchLabels":{"app":"mark-name"}},"template":{"metadata":{"labels":{"app":"mark-name"}},"spec":` + podSpec + `}}}`},
	{1, object.Type{Group: "apps", Version: "v1", Resource: "replicasets"}, "replicasets", `{"apiVersion":"apps/v1","kind":"ReplicaSet",` + owned("Deployment") +
		`,"spec":{"selector":{"matchLabels":{"app":"mark-name"}},"template":{"metadata":{"labels":{"app":"mark-name"}},"spec":` + podSpec + `}}}`},
	{2, object.Type{Version: "v1", Resource: "pods"}, "pods", `{"apiVersion":"v1","kind":"Pod",` + owned("ReplicaSet") + `,"spec":` + podSpec + `}`},
	{3, custom(0), "", `{"apiVersion":"scale.example.com/v1","kind":"Thing0",` + meta("") + `,"spec":{"text":"mark-data","size":3,"parts":[{"name":"a"},{"name":"b"}]}}`},
}

const base64Mark = "bWFyay1kYXRh" // of markData

// learn lets the API server make one object and takes it for the template of its kind.
func (w *world) learn(ctx context.Context, m maker) error {
	body, err := w.client.Create(ctx, m.t, markNamespace, []byte(m.body), cluster.WriteOptions{FieldManager: "helm"})
	if err != nil {
		return err
	}
	head, err := object.Scan(body)
	if err != nil {
		return err
	}
	w.templates[m.t.Resource] = template{folder: m.folder, text: string(body), uid: head.UID}
	if err := w.client.Delete(ctx, m.t, markNamespace, markName, cluster.DeleteOptions{}); err != nil {
		return err
	}
	return nil
}

// createLarge makes the objects that are nearly as large as etcd takes them.
func (w *world) createLarge(ctx context.Context) error {
	const bytes = 1_400_000
	for i := range w.large {
		body := fmt.Sprintf(`{"apiVersion":"scale.example.com/v1","kind":"Thing0","metadata":{"name":"large-%d"},"spec":{"text":%q}}`,
			i, strings.Repeat(w.prose, bytes/len(w.prose)+1)[:bytes])
		if err := w.create(ctx, custom(0), namespaceName(i%w.namespaces), body); err != nil {
			return err
		}
	}
	return nil
}

const (
	lanes = 8
	block = 20 // objects, in the shares of makers
	batch = 80 // objects in a transaction of etcd, which takes 128
)

// grow makes the world have n objects.
func (w *world) grow(t *testing.T, n int) {
	t.Helper()
	began := time.Now()
	g, ctx := errgroup.WithContext(t.Context())
	g.SetLimit(lanes)
	for from := w.made; from < n; from += batch {
		g.Go(func() error { return w.put(ctx, from, min(from+batch, n)) })
	}
	if err := g.Wait(); err != nil {
		t.Fatal(err)
	}
	t.Logf("%d objects were made in %.1f s", n-w.made, time.Since(began).Seconds())
	w.made = n
}

// namespacesOf is in how many namespaces the first n objects lie.
func (w *world) namespacesOf(n int) int { return (n + w.perNamespace - 1) / w.perNamespace }

type etcdPut struct {
	RequestPut struct {
		Key   []byte `json:"key"`
		Value []byte `json:"value"`
	} `json:"requestPut"`
}

// put stores objects in one transaction, through etcd's JSON gateway.
func (w *world) put(ctx context.Context, from, to int) error {
	var txn struct {
		Success []etcdPut `json:"success"`
	}
	for i := from; i < to; i++ {
		var p etcdPut
		p.RequestPut.Key, p.RequestPut.Value = w.object(i)
		txn.Success = append(txn.Success, p)
	}
	body, err := json.Marshal(txn)
	if err != nil {
		return err
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, "http://etcd/v3/kv/txn", bytes.NewReader(body))
	if err != nil {
		return err
	}
	resp, err := w.etcd.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	answer, err := io.ReadAll(resp.Body)
	if err != nil {
		return err
	}
	if resp.StatusCode != http.StatusOK || !bytes.Contains(answer, []byte(`"succeeded":true`)) {
		return fmt.Errorf("etcd: %s: %s", resp.Status, answer)
	}
	return nil
}

// object is number i, as etcd's key and value.
func (w *world) object(i int) (key, value []byte) {
	slot, m := i%block, 0
	for ; slot >= makers[m].share; m++ {
		slot -= makers[m].share
	}
	t := w.templates[makers[m].t.Resource]
	namespace, name := namespaceName(i/w.perNamespace), objectName(i)
	folder, kind := t.folder, ""
	if folder == "" {
		of := custom((i/block*makers[m].share + slot) % w.kinds)
		folder, kind = customGroup+"/"+of.Resource, of.Kind
	}
	owner := i - slot - 1 // what was made right before the first of this kind
	data := w.data(i)
	text := strings.NewReplacer(
		markName, name, markNamespace, namespace, t.uid, uid(i), markOwner+"-uid", uid(owner), markOwner, objectName(owner),
		markData, data, base64Mark, base64.StdEncoding.EncodeToString([]byte(data)), `"Thing0"`, `"`+kind+`"`,
	).Replace(t.text)
	return fmt.Appendf(nil, "/registry/%s/%s/%s", folder, namespace, name), []byte(text)
}

func objectName(i int) string { return fmt.Sprintf("object-%06d-abcde", i) }

func uid(i int) string { return fmt.Sprintf("%08x-1234-4abc-8def-%012x", uint32(i)*2654435761, i) }

// data is the content of object i: 100 to 4,100 bytes, most of them fewer than 1,000.
func (w *world) data(i int) string {
	r := rand.New(rand.NewPCG(uint64(i), 7))
	n := 100 + r.IntN(900)
	if r.IntN(5) == 0 {
		n += r.IntN(3100)
	}
	at := r.IntN(len(w.prose) - n)
	return w.prose[at : at+n]
}

// prose is text that shrinks to about a third.
func prose() string {
	r := rand.New(rand.NewPCG(1, 2))
	words := make([]string, 2000)
	for i := range words {
		word := make([]byte, 3+r.IntN(9))
		for k := range word {
			word[k] = byte('a' + r.IntN(26))
		}
		words[i] = string(word)
	}
	var b strings.Builder
	for b.Len() < 200_000 {
		b.WriteString(words[r.IntN(len(words))])
		b.WriteByte(' ')
	}
	return b.String()
}
