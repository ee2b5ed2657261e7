// SPDX-License-Identifier: Apache-2.0

package apply

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"strconv"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/types"
	utiljson "k8s.io/apimachinery/pkg/util/json"

	velerov1 "hozon.dev/hozon/api/velero/v1"
	"hozon.dev/hozon/internal/cluster"
	"hozon.dev/hozon/internal/fail"
	"hozon.dev/hozon/internal/object"
	"hozon.dev/hozon/internal/plan/rule"
	"hozon.dev/hozon/internal/report"
)

// FieldManager is the manager in whose name the target records our writes.
const FieldManager = "hozon"

const managedFields = "managedFields"

var writeOptions = cluster.WriteOptions{FieldManager: FieldManager, FieldValidation: "Ignore", NoRetry: true}

// work is a job whose object is decoded.
type work struct {
	Job
	t       object.Type
	obj     *unstructured.Unstructured // as it is to be created
	taken   rule.Taken
	fields  []byte // JSON of the saved managedFields; nil: none
	status  any    // to be restored; nil: none
	missing []any  // ownerReferences whose owners are not there yet
	warning string // collected on the way
}

func (w *work) warn(format string, args ...any) {
	if w.warning != "" {
		w.warning += "; "
	}
	w.warning += fmt.Sprintf(format, args...)
}

// tell warns of what one has to know of an object that was made.
func (w *work) tell() {
	for _, text := range w.taken.Created {
		w.warn("%s: %s", w.Step.Target, text)
	}
}

// do brings one object to the target.
func (r *Run) do(ctx context.Context, j Job) {
	w, err := r.prepare(ctx, j)
	if err != nil {
		r.outcome(j, report.Failed, message(err), "")
		return
	}
	if r.waits(w) {
		return
	}
	siblings := r.siblings(w.t, w.Step.Target.Namespace)
	if live, ok := siblings.find(w.Step.Target.Name); ok {
		r.meet(ctx, w, live, false)
		return
	}
	if r.o.DryRun {
		r.predict(ctx, w, siblings)
		return
	}
	if err := r.provision(ctx, w); err != nil {
		if context.Cause(ctx) == nil {
			r.outcome(j, report.Failed, message(err), w.warning)
		}
		return
	}
	r.create(ctx, w, siblings)
}

// provision has the content of a volume made that is not there.
func (r *Run) provision(ctx context.Context, w *work) (err error) {
	if r.o.Provision == nil || w.Entry == nil || w.t.GroupResource() != "persistentvolumes" {
		return nil
	}
	w.obj, err = r.o.Provision(ctx, w.Entry.Ref.Name, w.obj)
	return err
}

// prepare decodes and transforms the job's object.
func (r *Run) prepare(ctx context.Context, j Job) (*work, error) {
	if j.Entry == nil {
		return bareNamespace(j), nil
	}
	w := &work{Job: j, t: object.Type{
		Group: j.Entry.Ref.Group, Version: cmp.Or(j.Step.Convert, j.Entry.Version), Resource: j.Entry.Ref.Resource, Kind: j.Entry.Kind,
		Namespaced: j.Entry.Ref.Namespace != "",
	}}
	body, err := w.takeFields()
	if err != nil {
		return nil, fail.Errorf(fail.Corrupt, "decode %s: %w", j.Entry.Ref, err)
	}
	w.obj = &unstructured.Unstructured{}
	if err := utiljson.Unmarshal(body, &w.obj.Object); err != nil {
		return nil, fail.Errorf(fail.Corrupt, "decode %s: %w", j.Entry.Ref, err)
	}
	env := r.o.Env
	env.Reprovision, env.Convert = j.Step.Reprovision, j.Step.Convert
	env.Argo = bytes.Contains(w.fields, []byte(`"manager":"argocd`))
	if r.o.Modify != nil {
		env.Modify = func(o *unstructured.Unstructured) error { return r.o.Modify(o, j.Entry.Ref) }
	}
	if w.taken, err = rule.Transform(w.obj, env); err != nil {
		return nil, fail.Errorf(fail.Corrupt, "transform %s: %w", j.Entry.Ref, err)
	}
	for _, text := range w.taken.Warnings {
		w.warn("%s: %s", w.Step.Target, text)
	}
	if r.wantsStatus(w) {
		w.status = w.taken.Status
	}
	if j.Step.Owned {
		r.link(ctx, w)
	}
	return w, nil
}

