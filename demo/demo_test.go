// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"context"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"k8s.io/apimachinery/pkg/types"

	"hozon.dev/hozon/internal/cluster"
	"hozon.dev/hozon/internal/object"
	"hozon.dev/hozon/test/daemon"
)

// TestSample: what `make demo` shows must be the same every time.
func TestSample(t *testing.T) {
	a, err := sample()
	if err != nil {
		t.Fatal(err)
	}
	b, err := sample()
	if err != nil {
		t.Fatal(err)
	}
	kinds := map[string]int{}
	for i := range a {
		x, _ := a[i].MarshalJSON()
		y, _ := b[i].MarshalJSON()
		if !bytes.Equal(x, y) {
			t.Errorf("%s %s is not the same at the second time", a[i].GetKind(), a[i].GetName())
		}
		kinds[a[i].GetKind()]++
	}
	for _, kind := range strings.Fields(`Namespace Deployment StatefulSet DaemonSet CronJob Job Service Ingress NetworkPolicy
		HorizontalPodAutoscaler PodDisruptionBudget PersistentVolume PersistentVolumeClaim PriorityClass StorageClass Role RoleBinding
		ClusterRole ClusterRoleBinding ServiceAccount ConfigMap Secret ResourceQuota LimitRange CustomResourceDefinition Database`) {
		if kinds[kind] == 0 {
			t.Errorf("the sample has no %s", kind)
		}
	}
}

// TestDemo tells the whole story, which must end well, and then spoils three objects, which must be seen. It takes half a
// minute: it starts a cluster with controllers, and waits for them.
func TestDemo(t *testing.T) {
	if testing.Short() {
		t.Skip("starts a cluster with controllers, and waits for them: half a minute")
	}
	var out bytes.Buffer
	d := demo{out: &out, hozon: build(t)}
	d.again = func(ctx context.Context) error {
		spoil(t, ctx, d.client)
		_, changes, err := d.compare(ctx)
		if err != nil {
			return err
		}
		var got []string
		for _, c := range changes {
			got = append(got, c.ref.String()+" "+c.what)
		}
		want := []string{
			"configmaps/payments/intruder is new",
			"networkpolicies.networking.k8s.io/payments/default-deny is gone",
			"secrets/payments/gateway differs",
		}
		if !slices.Equal(got, want) {
			t.Errorf("after the sabotage the comparison found %q, want %q", got, want)
		}
		if verdict(changes) == nil {
			t.Error("the verdict on changed objects is good")
		}
		return nil
	}
	if err := d.run(t.Context()); err != nil {
		t.Errorf("the demo ended with: %v", err)
	}
	if text := out.String(); t.Failed() || !strings.Contains(text, "VERDICT: every object is what it was.") {
		t.Errorf("the demo said:\n%s", text)
	}
}

// spoil changes, removes and adds an object.
func spoil(t *testing.T, ctx context.Context, c *cluster.Client) {
	t.Helper()
	secrets := object.Type{Version: "v1", Resource: "secrets"}
	configMaps := object.Type{Version: "v1", Resource: "configmaps"}
	policies := object.Type{Group: "networking.k8s.io", Version: "v1", Resource: "networkpolicies"}
	_, err := c.Patch(ctx, secrets, "payments", "gateway", types.MergePatchType, []byte(`{"data":{"username":"bWVyY2hhbnQtMDgxNg=="}}`), cluster.WriteOptions{})
	if err != nil {
		t.Error(err)
	}
	if err := c.Delete(ctx, policies, "payments", "default-deny", cluster.DeleteOptions{}); err != nil {
		t.Error(err)
	}
	intruder := []byte(`{"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":"intruder","namespace":"payments"}}`)
	if _, err := c.Create(ctx, configMaps, "payments", intruder, cluster.WriteOptions{}); err != nil {
		t.Error(err)
	}
}

// build makes the hozon binary of this tree.
func build(t *testing.T) string {
	t.Helper()
	root, err := daemon.Root()
	if err != nil {
		t.Fatal(err)
	}
	binary := filepath.Join(t.TempDir(), "hozon")
	cmd := exec.Command("go", "build", "-o", binary, "./cmd/hozon")
	cmd.Dir = root
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("build hozon: %v\n%s", err, out)
	}
	return binary
}
