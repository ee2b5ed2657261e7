// SPDX-License-Identifier: Apache-2.0

package save

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
	"hozon.dev/hozon/internal/velero"
)

// change is something that happened in the cluster.
type change struct {
	backup *velerov1.PodVolumeBackup
	gone   bool
	agent  *cluster.Event
	err    error // nothing can be watched any more
}

// await follows what the agents do until every task is over.
func (r *saving) await(ctx context.Context) {
	if len(r.open()) == 0 {
		return
	}
	watching, stop := context.WithCancel(context.WithoutCancel(ctx)) // also while what was asked to stop stops
	defer stop()
	changes := make(chan change)
	r.follow(watching, changes)
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
func (r *saving) follow(ctx context.Context, changes chan<- change) {
	send := func(c change) bool {
		select {
		case changes <- c:
		case <-ctx.Done():
		}
		return ctx.Err() != nil
	}
	selector := velerov1.LabelBackupUID + "=" + r.tasks[0].backup.Labels[velerov1.LabelBackupUID]
	go func() {
		err := velero.VolumeBackups.Follow(ctx, r.Server, selector, func(b *velerov1.PodVolumeBackup, gone bool) bool { return send(change{backup: b, gone: gone}) })
		send(change{err: err})
	}()
	go func() {
		err := r.Server.Cluster.Follow(ctx, podType, r.Server.Namespace, agentSelector, func(e cluster.Event) bool { return send(change{agent: &e}) })
		send(change{err: err})
	}()
}

// take takes note of a change.
func (r *saving) take(ctx context.Context, c change) {
	switch {
	case c.err != nil:
		for _, t := range r.open() {
			r.finish(t, fmt.Errorf("what became of it cannot be followed: %w", c.err))
		}
	case c.agent != nil:
		r.agentChanged(*c.agent)
	case c.backup != nil:
		t := r.byName[c.backup.Name]
		if t == nil || t.over || t.backup.UID != c.backup.UID {
			return
		}
		t.backup = c.backup
		r.judge(t, c.gone)
	}
}

// judge sees how far a task is.
func (r *saving) judge(t *task, gone bool) {
	st := t.backup.Status
	switch st.Phase {
	case velerov1.PodVolumeBackupPhaseCompleted:
		r.node(t.backup.Spec.Node).moved = r.Now()
		r.finish(t, nil)
	case velerov1.PodVolumeBackupPhaseFailed, velerov1.PodVolumeBackupPhaseCanceled:
		r.node(t.backup.Spec.Node).moved = r.Now()
		err := t.reason
		if err == nil {
			err = errors.New(cmp.Or(st.Message, "the node agent says "+string(st.Phase)+" and no more"))
		}
		r.finish(t, err)
	case velerov1.PodVolumeBackupPhaseInProgress:
		if t.began.IsZero() {
			t.began = r.Now()
			r.node(t.backup.Spec.Node).moved = t.began
		}
	}
	if gone && !t.over {
		r.finish(t, fail.Errorf(fail.NotFound, "somebody deleted PodVolumeBackup %s/%s while it was under way", t.backup.Namespace, t.backup.Name))
	}
}

// never is a time that does not come while a program runs.
const never = 24 * time.Hour

// due is when something has to be done about a task that nobody has heard of until then.
func (r *saving) due(t *task) time.Time {
	n, due := r.node(t.backup.Spec.Node), r.Now().Add(never)
	earlier := func(at time.Time) {
		if at.Before(due) {
			due = at
		}
	}
	if !t.ending.IsZero() {
		return t.ending.Add(stopTime)
	}
	if !n.agent {
		earlier(n.lost.Add(or(r.Lost, defaultLost)))
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
func (r *saving) next(open []*task) time.Time {
	next := r.Now().Add(never)
	for _, t := range open {
		if due := r.due(t); due.Before(next) {
			next = due
		}
	}
	return next
}

// overdue does something about the tasks whose time has come.
func (r *saving) overdue(ctx context.Context, open []*task) {
	now := r.Now()
	for _, t := range open {
		if r.due(t).After(now) {
			continue
		}
		n := r.node(t.backup.Spec.Node)
		switch {
		case !t.ending.IsZero():
			r.force(ctx, t)
		case !n.agent:
			t.reason = fail.Errorf(fail.NotFound, "the node agent on node %s has been gone for %s: the node is down, or the agent does not start there", t.backup.Spec.Node, or(r.Lost, defaultLost))
			r.force(ctx, t)
		case t.began.IsZero():
			r.stop(ctx, t, fail.Errorf(fail.Transient, "the node agent on node %s has begun nothing for %s", t.backup.Spec.Node, r.Timeout))
		default:
			r.stop(ctx, t, fail.Errorf(fail.Transient, "it took longer than %s: raise --fs-backup-timeout of the server, or give the backup the annotation %s", r.Timeout, velerov1.AnnotationPodVolumeTimeout))
		}
	}
}

// stop asks the agent to stop.
func (r *saving) stop(ctx context.Context, t *task, reason error) {
	if !t.ending.IsZero() {
		return
	}
	t.ending, t.reason = r.Now(), reason
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), stopTime)
	defer cancel()
	if _, err := velero.VolumeBackups.Patch(ctx, r.Server, t.backup.Name, map[string]any{"spec": map[string]any{"cancel": true}}); err != nil {
		r.Log.Warn("a volume's backup was not asked to stop", "podVolumeBackup", t.backup.Name, "error", err)
	}
}

// force ends a task whose agent does not.
func (r *saving) force(ctx context.Context, t *task) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), stopTime)
	defer cancel()
	made, err := velero.VolumeBackups.Patch(ctx, r.Server, t.backup.Name, map[string]any{
		"spec": map[string]any{"cancel": true},
		"status": map[string]any{
			"phase": velerov1.PodVolumeBackupPhaseFailed, "message": t.reason.Error(), "completionTimestamp": metav1.NewTime(r.Now()),
		},
	})
	if err != nil {
		r.Log.Warn("the end of a volume's backup was not written down", "podVolumeBackup", t.backup.Name, "error", err)
		t.backup.Status.Phase, t.backup.Status.Message = velerov1.PodVolumeBackupPhaseFailed, t.reason.Error()
	} else {
		t.backup = made
	}
	r.finish(t, t.reason)
}