// takeFields puts the saved managedFields aside as they are and returns the body without them: they are often a third of an object, and nobody
// looks into them but the rule for Services.
func (w *work) takeFields() ([]byte, error) {
	body, fields, err := object.SpliceMetadata(w.Body, managedFields, []byte("null"))
	if err != nil {
		return nil, err
	}
	if len(fields) > 0 && fields[0] == '[' && len(bytes.TrimSpace(fields[1:len(fields)-1])) > 0 {
		w.fields = fields
	}
	if w.t.Resource == "services" && w.t.Group == "" {
		return w.Body, nil
	}
	return body, nil
}

func bareNamespace(j Job) *work {
	return &work{
		Job: j, t: object.Type{Version: "v1", Resource: "namespaces", Kind: "Namespace"},
		obj: &unstructured.Unstructured{Object: map[string]any{
			"apiVersion": "v1", "kind": "Namespace", "metadata": map[string]any{"name": j.Step.Target.Name},
		}},
	}
}

// create posts the object. Whether it exists is found out that way.
func (r *Run) create(ctx context.Context, w *work, siblings *siblings) {
	r.uninject(ctx, w)
	unpaused := w.obj.Object["spec"]
	paused := pause(w)
	body, err := w.obj.MarshalJSON()
	if err != nil {
		r.outcome(w.Job, report.Failed, err.Error(), "")
		return
	}
	response, repeated, err := r.post(ctx, w, body)
	if paused {
		w.obj.Object["spec"] = unpaused // what it is compared with, if it exists
		if err == nil {
			r.mu.Lock()
			r.paused = append(r.paused, pausedObject{Warning{Ref: w.Step.Target}, w.t})
			r.mu.Unlock()
		}
	}
	if err == nil {
		r.created(ctx, w, response)
		return
	}
	if context.Cause(ctx) != nil {
		return
	}
	// Admission and allocation come before the name is looked at: whatever the refusal says, the object may be there.
	live, getErr := siblings.get(ctx, w.Step.Target.Name)
	if getErr == nil {
		r.meet(ctx, w, live, repeated)
		return
	}
	if fail.Is(err, fail.Exists) && fail.Is(getErr, fail.NotFound) { // it went away in between
		if response, _, err = r.post(ctx, w, body); err == nil {
			r.created(ctx, w, response)
			return
		}
	}
	if response, err = r.relent(ctx, w, err); err == nil {
		r.created(ctx, w, response)
		return
	}
	r.fails(w.Job, err)
}

// writing are the options of a call that changes something.
func (r *Run) writing() cluster.WriteOptions {
	o := writeOptions
	o.DryRun = r.o.DryRun
	return o
}

// post creates an object. A kind whose definition this run has brought may need a moment until every handler knows it.
func (r *Run) post(ctx context.Context, w *work, body []byte) ([]byte, bool, error) {
	call := func() ([]byte, error) {
		return r.o.Target.Create(ctx, w.t, w.Step.Target.Namespace, body, r.writing())
	}
	response, repeated, err := r.write(ctx, callKind{"create", w.t.GroupResource()}, call)
	for pause := firstPause; fail.Is(err, fail.NotFound) && !r.served(w.t) && pause < 2*longest; pause *= 2 {
		if !sleep(ctx, pause) {
			return nil, repeated, context.Cause(ctx)
		}
		response, repeated, err = r.write(ctx, callKind{"create", w.t.GroupResource()}, call)
	}
	return response, repeated, err
}

func isNamespace(w *work) bool { return w.t.Resource == "namespaces" && w.t.Group == "" }

// created finishes an object that was just made: its status, if asked for, and the saved managedFields.
func (r *Run) created(ctx context.Context, w *work, response []byte) {
	r.finished(ctx, w, response)
	w.tell()
	r.outcome(w.Job, report.Created, "", w.warning)
}

// finished brings an object that was just made to the state that was saved.
func (r *Run) finished(ctx context.Context, w *work, response []byte) {
	if w.status != nil {
		response = r.putStatus(ctx, w, response)
	}
	if w.fields != nil {
		response = r.putManagedFields(ctx, w, response)
	}
	r.note(w, response)
	r.made(w.t, response)
}

