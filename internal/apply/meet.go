// SPDX-License-Identifier: Apache-2.0

package apply

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"

	jsonpatch "github.com/evanphx/json-patch/v5"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	utiljson "k8s.io/apimachinery/pkg/util/json"

	velerov1 "hozon.dev/hozon/api/velero/v1"
	"hozon.dev/hozon/internal/fail"
	"hozon.dev/hozon/internal/object"
	"hozon.dev/hozon/internal/plan/rule"
	"hozon.dev/hozon/internal/report"
)

// meet decides about an object that exists. repeated says that it may be our own, made by a call whose answer was lost.
func (r *Run) meet(ctx context.Context, w *work, body []byte, repeated bool) {
	live := &unstructured.Unstructured{}
	if err := utiljson.Unmarshal(body, &live.Object); err != nil {
		r.outcome(w.Job, report.Failed, fmt.Sprintf("decode the existing object: %v", err), "")
		return
	}
	if repeated && ours(r.o.Env, live) {
		r.created(ctx, w, body)
		return
	}
	if live.GetDeletionTimestamp() != nil && isNamespace(w) {
		r.hold(w, body)
		return
	}
	if live.GetDeletionTimestamp() != nil {
		r.fails(w.Job, fail.Errorf(fail.Busy, "it exists and is being deleted"))
		return
	}
	if w.Entry == nil { // a namespace of which nothing is known but its name
		r.outcome(w.Job, report.Unchanged, "", "")
		return
	}
	w.missing = nil // references of existing objects are left alone
	r.note(w, body)
	reason, ofCluster := generated(w.Job)
	if ofCluster && r.madeSpace(w.Step.Target.Namespace) {
		r.companion(ctx, w, live)
		return
	}
	if w.t.Resource == "serviceaccounts" && w.t.Group == "" {
		r.mergeAccount(ctx, w, live)
		return
	}
	if w.t.Resource == "pods" && w.t.Group == "" { // what a mesh puts in is the mesh's
		rule.Uninject(w.obj)
		rule.Uninject(live)
	}
	want := r.desired(ctx, w, live)
	equal, differences := r.same(w, want, live)
	if equal {
		r.unchanged(ctx, w, live)
		return
	}
	if ofCluster {
		r.outcome(w.Job, report.Skipped, "exists in another state: "+reason, w.warning)
		return
	}
	if r.updates() && !held(want, live) {
		if kind := keeper(w, live); kind != "" {
			r.outcome(w.Job, report.Skipped, "exists in another state: its "+kind+" looks after it", w.warning)
			return
		}
		r.update(ctx, w, want, live)
		return
	}
	r.outcome(w.Job, report.Skipped, fmt.Sprintf("exists in another state: %s", differences[0]), r.existsWarning(w))
}

func (r *Run) updates() bool {
	return r.o.Policy == velerov1.PolicyTypeUpdate || r.o.Policy == velerov1.PolicyTypeRecreate
}

// desired is what the live object has to become: the saved state, but for what the target has decided since.
func (r *Run) desired(ctx context.Context, w *work, live *unstructured.Unstructured) *unstructured.Unstructured {
	want := w.obj.DeepCopy()
	rule.Adopt(want, live)
	r.keepScale(ctx, w, want, live)
	return want
}

// same compares as the normalisation says. A status that was asked for counts where it would be written.
func (r *Run) same(w *work, want, live *unstructured.Unstructured) (bool, []object.Difference) {
	if w.status == nil || !r.updates() {
		return object.Same(want, live, object.SameOptions{Max: 1})
	}
	full := &unstructured.Unstructured{Object: maps.Clone(want.Object)}
	full.Object["status"] = w.status
	return object.Same(full, live, object.SameOptions{Status: true, Max: 1})
}

// keeper is the kind of the workload that holds a live pod, and makes it as it wants it.
func keeper(w *work, live *unstructured.Unstructured) string {
	if w.t.Resource != "pods" || w.t.Group != "" {
		return ""
	}
	if owner := metav1.GetControllerOf(live); owner != nil {
		return owner.Kind
	}
	return ""
}

// held reports whether the live object is a volume that another claim holds: no policy takes it away from there.
func held(want, live *unstructured.Unstructured) bool {
	if live.GetKind() != "PersistentVolume" {
		return false
	}
	claim := func(o *unstructured.Unstructured, key string) string {
		s, _, _ := unstructured.NestedString(o.Object, "spec", "claimRef", key)
		return s
	}
	return claim(live, "name") != "" && (claim(live, "name") != claim(want, "name") || claim(live, "namespace") != claim(want, "namespace"))
}

// generated reports whether clusters make the object by themselves, so that the target's own is the right one.
func generated(j Job) (string, bool) {
	if j.Entry == nil {
		return "", false
	}
	head, err := object.Scan(j.Body)
	if err != nil {
		return "", false
	}
	return object.Generated(j.Entry.Ref, head)
}

// existsWarning is Velero's text, which depends on the policy.
func (r *Run) existsWarning(w *work) string {
	format := "could not restore, %s:%s already exists. Warning: the in-cluster version is different than the backed-up version"
	if r.o.Policy == velerov1.PolicyTypeNone {
		format = "could not restore, %s %q already exists. Warning: the in-cluster version is different than the backed-up version"
	}
	return fmt.Sprintf(format, w.obj.GetKind(), w.obj.GetName())
}

// unchanged leaves an object as it is; the policy update gives it the labels of this restore, as Velero does.
func (r *Run) unchanged(ctx context.Context, w *work, live *unstructured.Unstructured) {
	if !r.o.DryRun && r.updates() && !ours(r.o.Env, live) && !isNamespace(w) {
		if _, err := r.patch(ctx, w.t, w.Step.Target, labelPatch(r.o.Env), ""); err != nil {
			w.warn("labels of %s not set: %s", w.Step.Target, message(err))
		}
	}
	r.outcome(w.Job, report.Unchanged, "", w.warning)
}

