// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"
	"k8s.io/apimachinery/pkg/types"

	"hozon.dev/hozon/internal/cluster"
	"hozon.dev/hozon/internal/fail"
	"hozon.dev/hozon/internal/object"
)

// lanes is how many requests fill the cluster at once.
const lanes = 16

// create fills a cluster with the corpus, in the way in which real clients make objects, so that the managedFields are real.
func (c *corpus) create(ctx context.Context, client *cluster.Client) error {
	namespaces := object.Type{Version: "v1", Resource: "namespaces", Kind: "Namespace"}
	for _, name := range c.namespaces {
		body := marshal(map[string]any{"apiVersion": "v1", "kind": "Namespace", "metadata": map[string]any{"name": name}})
		if _, err := client.Create(ctx, namespaces, "", body, cluster.WriteOptions{FieldManager: "kubectl-create"}); err != nil {
			return err
		}
	}
	if err := c.define(ctx, client); err != nil {
		return err
	}
	f := filler{corpus: c, client: client, uids: map[object.Ref]string{}}
	for _, wave := range c.waves {
		g, ctx := errgroup.WithContext(ctx)
		g.SetLimit(lanes)
		for i := range wave {
			g.Go(func() error { return f.create(ctx, &wave[i]) })
		}
		if err := g.Wait(); err != nil {
			return err
		}
	}
	c.made.others = len(c.namespaces) + len(c.definitions)
	return nil
}

// define creates the custom kinds and waits until they are served.
func (c *corpus) define(ctx context.Context, client *cluster.Client) error {
	t := object.Type{Group: "apiextensions.k8s.io", Version: "v1", Resource: "customresourcedefinitions"}
	for _, d := range c.definitions {
		if _, err := client.Create(ctx, t, "", marshal(d), cluster.WriteOptions{FieldManager: "helm"}); err != nil {
			return err
		}
	}
	tick := time.NewTicker(100 * time.Millisecond)
	defer tick.Stop()
	for {
		served, _, err := client.Types(ctx, false)
		if err != nil {
			return err
		}
		served = slices.DeleteFunc(served, func(t object.Type) bool { return t.Group != customGroup })
		if len(served) == len(c.definitions) {
			return nil
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-tick.C:
		}
	}
}

// filler creates the objects of a corpus.
type filler struct {
	*corpus
	client *cluster.Client

	mu   sync.Mutex
	uids map[object.Ref]string
}

func (f *filler) create(ctx context.Context, i *item) error {
	if i.owner != nil {
		f.own(i)
	}
	body := marshal(i.body)
	i.body = nil // it is not needed any more, and there are many
	head, err := object.Scan(body)
	if err != nil {
		return err
	}
	made, err := f.client.Create(ctx, i.t, head.Namespace, body, cluster.WriteOptions{FieldManager: i.manager})
	if err != nil {
		return err
	}
	if i.status != nil {
		patch := marshal(map[string]any{"status": i.status})
		i.status = nil
		o := cluster.WriteOptions{FieldManager: i.reporter, Subresource: "status"}
		if made, err = f.client.Patch(ctx, i.t, head.Namespace, head.Name, types.MergePatchType, patch, o); err != nil {
			return err
		}
	}
	return f.note(i.t, made)
}

func (f *filler) own(i *item) {
	f.mu.Lock()
	defer f.mu.Unlock()
	kind := map[string]string{"deployments": "Deployment", "replicasets": "ReplicaSet"}[i.owner.Resource]
	i.body["metadata"].(map[string]any)["ownerReferences"] = []any{map[string]any{
		"apiVersion": "apps/v1", "kind": kind, "name": i.owner.Name, "uid": f.uids[*i.owner], "controller": true, "blockOwnerDeletion": true,
	}}
}

// sampled is that one object of so many is looked at again after a restore.
const sampled = 50

func (f *filler) note(t object.Type, made []byte) error {
	head, err := object.Scan(made)
	if err != nil {
		return err
	}
	ref := t.Ref(head.Namespace, head.Name)
	f.mu.Lock()
	defer f.mu.Unlock()
	f.made.objects++
	f.made.bytes += int64(len(made))
	if t.Resource == "deployments" || t.Resource == "replicasets" {
		f.uids[ref] = head.UID
	}
	if f.made.objects%sampled == 0 {
		f.sources[ref] = made
	}
	return nil
}

// check compares the target with the corpus: every object must be there, and those of the sample must have kept their
// managedFields. It returns how many objects the restore had to make.
func (c *corpus) check(ctx context.Context, client *cluster.Client, namespaces []string) (int, error) {
	want := map[string]int{}
	for _, t := range c.types() {
		want[t.GroupResource()] = 0
	}
	there := map[object.Ref][]byte{}
	total := 0
	for _, t := range c.types() {
		n, err := c.count(ctx, client, t, there)
		if err != nil {
			return 0, err
		}
		total += n
	}
	expected := 0
	for _, wave := range c.waves {
		expected += len(wave)
	}
	if len(namespaces) == len(c.namespaces) && total != expected {
		return 0, fmt.Errorf("%d objects were restored of %d", total, expected)
	}
	for ref, source := range c.sources {
		if !slices.Contains(namespaces, ref.Namespace) {
			continue
		}
		restored, ok := there[ref]
		if !ok {
			return 0, fmt.Errorf("%s was not restored", ref)
		}
		if a, b := managedFields(source), managedFields(restored); !bytes.Equal(a, b) {
			return 0, fmt.Errorf("%s has other managedFields than in the backup:\n%s\n%s", ref, a, b)
		}
	}
	return total + len(namespaces) + len(c.definitions), nil
}

// count lists a kind and keeps the objects of the sample.
func (c *corpus) count(ctx context.Context, client *cluster.Client, t object.Type, into map[object.Ref][]byte) (int, error) {
	body, err := client.List(ctx, t, cluster.ListOptions{})
	if fail.Is(err, fail.NotFound) { // a custom kind of which the part that was restored has no object
		return 0, nil
	}
	if err != nil {
		return 0, err
	}
	defer body.Close()
	n := 0
	_, err = object.Split(body, nil, func(item []byte) error {
		head, err := object.Scan(item)
		if err != nil {
			return err
		}
		ref := t.Ref(head.Namespace, head.Name)
		if !slices.Contains(c.namespaces, ref.Namespace) {
			return nil
		}
		n++
		if _, ok := c.sources[ref]; ok {
			into[ref] = bytes.Clone(item)
		}
		return nil
	})
	return n, err
}

func managedFields(body []byte) []byte {
	var o struct {
		Metadata struct {
			ManagedFields any `json:"managedFields"`
		} `json:"metadata"`
	}
	if err := json.Unmarshal(body, &o); err != nil {
		return []byte(err.Error())
	}
	return marshal(o.Metadata.ManagedFields)
}
