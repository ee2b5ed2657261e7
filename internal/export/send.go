// SPDX-License-Identifier: Apache-2.0

package export

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/types"
	utiljson "k8s.io/apimachinery/pkg/util/json"

	"hozon.dev/hozon/internal/apply"
	"hozon.dev/hozon/internal/cluster"
	"hozon.dev/hozon/internal/fail"
	"hozon.dev/hozon/internal/object"
	"hozon.dev/hozon/internal/plan"
	"hozon.dev/hozon/internal/report"
)

// typeOf is the type of a step's object.
func (r *importing) typeOf(s plan.Step) object.Type {
	if s.Item < 0 {
		return namespaceType
	}
	return r.jobs[s.Item].t
}

// send applies the manifest of a step on the server, or with dry asks what would come of it.
func (r *importing) send(ctx context.Context, s plan.Step, dry bool) outcome {
	t, ref := r.typeOf(s), s.Target
	live, err := r.Target.Get(ctx, t, ref.Namespace, ref.Name)
	switch {
	case err == nil && s.Item < 0, fail.Is(err, fail.Denied) && s.Item < 0:
		return outcome{silent: true} // a namespace that nobody said anything about is there
	case fail.Is(err, fail.NotFound), fail.Is(err, fail.Denied):
		live = nil
	case err != nil:
		return r.failed(s, err)
	}
	if head, err := object.Scan(live); live != nil && err == nil && head.Terminating {
		return r.failed(s, fail.Errorf(fail.Busy, "it exists and is being deleted"))
	}
	body, err := r.body(s)
	if err != nil {
		return r.failed(s, fail.As(fail.Invalid, err))
	}
	options := cluster.WriteOptions{DryRun: dry || live != nil, FieldManager: apply.FieldManager, FieldValidation: "Strict", Force: r.o.Force}
	got, err := r.Target.Patch(ctx, t, ref.Namespace, ref.Name, types.ApplyPatchType, body, options)
	if err != nil {
		return r.failed(s, err)
	}
	if live == nil {
		return outcome{item: r.item(s, report.Created, "")}
	}
	action, identical, err := compare(live, got)
	if err == nil && !identical && !dry {
		options.DryRun = false
		_, err = r.Target.Patch(ctx, t, ref.Namespace, ref.Name, types.ApplyPatchType, body, options)
	}
	if err != nil {
		return r.failed(s, err)
	}
	return outcome{item: r.item(s, action, "")}
}

// compare says whether the object became another one, and whether it stayed the same to the last field. What stays is not written:
// the server writes some kinds once more even then (seen of claims), and all would wake who watches them.
func compare(before, after []byte) (action report.Action, identical bool, err error) {
	a, b := &unstructured.Unstructured{}, &unstructured.Unstructured{}
	if err := errors.Join(utiljson.Unmarshal(before, &a.Object), utiljson.Unmarshal(after, &b.Object)); err != nil {
		return report.Failed, false, err
	}
	action = report.Updated
	if same, _ := object.Same(a, b, object.SameOptions{Max: 1}); same {
		action = report.Unchanged
	}
	for _, o := range []*unstructured.Unstructured{a, b} {
		o.SetResourceVersion("")
		fields := o.GetManagedFields()
		for i := range fields {
			fields[i].Time = nil
		}
		o.SetManagedFields(fields)
	}
	return action, len(object.Differences(a, b, object.SameOptions{Max: 1})) == 0, nil
}

func (r *importing) failed(s plan.Step, err error) outcome {
	return outcome{item: r.item(s, report.Failed, r.where(s)+message(err)), passing: passing(err)}
}

// passing reports whether an error may pass when more of the project is there. A field that the schema does not have, which server-side apply
// answers with a fault of its own, stays unknown.
func passing(err error) bool {
	return !fail.Is(err, fail.Invalid) && !conflict(err) && !strings.Contains(err.Error(), "typed patch object")
}

// conflict reports whether another manager holds fields that the manifest sets.
func conflict(err error) bool {
	var status *apierrors.StatusError
	if !errors.As(err, &status) || status.ErrStatus.Reason != metav1.StatusReasonConflict || status.ErrStatus.Details == nil {
		return false
	}
	for _, c := range status.ErrStatus.Details.Causes {
		if c.Type == metav1.CauseTypeFieldManagerConflict {
			return true
		}
	}
	return false
}

// message is what the server said; of a conflict, which fields and who holds them.
func message(err error) string {
	var status *apierrors.StatusError
	if !errors.As(err, &status) || status.ErrStatus.Message == "" {
		return err.Error()
	}
	if !conflict(err) {
		return status.ErrStatus.Message
	}
	var fields []string
	for _, c := range status.ErrStatus.Details.Causes {
		fields = append(fields, fmt.Sprintf("%s (%s)", c.Field, c.Message))
	}
	return "other managers hold these fields; --force-conflicts takes them over: " + strings.Join(fields, ", ")
}

// ask finds out what the server would say to every step.
func (r *importing) ask(ctx context.Context) ([]report.Item, error) {
	var items []report.Item
	for i := range r.plan.Stages {
		found, err := r.each(ctx, slices.Collect(r.plan.Stages[i].Steps()), r.askOne)
		if err != nil {
			return nil, err
		}
		for _, o := range found {
			if !o.silent {
				items = append(items, o.item)
			}
		}
	}
	return items, nil
}

// askOne asks about one step. Of objects in a namespace that does not exist yet the server is asked as if they came into the namespace
// default: then only that a manifest is invalid counts. Of a kind that is not defined yet it cannot be asked.
func (r *importing) askOne(ctx context.Context, s plan.Step) outcome {
	t := r.typeOf(s)
	if !r.served(t) {
		return outcome{item: r.item(s, report.Created, "the server does not have this kind yet, so it could not be asked")}
	}
	if isNamespace(s.Target) && r.absent[s.Target.Name] || !r.absent[s.Target.Namespace] {
		return r.send(ctx, s, true)
	}
	body, err := r.body(s)
	if err == nil {
		body, err = standIn(body)
	}
	if err != nil {
		return r.failed(s, fail.As(fail.Invalid, err))
	}
	_, err = r.Target.Create(ctx, t, "default", body, cluster.WriteOptions{DryRun: true, FieldManager: apply.FieldManager, FieldValidation: "Strict"})
	if fail.Is(err, fail.Invalid) {
		return r.failed(s, err)
	}
	return outcome{item: r.item(s, report.Created, "")}
}

func standIn(body []byte) ([]byte, error) {
	u := &unstructured.Unstructured{}
	if err := utiljson.Unmarshal(body, &u.Object); err != nil {
		return nil, err
	}
	u.SetNamespace("default")
	return u.MarshalJSON()
}

// served reports whether the server had the kind when the run began.
func (r *importing) served(t object.Type) bool {
	for _, s := range r.types {
		if s.Group == t.Group && s.Version == t.Version && s.Resource == t.Resource {
			return true
		}
	}
	return false
}