// update brings an object to its saved state: a merge patch against exactly the state that was read. If the server does not take it
// (an immutable field), the object gets the labels only, and a warning.
func (r *Run) update(ctx context.Context, w *work, want, live *unstructured.Unstructured) {
	for range maxTries {
		patch, err := mergePatch(want, live)
		if err != nil {
			r.outcome(w.Job, report.Failed, err.Error(), "")
			return
		}
		var body []byte
		body, err = r.patch(ctx, w.t, w.Step.Target, patch, "")
		if err == nil {
			if w.status != nil {
				r.putStatus(ctx, w, body)
			}
			r.outcome(w.Job, report.Updated, "", w.warning)
			return
		}
		if !fail.Is(err, fail.Busy) {
			r.updateFailed(ctx, w, live, err)
			return
		}
		// Somebody changed it since: look again.
		if body, err = r.o.Target.Get(ctx, w.t, w.Step.Target.Namespace, w.Step.Target.Name); err != nil {
			r.fails(w.Job, err)
			return
		}
		live = &unstructured.Unstructured{}
		if err := utiljson.Unmarshal(body, &live.Object); err != nil {
			r.outcome(w.Job, report.Failed, err.Error(), "")
			return
		}
		want = r.desired(ctx, w, live)
	}
	r.fails(w.Job, fail.Errorf(fail.Busy, "it keeps changing"))
}

func (r *Run) updateFailed(ctx context.Context, w *work, live *unstructured.Unstructured, err error) {
	if !fail.Is(err, fail.Invalid) || admission(err) {
		r.fails(w.Job, err)
		return
	}
	if r.o.Policy == velerov1.PolicyTypeRecreate {
		r.recreate(ctx, w, live, err)
		return
	}
	r.leave(ctx, w, err)
}

// leave gives an object that cannot be changed the labels only, and a warning.
func (r *Run) leave(ctx context.Context, w *work, err error) {
	w.warn("could not update %s: %s", w.Step.Target, message(err))
	if _, err := r.patch(ctx, w.t, w.Step.Target, labelPatch(r.o.Env), ""); err != nil {
		w.warn("labels of %s not set: %s", w.Step.Target, message(err))
	}
	r.outcome(w.Job, report.Skipped, "exists in a state that cannot be changed into the saved one", w.warning)
}

// mergePatch leads from live to want, and holds only for the state of live.
func mergePatch(want, live *unstructured.Unstructured) ([]byte, error) {
	from, err := live.MarshalJSON()
	if err != nil {
		return nil, err
	}
	to, err := want.MarshalJSON()
	if err != nil {
		return nil, err
	}
	raw, err := jsonpatch.CreateMergePatch(from, to)
	if err != nil {
		return nil, fmt.Errorf("compare with the existing object: %w", err)
	}
	var patch map[string]any
	if err := utiljson.Unmarshal(raw, &patch); err != nil {
		return nil, err
	}
	metadata, _ := patch["metadata"].(map[string]any)
	if metadata == nil {
		metadata = map[string]any{}
		patch["metadata"] = metadata
	}
	metadata["resourceVersion"] = live.GetResourceVersion()
	return json.Marshal(patch)
}

// mergeAccount adds what the saved service account has to the live one, whatever the policy: the target's own additions stay.
func (r *Run) mergeAccount(ctx context.Context, w *work, live *unstructured.Unstructured) {
	patch := accountPatch(w, live, r.o.Env)
	if patch == nil {
		r.outcome(w.Job, report.Unchanged, "", w.warning)
		return
	}
	if _, err := r.patch(ctx, w.t, w.Step.Target, patch, ""); err != nil {
		r.fails(w.Job, err)
		return
	}
	r.outcome(w.Job, report.Updated, "", w.warning)
}

// accountPatch is what the live service account lacks of the saved one; nil if nothing.
func accountPatch(w *work, live *unstructured.Unstructured, env rule.Env) []byte {
	patch := map[string]any{}
	for _, key := range []string{"secrets", "imagePullSecrets"} {
		if merged, more := mergeNamed(live.Object[key], w.obj.Object[key]); more {
			patch[key] = merged
		}
	}
	metadata := map[string]any{}
	labels := w.obj.GetLabels()
	for key := range env.Labels() {
		delete(labels, key)
	}
	addMissing(metadata, "labels", live.GetLabels(), labels)
	addMissing(metadata, "annotations", live.GetAnnotations(), w.obj.GetAnnotations())
	if len(metadata) == 0 && len(patch) == 0 {
		return nil
	}
	metadata["resourceVersion"] = live.GetResourceVersion()
	patch["metadata"] = metadata
	body, _ := json.Marshal(patch) // it was made of JSON
	return body
}

// mergeNamed appends the references of saved that live does not have.
func mergeNamed(live, saved any) (merged []any, more bool) {
	merged, _ = live.([]any)
	have := map[any]bool{}
	for _, e := range merged {
		m, _ := e.(map[string]any)
		have[m["name"]] = true
	}
	list, _ := saved.([]any)
	for _, e := range list {
		if m, ok := e.(map[string]any); ok && !have[m["name"]] {
			merged, more = append(merged, e), true
		}
	}
	return merged, more
}

// addMissing puts what saved has and live lacks under key.
func addMissing(to map[string]any, key string, live, saved map[string]string) {
	added := map[string]any{}
	for k, v := range saved {
		if _, ok := live[k]; !ok {
			added[k] = v
		}
	}
	if len(added) > 0 {
		to[key] = added
	}
}
