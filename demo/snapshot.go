// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"context"
	"fmt"
	"maps"
	"time"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"hozon.dev/hozon/internal/cluster"
	"hozon.dev/hozon/internal/object"
)

// state is one object at one time.
type state struct {
	head   object.Head
	object *unstructured.Unstructured
}

// snapshot is every object of a cluster at one time, but for the notes that the cluster takes all the time.
type snapshot map[object.Ref]state

// snapshot reads every kind that can be listed. It is deliberately not how Hozon reads a cluster: what checks should not
// share much with what is checked.
func (d *demo) snapshot(ctx context.Context) (snapshot, error) {
	types, problems, err := d.client.Types(ctx, false)
	if err != nil {
		return nil, err
	}
	if len(problems) > 0 {
		return nil, problems[0].Err
	}
	all := snapshot{}
	for _, t := range types {
		if restless(t) {
			continue
		}
		if err := d.list(ctx, t, all); err != nil {
			return nil, err
		}
	}
	return all, nil
}

func (d *demo) list(ctx context.Context, t object.Type, into snapshot) error {
	body, err := d.client.List(ctx, t, cluster.ListOptions{})
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
		full := object.Inject(nil, item, head, t.GroupVersion(), t.Kind)
		o := &unstructured.Unstructured{}
		if err := o.UnmarshalJSON(full); err != nil {
			return err
		}
		into[t.Ref(head.Namespace, head.Name)] = state{head: head, object: o}
		return nil
	})
	return err
}

// settle waits until the controllers have done what they are going to do, and returns what is there then: every workload
// has the objects that it asks for, every claim its volume, and for a while nothing has changed.
func (d *demo) settle(ctx context.Context) (snapshot, error) {
	const still = 1500 * time.Millisecond
	var last snapshot
	var since time.Time
	waiting := ""
	err := poll(ctx, 500*time.Millisecond, func() (bool, error) {
		now, err := d.snapshot(ctx)
		if err != nil {
			return false, err
		}
		waiting = unsettled(now)
		if waiting != "" || last == nil || moved(last, now) {
			last, since = now, time.Now()
			return false, nil
		}
		return time.Since(since) > still, nil
	})
	if err != nil && waiting != "" {
		return nil, fmt.Errorf("wait for %s: %w", waiting, err)
	}
	return last, err
}

// moved reports whether anything has changed between two snapshots.
func moved(a, b snapshot) bool {
	return !maps.EqualFunc(a, b, func(x, y state) bool { return x.head.ResourceVersion == y.head.ResourceVersion })
}

// restless are the kinds that the cluster takes its notes in; they are nobody's state.
func restless(t object.Type) bool { return t.Resource == "events" || t.Resource == "leases" }

// unsettled names a workload or claim of the sample whose controller is not done.
func unsettled(s snapshot) string {
	for ref, st := range s {
		if ref.Namespace == "" {
			continue
		}
		switch ref.GroupResource() {
		case "deployments.apps", "statefulsets.apps", "replicasets.apps":
			want, _ := number(st, "spec", "replicas")
			have, _ := number(st, "status", "replicas")
			if seen, _ := number(st, "status", "observedGeneration"); have != want || seen != st.object.GetGeneration() {
				return ref.String()
			}
		case "jobs.batch":
			want, _ := number(st, "spec", "parallelism")
			if have, _ := number(st, "status", "active"); have != want {
				return ref.String()
			}
		case "persistentvolumeclaims":
			if phase, _, _ := unstructured.NestedString(st.object.Object, "status", "phase"); phase != "Bound" {
				return ref.String()
			}
		}
	}
	return ""
}

func number(s state, path ...string) (int64, bool) {
	n, ok, err := unstructured.NestedInt64(s.object.Object, path...)
	return n, ok && err == nil
}
