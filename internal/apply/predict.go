// SPDX-License-Identifier: Apache-2.0

package apply

import (
	"context"
	"strings"

	apierrors "k8s.io/apimachinery/pkg/api/errors"

	"hozon.dev/hozon/internal/fail"
	"hozon.dev/hozon/internal/object"
	"hozon.dev/hozon/internal/report"
)

// stand is the namespace in which a dry run shows the server an object whose own namespace is still to be made: every cluster has it.
const stand = "default"

// predict reports what would come of an object that is not known to exist. If it does not, the server is asked to try: only it knows its schemas, quotas,
// policies, webhooks and what is allocated.
func (r *Run) predict(ctx context.Context, w *work, siblings *siblings) {
	if isNamespace(w) {
		r.predictSpace(ctx, w, siblings)
		return
	}
	if !r.served(w.t) { // its definition comes with the restore
		r.foresee(w)
		return
	}
	if r.madeSpace(w.Step.Target.Namespace) {
		r.predictElsewhere(ctx, w)
		return
	}
	// A look costs the server a fraction of a trial, and mostly answers for many.
	if live, err := siblings.look(ctx, w.Step.Target.Name); err == nil {
		r.meet(ctx, w, live, false)
		return
	}
	r.uninject(ctx, w)
	body, err := w.obj.MarshalJSON()
	if err == nil {
		_, _, err = r.post(ctx, w, body)
	}
	if err == nil {
		r.foresee(w)
		return
	}
	if context.Cause(ctx) != nil {
		return
	}
	live, getErr := siblings.get(ctx, w.Step.Target.Name) // it may be there by now
	switch {
	case getErr == nil:
		r.meet(ctx, w, live, false)
		return
	case fail.Is(err, fail.NotFound): // so is its namespace, of which the restore says so itself
		r.foresee(w)
		return
	}
	if _, err = r.relent(ctx, w, err); err == nil || r.passes(err) {
		r.foresee(w)
		return
	}
	r.fails(w.Job, err)
}

func (r *Run) predictSpace(ctx context.Context, w *work, siblings *siblings) {
	live, err := siblings.get(ctx, w.Step.Target.Name)
	switch {
	case fail.Is(err, fail.NotFound):
		r.foresee(w)
	case err != nil:
		r.outcome(w.Job, report.Failed, message(err), "")
	default:
		r.meet(ctx, w, live, false)
	}
}

// predictElsewhere has the server judge an object in another namespace than its own: in the one that it is a copy of, which has the same
// labels, or in one that every cluster has. Of what it says there, what is wrong with the object itself counts, and what it is refused by, but
// not quotas and limits: those of the copy come after its objects.
func (r *Run) predictElsewhere(ctx context.Context, w *work) {
	moved := *w // its object is not used for anything else
	moved.Step.Target.Namespace = r.standIn(ctx, w)
	moved.obj.SetNamespace(moved.Step.Target.Namespace)
	r.uninject(ctx, &moved)
	body, err := moved.obj.MarshalJSON()
	if err == nil {
		_, _, err = r.post(ctx, &moved, body)
	}
	if err != nil {
		_, err = r.relent(ctx, &moved, err)
		w.warning = moved.warning
	}
	if err == nil || r.passes(err) {
		r.foresee(w)
		return
	}
	likely := moved.Step.Target.Namespace != stand && (admission(err) || strings.Contains(message(err), "violates PodSecurity"))
	if likely || apierrors.IsInvalid(err) && !admission(err) {
		r.fails(w.Job, err)
		return
	}
	r.foresee(w)
}

// standIn is the namespace in which an object is judged whose own is still to be made.
func (r *Run) standIn(ctx context.Context, w *work) string {
	ns := w.Entry.Ref.Namespace
	if ns == w.Step.Target.Namespace {
		return stand
	}
	r.mu.Lock()
	exists, known := r.stands[ns]
	r.mu.Unlock()
	if !known {
		body, err := r.o.Target.Get(ctx, bareNamespace(w.Job).t, "", ns)
		head, _ := object.Scan(body)
		exists = err == nil && !head.Terminating
		r.mu.Lock()
		r.stands[ns] = exists
		r.mu.Unlock()
	}
	if exists {
		return ns
	}
	return stand
}

// foresee reports that an object would be made.
func (r *Run) foresee(w *work) {
	w.tell()
	r.outcome(w.Job, report.Created, "", w.warning)
	switch w.t.Resource {
	case "serviceaccounts", "priorityclasses", "runtimeclasses":
		r.mu.Lock()
		defer r.mu.Unlock()
		r.promised[w.Step.Target.Name] = true
	}
}

// passes reports whether a refusal of a dry run names something that the restore itself would have made by then.
func (r *Run) passes(err error) bool {
	text := message(err)
	r.mu.Lock()
	defer r.mu.Unlock()
	for name := range r.promised {
		if strings.Contains(text, name) && strings.Contains(text, "not found") || strings.Contains(text, "no PriorityClass with name "+name) {
			return true
		}
	}
	return false
}
