// SPDX-License-Identifier: Apache-2.0

package restore_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	velerov1 "hozon.dev/hozon/api/velero/v1"
	"hozon.dev/hozon/internal/blob/mem"
	"hozon.dev/hozon/internal/cluster"
	"hozon.dev/hozon/internal/cluster/clustertest"
	"hozon.dev/hozon/internal/fail"
	"hozon.dev/hozon/internal/object"
	"hozon.dev/hozon/internal/restore"
)

// TestChosenVersion: of an autoscaler that was saved in two versions the one that was preferred is restored, with the feature the one that the target prefers, or
// that the user's ConfigMap names first.
func TestChosenVersion(t *testing.T) {
	c := clustertest.Shared(t)
	k, ns := client(t, c), c.Namespace(t)
	body := `{"apiVersion":"autoscaling/%s","kind":"HorizontalPodAutoscaler","metadata":{"name":"h","namespace":%q},"spec":{"maxReplicas":3,"scaleTargetRef":{"apiVersion":"apps/v1","kind":"Deployment","name":"d"}}}`
	s := backup(t, mem.New(), "b", true, [][]byte{fmt.Appendf(nil, body, "v1", ns), fmt.Appendf(nil, body, "v2", ns)})
	run := func(feature bool) (string, error) {
		e := restore.Engine{Target: k, Store: s, Now: time.Now, ByTarget: feature}
		r, err := e.Run(t.Context(), &velerov1.Restore{ObjectMeta: metav1.ObjectMeta{Name: "r", Namespace: ns}, Spec: velerov1.RestoreSpec{BackupName: "b"}}, restore.Options{DryRun: true})
		if err != nil {
			return "", err
		}
		for i := range r.Report.Items.All() {
			if i.Ref.Resource == "horizontalpodautoscalers" {
				return i.Version + " " + string(i.Action), nil
			}
		}
		return "nothing", nil
	}
	maps := object.Type{Version: "v1", Resource: "configmaps", Kind: "ConfigMap", Namespaced: true}
	order := func(text string) {
		t.Helper()
		_ = k.Delete(t.Context(), maps, ns, "enableapigroupversions", cluster.DeleteOptions{})
		body := fmt.Appendf(nil, `{"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":"enableapigroupversions"},"data":{"restoreResourcesVersionPriority":%q}}`, text)
		if _, err := k.Create(t.Context(), maps, ns, body, cluster.WriteOptions{}); err != nil {
			t.Fatal(err)
		}
	}
	for _, step := range []struct {
		feature bool
		want    string
	}{{false, "v1 created"}, {true, "v2 created"}} {
		if got, err := run(step.feature); err != nil || got != step.want {
			t.Errorf("feature %v: %q, %v, want %q", step.feature, got, err, step.want)
		}
	}
	order("gears.example.com=v2\n\nhorizontalpodautoscalers.autoscaling = v9, v1 ,v2\n")
	if got, err := run(true); err != nil || got != "v1 created" {
		t.Errorf("by the user's order: %q, %v", got, err)
	}
	order("a.b\nc=v1\nc=v2\nd=v1,,v2")
	_, err := run(true)
	for _, want := range []string{"ConfigMap " + ns + "/enableapigroupversions, key restoreResourcesVersionPriority: line 1: \"a.b\": expected resource.group=version,version",
		`line 3: "c" is there twice`, `line 4: "d=v1,,v2": expected a version between commas`} {
		if !fail.Is(err, fail.Invalid) || !strings.Contains(fmt.Sprint(err), want) {
			t.Errorf("%v, want %s", err, want)
		}
	}
	if got, err := run(false); err != nil || got != "v1 created" {
		t.Errorf("without the feature nobody reads it: %q, %v", got, err)
	}
}
