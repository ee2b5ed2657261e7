// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"fmt"
	"time"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/types"

	"hozon.dev/hozon/internal/cluster"
	"hozon.dev/hozon/internal/fail"
	"hozon.dev/hozon/internal/object"
)

// installer creates the objects of the sample.
type installer struct {
	client *cluster.Client
	types  map[string]object.Type // by apiVersion and kind
	uids   map[string]string      // of what was created, by kind, namespace and name
}

// create creates the objects: what is cluster-scoped first, the rest when every namespace has its service account, which
// its pods need.
func (d *demo) create(ctx context.Context, objects []*unstructured.Unstructured) error {
	in := installer{client: d.client, uids: map[string]string{}}
	for _, o := range objects {
		if o.GetNamespace() == "" {
			if err := in.create(ctx, o); err != nil {
				return err
			}
		}
	}
	account := object.Type{Version: "v1", Resource: "serviceaccounts"}
	for _, ns := range namespaces() {
		if err := poll(ctx, 100*time.Millisecond, func() (bool, error) {
			_, err := d.client.Get(ctx, account, ns, "default")
			return err == nil, ignoreAbsent(err)
		}); err != nil {
			return err
		}
	}
	for _, o := range objects {
		if o.GetNamespace() != "" {
			if err := in.create(ctx, o); err != nil {
				return err
			}
		}
	}
	return nil
}

func ignoreAbsent(err error) error {
	if fail.Is(err, fail.NotFound) {
		return nil
	}
	return err
}

func (in *installer) create(ctx context.Context, o *unstructured.Unstructured) error {
	t, err := in.typeOf(ctx, o)
	if err != nil {
		return err
	}
	owners := o.GetOwnerReferences()
	for i := range owners {
		owner := &owners[i]
		uid := in.uids[owner.Kind+"/"+o.GetNamespace()+"/"+owner.Name]
		if uid == "" {
			return fmt.Errorf("create %s: its owner %s %s was not created", t.Ref(o.GetNamespace(), o.GetName()), owner.Kind, owner.Name)
		}
		owner.UID = types.UID(uid)
	}
	if len(owners) > 0 {
		o.SetOwnerReferences(owners)
	}
	body, err := o.MarshalJSON()
	if err != nil {
		return err
	}
	made, err := in.client.Create(ctx, t, o.GetNamespace(), body, cluster.WriteOptions{FieldManager: "kubectl-create", FieldValidation: "Strict"})
	if err != nil {
		return err
	}
	head, err := object.Scan(made)
	if err != nil {
		return err
	}
	in.uids[o.GetKind()+"/"+o.GetNamespace()+"/"+o.GetName()] = head.UID
	return nil
}

// typeOf waits until the API server serves the kind: that of a definition takes a moment.
func (in *installer) typeOf(ctx context.Context, o *unstructured.Unstructured) (object.Type, error) {
	key := o.GetAPIVersion() + " " + o.GetKind()
	err := poll(ctx, 100*time.Millisecond, func() (bool, error) {
		if _, ok := in.types[key]; ok {
			return true, nil
		}
		types, _, err := in.client.Types(ctx, true)
		in.types = make(map[string]object.Type, len(types))
		for _, t := range types {
			in.types[t.GroupVersion()+" "+t.Kind] = t
		}
		_, ok := in.types[key]
		return ok, err
	})
	if err != nil {
		return object.Type{}, fmt.Errorf("await kind %s: %w", key, err)
	}
	return in.types[key], nil
}

// patience is far above what anything here takes, for a machine that is busy with other things.
const patience = 90 * time.Second

// poll asks again and again until done, an error, or the end of patience.
func poll(ctx context.Context, every time.Duration, done func() (bool, error)) error {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	tick := time.NewTicker(every)
	defer tick.Stop()
	for {
		ok, err := done()
		if ok || err != nil {
			return err
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-tick.C:
		}
	}
}
