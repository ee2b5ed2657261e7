// SPDX-License-Identifier: Apache-2.0

package apply

import (
	"context"
	"fmt"
	"reflect"
	"strings"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"hozon.dev/hozon/internal/cluster"
	"hozon.dev/hozon/internal/fail"
	"hozon.dev/hozon/internal/object"
	"hozon.dev/hozon/internal/report"
)

// precious are the kinds that are never deleted to be made anew, with what would go along.
var precious = map[string]string{
	"namespaces":             "everything in it",
	"persistentvolumes":      "its data",
	"persistentvolumeclaims": "its data",
	"nodes":                  "its pods",
	"customresourcedefinitions.apiextensions.k8s.io": "all objects of its kind",
}

// recreate deletes an object that cannot be changed into the saved one, and makes it anew.
func (r *Run) recreate(ctx context.Context, w *work, live *unstructured.Unstructured, cause error) {
	if loss, ok := precious[w.t.GroupResource()]; ok {
		r.leave(ctx, w, fmt.Errorf("%s (not made anew: %s would be lost)", message(cause), loss))
		return
	}
	body, err := w.obj.MarshalJSON()
	if err != nil {
		r.outcome(w.Job, report.Failed, err.Error(), "")
		return
	}
	// The saved one has to be good before the live one goes.
	trial := writeOptions
	trial.DryRun = true
	_, err = r.o.Target.Create(ctx, w.t, w.Step.Target.Namespace, body, trial)
	if err != nil && !fail.Is(err, fail.Exists) && !clash(err) {
		r.leave(ctx, w, fmt.Errorf("%s; made anew it would be refused, too: %s", message(cause), message(err)))
		return
	}
	reason := "deleted and made anew: " + message(cause)
	if r.o.DryRun {
		r.outcome(w.Job, report.Updated, reason, w.warning)
		return
	}
	if err := r.remove(ctx, w, live); err != nil {
		r.fails(w.Job, err)
		return
	}
	response, _, err := r.post(ctx, w, body)
	if err != nil {
		response, err = r.relent(ctx, w, err)
	}
	if err != nil { // it is made like any other that is missing
		r.fails(w.Job, err)
		return
	}
	r.finished(ctx, w, response)
	r.outcome(w.Job, report.Updated, reason, w.warning)
}

// remove deletes exactly the object that was read, and returns when it is gone.
func (r *Run) remove(ctx context.Context, w *work, live *unstructured.Unstructured) error {
	ref := w.Step.Target
	o := cluster.DeleteOptions{UID: string(live.GetUID()), ResourceVersion: live.GetResourceVersion(), Propagation: propagation(w.obj, live)}
	if err := r.o.Target.Delete(ctx, w.t, ref.Namespace, ref.Name, o); err != nil && !fail.Is(err, fail.NotFound) {
		return err
	}
	left := ""
	deadline := r.o.Now().Add(r.o.Ready)
	for pause := 20 * time.Millisecond; ; pause = min(2*pause, time.Second) {
		body, err := r.o.Target.Get(ctx, w.t, ref.Namespace, ref.Name)
		if fail.Is(err, fail.NotFound) {
			return nil
		}
		if err == nil {
			head, err := object.Scan(body)
			if err == nil && head.UID != string(live.GetUID()) {
				return fail.Errorf(fail.Busy, "somebody else made it anew")
			}
			var now unstructured.Unstructured
			if now.UnmarshalJSON(body) == nil {
				left = strings.Join(now.GetFinalizers(), ", ")
			}
		}
		if r.o.Now().After(deadline) {
			return fail.Errorf(fail.Busy, "it was deleted to be made anew, and is not gone after %s; finalizers: %s", r.o.Ready, left)
		}
		if !sleep(ctx, pause) {
			return context.Cause(ctx)
		}
	}
}

// propagation keeps what an object owns, for its successor to take over, unless that would not know it as its own: a Job counts the pods that
// it made itself, and a selector says what a workload's pods are.
func propagation(want, live *unstructured.Unstructured) metav1.DeletionPropagation {
	selector := func(o *unstructured.Unstructured) any {
		s, _, _ := unstructured.NestedFieldNoCopy(o.Object, "spec", "selector")
		return s
	}
	if live.GetKind() == "Job" || live.GroupVersionKind().Group == "apps" && !reflect.DeepEqual(selector(want), selector(live)) {
		return metav1.DeletePropagationBackground
	}
	return metav1.DeletePropagationOrphan
}
