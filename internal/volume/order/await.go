// SPDX-License-Identifier: Apache-2.0

package order

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	velerov1 "hozon.dev/hozon/api/velero/v1"
	"hozon.dev/hozon/internal/cluster"
	"hozon.dev/hozon/internal/fail"
)

// change is something that happened in the cluster.
type change[T any] struct {
	order *T
	gone  bool
	agent *cluster.Event
	err   error // nothing can be watched any more
}

// await follows what the agents do until every task is over.
func (r *waiting[T]) await(ctx context.Context) {
	if len(r.open()) == 0 {
		return
	}
	watching, stop := context.WithCancel(context.WithoutCancel(ctx)) // also while what was asked to stop stops
	defer stop()
	changes := make(chan change[T])
	r.follow(watching, changes)
	for _, t := range r.open() {
		t.silent = r.Now()
	}
	ended := ctx.Done()
	for open := r.open(); len(open) > 0; open = r.open() {
		timer := time.NewTimer(max(r.next(open).Sub(r.Now()), time.Millisecond))
		select {
		case c := <-changes:
			r.take(ctx, c)
		case <-timer.C:
			r.overdue(ctx, open)
		case <-ended:
			ended = nil
			for _, t := range open {
				r.stop(ctx, t, context.Cause(ctx))
			}
		}
		timer.Stop()
	}
}

// follow sends on what happens to the backup's volumes and to the agents.
func (r *waiting[T]) follow(ctx context.Context, changes chan<- change[T]) {
	send := func(c change[T]) bool {
		select {
		case changes <- c:
		case <-ctx.Done():
		}
		return ctx.Err() != nil
	}
	go func() {
		err := r.Kind.Follow(ctx, r.Server, r.selector, func(o *T, gone bool) bool { return send(change[T]{order: o, gone: gone}) })
		send(change[T]{err: err})
	}()
	go func() {
		err := r.Server.Cluster.Follow(ctx, podType, r.Server.Namespace, agentSelector, func(e cluster.Event) bool { return send(change[T]{agent: &e}) })
		send(change[T]{err: err})
	}()
}

// take takes note of a change.
func (r *waiting[T]) take(ctx context.Context, c change[T]) {
	switch {
	case c.err != nil:
		for _, t := range r.open() {
			r.finish(t, fmt.Errorf("what became of it cannot be followed: %w", c.err))
		}
	case c.agent != nil:
		r.agentChanged(*c.agent)
	case c.order != nil:
		t := r.byName[meta(c.order).GetName()]
		if t == nil || t.over || meta(t.order).GetUID() != meta(c.order).GetUID() {
			return
		}
		t.order, t.silent = c.order, time.Time{}
		r.judge(t, c.gone)
	}
}

// judge sees how far a task is.
func (r *waiting[T]) judge(t *task[T], gone bool) {
	st := r.Kind.State(t.order)
	switch st.Phase {
	case velerov1.PodVolumeBackupPhaseCompleted:
		r.node(t.node).moved = r.Now()
		r.finish(t, nil)
	case velerov1.PodVolumeBackupPhaseFailed, velerov1.PodVolumeBackupPhaseCanceled:
		r.node(t.node).moved = r.Now()
		err := t.reason
		if err == nil {
			err = errors.New(cmp.Or(st.Message, "the node agent says "+string(st.Phase)+" and no more"))
		}
		r.finish(t, err)
	case velerov1.PodVolumeBackupPhaseInProgress:
		if t.began.IsZero() {
			t.began = r.Now()
			r.node(t.node).moved = t.began
		}
	}
	if gone && !t.over {
		r.finish(t, fail.Errorf(fail.NotFound, "somebody deleted %s %s/%s while it was under way", r.Kind.Kind.Kind, r.Server.Namespace, meta(t.order).GetName()))
	}
}

// never is a time that does not come while a program runs.
const never = 24 * time.Hour

// due is when something has to be done about a task that nobody has heard of until then.
func (r *waiting[T]) due(t *task[T]) time.Time {
	n, due := r.node(t.node), r.Now().Add(never)
	earlier := func(at time.Time) {
		if at.Before(due) {
			due = at
		}
	}
	if !t.ending.IsZero() {
		if t.began.IsZero() {
			return t.ending.Add(idleTime)
		}
		return t.ending.Add(stopTime)
	}
	if !t.silent.IsZero() {
		earlier(t.silent.Add(idleTime))
	}
	if !n.agent {
		earlier(n.lost.Add(r.lost()))
	}
	if r.Timeout > 0 {
		from := t.began
		if from.IsZero() {
			from = n.moved
		}
		earlier(from.Add(r.Timeout))
	}
	return due
}

// next is when something has to be done, at the latest.
func (r *waiting[T]) next(open []*task[T]) time.Time {
	next := r.Now().Add(never)
	for _, t := range open {
		if due := r.due(t); due.Before(next) {
			next = due
		}
	}
	return next
}

// overdue does something about the tasks whose time has come.
func (r *waiting[T]) overdue(ctx context.Context, open []*task[T]) {
	now := r.Now()
	for _, t := range open {
		if r.due(t).After(now) {
			continue
		}
		n := r.node(t.node)
		switch {
		case !t.ending.IsZero():
			r.force(ctx, t)
		case !t.silent.IsZero():
			r.ask(ctx, t)
		case !n.agent:
			t.reason = fail.Errorf(fail.NotFound, "the node agent on node %s has been gone for %s: the node is down, or the agent does not start there", t.node, r.lost())
			r.force(ctx, t)
		case t.began.IsZero():
			r.stop(ctx, t, fail.Errorf(fail.Transient, "the node agent on node %s has begun nothing for %s", t.node, r.Timeout))
		default:
			r.stop(ctx, t, fail.Errorf(fail.Transient, "it took longer than %s: raise --fs-backup-timeout of the server, or give the object the annotation %s", r.Timeout, velerov1.AnnotationPodVolumeTimeout))
		}
	}
}

// ask looks for an order of which nothing was heard: one that somebody deleted before it was followed never will be.
func (r *waiting[T]) ask(ctx context.Context, t *task[T]) {
	t.silent = time.Time{}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), stopTime)
	defer cancel()
	if _, err := r.Kind.Get(ctx, r.Server, meta(t.order).GetName()); fail.Is(err, fail.NotFound) {
		r.judge(t, true)
	}
}

// stop asks the agent to stop.
func (r *waiting[T]) stop(ctx context.Context, t *task[T], reason error) {
	if !t.ending.IsZero() {
		return
	}
	t.ending, t.reason = r.Now(), reason
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), stopTime)
	defer cancel()
	if _, err := r.Kind.Patch(ctx, r.Server, meta(t.order).GetName(), map[string]any{"spec": map[string]any{"cancel": true}}); err != nil {
		r.Log.Warn("a node agent was not asked to stop", "object", meta(t.order).GetName(), "error", err)
	}
}

// force ends a task whose agent does not.
func (r *waiting[T]) force(ctx context.Context, t *task[T]) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), stopTime)
	defer cancel()
	status := map[string]any{
		"phase": velerov1.PodVolumeBackupPhaseFailed, "message": t.reason.Error(), "completionTimestamp": metav1.NewTime(r.Now()),
	}
	ended, err := r.Kind.Patch(ctx, r.Server, meta(t.order).GetName(), map[string]any{"spec": map[string]any{"cancel": true}, "status": status})
	if err != nil {
		r.Log.Warn("the end of an order was not written down", "object", meta(t.order).GetName(), "error", err)
		ended = failed(t.order, status)
	}
	t.order = ended
	r.finish(t, t.reason)
}
