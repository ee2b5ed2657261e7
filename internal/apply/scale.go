// SPDX-License-Identifier: Apache-2.0

package apply

import (
	"context"
	"encoding/json"
	"maps"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"hozon.dev/hozon/internal/cluster"
	"hozon.dev/hozon/internal/object"
	"hozon.dev/hozon/internal/report"
)

var autoscalers = object.Type{Group: "autoscaling", Version: "v2", Resource: "horizontalpodautoscalers", Kind: "HorizontalPodAutoscaler", Namespaced: true}

// keepScale leaves the number of replicas to the autoscaler that has set it.
func (r *Run) keepScale(ctx context.Context, w *work, want, live *unstructured.Unstructured) {
	number := func(o *unstructured.Unstructured) any {
		n, _, _ := unstructured.NestedFieldNoCopy(o.Object, "spec", "replicas")
		return n
	}
	if n := number(live); n != nil && n != number(want) && r.scaled(ctx, w) {
		want.Object["spec"].(map[string]any)["replicas"] = n
	}
}

// scaled reports whether an autoscaler of the target scales an object.
func (r *Run) scaled(ctx context.Context, w *work) bool {
	ns := w.Step.Target.Namespace
	r.mu.Lock()
	known, ok := r.scalers[ns]
	r.mu.Unlock()
	if !ok {
		known = r.listScalers(ctx, ns)
		r.mu.Lock()
		r.scalers[ns] = known
		r.mu.Unlock()
	}
	return known[w.obj.GetKind()+"/"+w.Step.Target.Name]
}

// listScalers finds what the autoscalers of a namespace scale; nothing where there are none to be seen.
func (r *Run) listScalers(ctx context.Context, namespace string) map[string]bool {
	found := map[string]bool{}
	if !r.served(autoscalers) {
		return found
	}
	page, err := r.o.Target.List(ctx, autoscalers, cluster.ListOptions{Namespace: namespace})
	if err != nil {
		return found
	}
	defer page.Close()
	_, _ = object.Split(page, nil, func(item []byte) error { // what can be read of it counts
		var hpa struct {
			Spec struct {
				ScaleTargetRef struct{ Kind, Name string }
			}
		}
		if err := json.Unmarshal(item, &hpa); err == nil {
			found[hpa.Spec.ScaleTargetRef.Kind+"/"+hpa.Spec.ScaleTargetRef.Name] = true
		}
		return nil
	})
	return found
}

// companion deals with what the cluster has made in a namespace of this run before its turn came (its default service account): it came
// with the namespace, whoever was faster.
func (r *Run) companion(ctx context.Context, w *work, live *unstructured.Unstructured) {
	if w.t.Resource == "serviceaccounts" && w.t.Group == "" {
		if patch := accountPatch(w, live, r.o.Env); patch != nil {
			if _, err := r.patch(ctx, w.t, w.Step.Target, patch, ""); err != nil {
				r.fails(w.Job, err)
				return
			}
		}
	}
	r.outcome(w.Job, report.Created, "", w.warning)
}

// pausedObject is an object that was made paused, so that its controller acts when all is there.
type pausedObject struct {
	Warning
	t object.Type
}

// pause marks what a controller would act on at once, before the rest is there, and reports whether it did.
func pause(w *work) bool {
	if w.t.Group != "cluster.x-k8s.io" || w.obj.GetKind() != "Cluster" {
		return false
	}
	spec, _ := w.obj.Object["spec"].(map[string]any)
	if spec == nil || spec["paused"] == true {
		return false
	}
	spec = maps.Clone(spec)
	spec["paused"] = true
	w.obj.Object["spec"] = spec
	return true
}

// unpause lets the controllers go.
func (r *Run) unpause(ctx context.Context) []Warning {
	var warnings []Warning
	for _, p := range r.paused {
		if _, err := r.patch(ctx, p.t, p.Ref, []byte(`{"spec":{"paused":null}}`), ""); err != nil {
			p.Text = p.Ref.String() + " was restored paused, and could not be unpaused: " + message(err)
			warnings = append(warnings, p.Warning)
		}
	}
	r.paused = nil
	return warnings
}
