// SPDX-License-Identifier: Apache-2.0

package restore_test

import (
	"bytes"
	"fmt"
	"slices"
	"testing"
	"time"

	velerov1 "hozon.dev/hozon/api/velero/v1"
	"hozon.dev/hozon/internal/blob/mem"
	"hozon.dev/hozon/internal/cluster"
	"hozon.dev/hozon/internal/cluster/clustertest"
	"hozon.dev/hozon/internal/object"
)

var (
	pods        = object.Type{Version: "v1", Resource: "pods", Kind: "Pod", Namespaced: true}
	replicaSets = object.Type{Group: "apps", Version: "v1", Resource: "replicasets", Kind: "ReplicaSet", Namespaced: true}
	deployments = object.Type{Group: "apps", Version: "v1", Resource: "deployments", Kind: "Deployment", Namespaced: true}
)

// list reads the objects of a kind in a namespace.
func list(t *testing.T, k *cluster.Client, typ object.Type, ns string) [][]byte {
	t.Helper()
	page, err := k.List(t.Context(), typ, cluster.ListOptions{Namespace: ns})
	if err != nil {
		t.Fatal(err)
	}
	defer page.Close()
	var out [][]byte
	_, err = object.Split(page, nil, func(item []byte) error {
		head, err := object.Scan(item)
		out = append(out, object.Inject(nil, item, head, typ.GroupVersion(), typ.Kind))
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return out
}

func names(t *testing.T, objects [][]byte) []string {
	t.Helper()
	var out []string
	for _, o := range objects {
		head, err := object.Scan(o)
		if err != nil {
			t.Fatal(err)
		}
		out = append(out, head.Name)
	}
	slices.Sort(out)
	return out
}

// until waits for a condition of the cluster, which has no event of its own.
func until(t *testing.T, what string, ok func() bool) {
	t.Helper()
	tick := time.NewTicker(200 * time.Millisecond)
	defer tick.Stop()
	deadline := time.After(2 * time.Minute)
	for !ok() {
		select {
		case <-tick.C:
		case <-deadline:
			t.Fatalf("%s: not within two minutes", what)
		}
	}
}

// settled reports whether the controllers have done with the Deployments of a namespace: each has seen its newest state and
// counts its replicas.
func settled(t *testing.T, k *cluster.Client, ns string, replicas int) bool {
	for _, body := range list(t, k, deployments, ns) {
		o := decode(t, body)
		status, _ := o["status"].(map[string]any)
		generation := o["metadata"].(map[string]any)["generation"]
		if status["observedGeneration"] != generation || status["replicas"] != float64(replicas) {
			return false
		}
	}
	for _, body := range list(t, k, replicaSets, ns) {
		status, _ := decode(t, body)["status"].(map[string]any)
		if status["replicas"] != float64(replicas) {
			return false
		}
	}
	return true
}

// workload is a Deployment with its ReplicaSet and pods, as a cluster has them.
func workload(ns string, n, replicas int) [][]byte {
	app, hash := fmt.Sprintf("web-%d", n), fmt.Sprintf("5fb44bcd%02x", n)
	template := func(labels string) string {
		return fmt.Sprintf(`{"metadata":{"labels":{"app":%q%s}},"spec":{"containers":[{"name":"c","image":"i"}]}}`, app, labels)
	}
	hashed := fmt.Sprintf(`,"pod-template-hash":%q`, hash)
	owner := func(group, kind, name string) string {
		return fmt.Sprintf(`"ownerReferences":[{"apiVersion":%q,"kind":%q,"name":%q,"uid":"uid-%s","controller":true,"blockOwnerDeletion":true}]`, group, kind, name, name)
	}
	set := app + "-" + hash
	objects := [][]byte{
		fmt.Appendf(nil, `{"apiVersion":"apps/v1","kind":"Deployment","metadata":{"name":%q,"namespace":%q,"uid":"uid-%s","annotations":{"deployment.kubernetes.io/revision":"1"}},"spec":{"replicas":%d,"selector":{"matchLabels":{"app":%q}},"template":%s}}`,
			app, ns, app, replicas, app, template("")),
		fmt.Appendf(nil, `{"apiVersion":"apps/v1","kind":"ReplicaSet","metadata":{"name":%q,"namespace":%q,"uid":"uid-%s","labels":{"app":%q%s},"annotations":{"deployment.kubernetes.io/revision":"1"},%s},"spec":{"replicas":%d,"selector":{"matchLabels":{"app":%q%s}},"template":%s}}`,
			set, ns, set, app, hashed, owner("apps/v1", "Deployment", app), replicas, app, hashed, template(hashed)),
	}
	for i := range replicas {
		objects = append(objects, fmt.Appendf(nil, `{"apiVersion":"v1","kind":"Pod","metadata":{"name":"%s-%d","namespace":%q,"labels":{"app":%q%s},%s},"spec":{"nodeName":"gone","containers":[{"name":"c","image":"i"}]},"status":{"phase":"Running"}}`,
			set, i, ns, app, hashed, owner("apps/v1", "ReplicaSet", set)))
	}
	return objects
}

// TestControllers restores 200 Deployments with their ReplicaSets and pods while the controllers run: exactly the saved pods remain,
// adopted. It takes about half a minute: the controllers adopt 600 objects at the rate that they are allowed.
func TestControllers(t *testing.T) {
	const count, replicas, ns = 200, 2, "apps"
	c := clustertest.Start(t, clustertest.Options{Controllers: true, UnsafeNoFsync: true})
	k := client(t, c)
	objects := [][]byte{fmt.Appendf(nil, `{"apiVersion":"v1","kind":"ServiceAccount","metadata":{"name":"default","namespace":%q}}`, ns)}
	var saved []string
	for i := range count {
		objects = append(objects, workload(ns, i, replicas)...)
		saved = append(saved, names(t, objects[len(objects)-replicas:])...)
	}
	slices.Sort(saved)
	s := backup(t, mem.New(), "b", true, objects)
	start := time.Now()
	r := completed(t, k, s, "r", velerov1.RestoreSpec{BackupName: "b"})
	t.Logf("%d objects in %v: %v", len(objects), time.Since(start), r.Report.Counts)
	until(t, "the controllers have adopted all", func() bool {
		if !settled(t, k, ns, replicas) {
			return false
		}
		for _, typ := range []object.Type{pods, replicaSets} {
			for _, o := range list(t, k, typ, ns) {
				if !bytes.Contains(o, []byte(`"ownerReferences"`)) {
					return false
				}
			}
		}
		return true
	})
	if got := names(t, list(t, k, pods, ns)); !slices.Equal(got, saved) {
		lost, made := difference(saved, got), difference(got, saved)
		t.Errorf("%d saved pods are gone, %d others were made: %q, %q", len(lost), len(made), lost, made)
	}
	if got := len(list(t, k, replicaSets, ns)); got != count {
		t.Errorf("%d ReplicaSets, want %d", got, count)
	}
}

func difference(a, b []string) []string {
	return slices.DeleteFunc(slices.Clone(a), func(s string) bool { return slices.Contains(b, s) })
}