// made remembers how new the newest object is of the kind that the stage's barrier watches.
func (r *Run) made(t object.Type, live []byte) {
	if t.GroupResource() != r.watched {
		return
	}
	head, err := object.Scan(live)
	if err != nil {
		return
	}
	version, _ := strconv.ParseUint(head.ResourceVersion, 10, 64) // not a number: nothing to wait for
	r.mu.Lock()
	defer r.mu.Unlock()
	r.newest = max(r.newest, version)
}

// note remembers what others will need of a live object.
func (r *Run) note(w *work, live []byte) {
	head, err := object.Scan(live)
	if err != nil {
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if w.t.Resource == "customresourcedefinitions" {
		r.definitions = append(r.definitions, head.Name)
	}
	if w.Step.Owns && w.taken.UID != "" {
		r.links[w.taken.UID] = head.UID
	}
	if len(w.missing) > 0 {
		_, made := generated(w.Job)
		r.late = append(r.late, lateLink{target: w.Step.Target, t: w.t, owners: w.missing, generated: made})
	}
}

// putManagedFields puts the server's own answer back with only the saved managedFields exchanged. Who owns which field is part of
// the object, but a target that refuses it does not make the object useless: that is a warning.
func (r *Run) putManagedFields(ctx context.Context, w *work, response []byte) []byte {
	name, o := w.Step.Target.Name, r.writing()
	o.Metadata = true // nobody looks at the rest of the answer
	body, _, err := object.SpliceMetadata(response, managedFields, w.fields)
	if err == nil {
		body, _, err = r.write(ctx, callKind{"update", w.t.GroupResource()}, func() ([]byte, error) {
			return r.o.Target.Update(ctx, w.t, w.Step.Target.Namespace, name, body, o)
		})
	}
	if fail.Is(err, fail.Busy) { // a controller was faster
		patch := fmt.Appendf(nil, `{"metadata":{"managedFields":%s}}`, w.fields)
		body, err = r.patch(ctx, w.t, w.Step.Target, patch, "")
	}
	if err != nil {
		if !fail.Is(err, fail.NotFound) {
			w.warn("managedFields of %s not restored: %s", w.Step.Target, message(err))
		}
		return response
	}
	return body
}

func (r *Run) patch(ctx context.Context, t object.Type, ref object.Ref, patch []byte, subresource string) ([]byte, error) {
	o := r.writing()
	o.Subresource = subresource
	body, _, err := r.write(ctx, callKind{"patch", t.GroupResource()}, func() ([]byte, error) {
		return r.o.Target.Patch(ctx, t, ref.Namespace, ref.Name, types.MergePatchType, patch, o)
	})
	return body, err
}

const restoreStatusAnnotation = "velero.io/restore-status"

// wantsStatus reports whether the object's status is to be restored: its annotation decides, else its kind.
func (r *Run) wantsStatus(w *work) bool {
	if w.taken.Status == nil {
		return false
	}
	switch w.obj.GetAnnotations()[restoreStatusAnnotation] {
	case "true":
		return true
	case "false":
		return false
	}
	return r.o.Status != nil && r.o.Status(w.t.Group, w.t.Resource)
}

// putStatus writes the saved status, through the subresource or, where the kind has none, as part of the object.
func (r *Run) putStatus(ctx context.Context, w *work, response []byte) []byte {
	patch, err := json.Marshal(map[string]any{"status": w.status})
	if err == nil {
		var body []byte
		body, err = r.patch(ctx, w.t, w.Step.Target, patch, "status")
		if fail.Is(err, fail.NotFound) {
			body, err = r.patch(ctx, w.t, w.Step.Target, patch, "")
		}
		if err == nil {
			return body
		}
	}
	w.warn("status of %s not restored: %s", w.Step.Target, message(err))
	return response
}

// Labels as a merge patch: the one change that is made to objects that are as they should be.
func labelPatch(env rule.Env) []byte {
	patch, _ := json.Marshal(map[string]any{"metadata": map[string]any{"labels": env.Labels()}})
	return patch
}

// ours reports whether a live object was made by this restore.
func ours(env rule.Env, live *unstructured.Unstructured) bool {
	want := env.Labels()
	return live.GetLabels()[velerov1.LabelRestoreName] == want[velerov1.LabelRestoreName] &&
		live.GetLabels()[velerov1.LabelBackupName] == want[velerov1.LabelBackupName]
}
