// SPDX-License-Identifier: Apache-2.0

package apply

import (
	"cmp"
	"context"
	"fmt"
	"sync"
	"time"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"hozon.dev/hozon/internal/fail"
	"hozon.dev/hozon/internal/report"
)

// heldSpace is a namespace that is being deleted, with what is to be restored into it. It does not keep others waiting: it is
// waited for when all else is done.
type heldSpace struct {
	job   Job // makes the namespace
	since time.Time
	items []int
	stuck string // why it will not be tried again
}

// hold puts a namespace aside until it is gone.
func (r *Run) hold(w *work, body []byte) {
	name := w.Step.Target.Name
	if r.o.DryRun {
		text := fmt.Sprintf("namespace %s is being deleted, and has to be gone first%s", name, blockers(body))
		r.mu.Lock()
		r.held[name] = &heldSpace{stuck: text}
		r.mu.Unlock()
		r.outcome(w.Job, report.Failed, text, "")
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if h := r.held[name]; h == nil {
		r.held[name] = &heldSpace{job: w.Job, since: r.o.Now()}
	}
}

// waits reports whether an object's namespace has to go first, so that its turn comes later, or never.
func (r *Run) waits(w *work) bool {
	r.mu.Lock()
	h := r.held[w.Step.Target.Namespace]
	if w.Step.Target.Namespace == "" || h == nil {
		r.mu.Unlock()
		return false
	}
	stuck := h.stuck
	if stuck == "" {
		h.items = append(h.items, w.Step.Item)
	}
	r.mu.Unlock()
	if stuck != "" {
		r.outcome(w.Job, report.Failed, stuck, "")
	}
	return true
}

// madeSpace reports whether this run has made a namespace, or would.
func (r *Run) madeSpace(namespace string) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.spaces[namespace]
}

// Held waits for the namespaces that had to go first, all at the same time, makes those that did, and returns the items that wait
// for them. The caller feeds these once more, stage by stage: what belongs to a namespace that did not go is reported then.
func (r *Run) Held(ctx context.Context) []int {
	if r.o.DryRun {
		return nil
	}
	r.mu.Lock()
	r.idle, r.final = 0, false
	r.mu.Unlock()
	var wg sync.WaitGroup
	for _, h := range r.held {
		wg.Go(func() { h.stuck = r.await(ctx, h) })
	}
	wg.Wait()
	var items []int
	for name, h := range r.held {
		items = append(items, h.items...)
		h.items = nil
		if h.stuck == "" {
			delete(r.held, name)
			r.do(ctx, h.job)
			continue
		}
		r.outcome(h.job, report.Failed, h.stuck, "")
	}
	return items
}

// await returns why a namespace cannot be made; "" if it is gone.
func (r *Run) await(ctx context.Context, h *heldSpace) string {
	name := h.job.Step.Target.Name
	bound, cancel := context.WithTimeout(ctx, max(r.o.Terminating-r.o.Now().Sub(h.since), time.Millisecond))
	defer cancel()
	blocker := ""
	for {
		body, err := r.o.Target.Get(bound, bareNamespace(h.job).t, "", name)
		if fail.Is(err, fail.NotFound) {
			return ""
		}
		if err == nil {
			var live unstructured.Unstructured
			if err = live.UnmarshalJSON(body); err == nil && live.GetDeletionTimestamp() == nil {
				return "" // somebody else made it
			}
			blocker = cmp.Or(blockers(body), blocker)
			if err == nil {
				err = r.awaitDeletion(bound, bareNamespace(h.job).t, name, live.GetResourceVersion())
			}
		}
		if bound.Err() != nil {
			return fmt.Sprintf("namespace %s is still being deleted after %s%s", name, r.o.Terminating, blocker)
		}
		if err != nil && !sleep(bound, firstPause) {
			return message(err)
		}
	}
}
