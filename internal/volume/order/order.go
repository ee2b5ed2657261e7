// SPDX-License-Identifier: Apache-2.0

// Package order follows what node agents are asked to do, PodVolumeBackups and PodVolumeRestores, until each has come to its end.
//
// Its nouns: an order is one of these objects; a Desk is who waits for orders of one kind; an agent is the node agent of a node.
//
// Invariants:
//   - each order comes to an end of its own: what goes wrong with one, or with its node, is told of it and ends no other;
//   - nothing is asked again and again: changes are watched. A bound counts from the moment at which work on an order was seen to begin, or, before that, work on
//     any other of its node: waiting for one's turn is not held against an order;
//   - when Await returns, no order is under way, unless the API server could not be reached.
package order

import (
	"context"
	"encoding/json"
	"log/slog"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	velerov1 "hozon.dev/hozon/api/velero/v1"
	"hozon.dev/hozon/internal/velero"
)

// Kind is one of the two kinds of orders.
type Kind[T any] struct {
	velero.Kind[T]
	State func(*T) State
}

// State is what counts of an order.
type State struct {
	Phase   velerov1.PodVolumeBackupPhase // restores have the same ones
	Message string
}

// The kinds of orders.
var (
	Backups = Kind[velerov1.PodVolumeBackup]{velero.VolumeBackups, func(o *velerov1.PodVolumeBackup) State { return State{o.Status.Phase, o.Status.Message} }}
	// Restores of volumes.
	Restores = Kind[velerov1.PodVolumeRestore]{velero.VolumeRestores, func(o *velerov1.PodVolumeRestore) State {
		return State{velerov1.PodVolumeBackupPhase(o.Status.Phase), o.Status.Message}
	}}
)

// Desk waits for orders. Its fields are set before the first use and not changed.
type Desk[T any] struct {
	Kind   Kind[T]
	Server velero.Client
	Now    func() time.Time
	Log    *slog.Logger
	// Timeout bounds the time from the beginning of the work on an order to its end; 0: there is no bound.
	Timeout time.Duration
	// Lost is how long a node may be without an agent while orders of it are under way; 0: two minutes.
	Lost time.Duration
}

// The defaults of a Desk, and how long an agent is given to stop what it was asked to stop, or has not begun.
const (
	defaultLost = 2 * time.Minute
	stopTime    = 30 * time.Second
	idleTime    = 5 * time.Second
)

func (d *Desk[T]) lost() time.Duration {
	if d.Lost > 0 {
		return d.Lost
	}
	return defaultLost
}

// Order is one that was given, and the node whose agent has it.
type Order[T any] struct {
	Object *T
	Node   string
}

// Await waits until every order has come to its end, and tells done of each, one at a time: how it ended, and why it did not succeed. All of them have the labels of
// selector. When ctx ends they are stopped, and its cause is why.
func (d *Desk[T]) Await(ctx context.Context, selector string, given []Order[T], done func(i int, o *T, err error)) {
	r := d.waiting(selector, given, done)
	r.await(ctx)
}

// Stop ends orders that nobody waits for any more, and returns how each ended.
func (d *Desk[T]) Stop(ctx context.Context, selector string, given []Order[T], reason error) []*T {
	ended := make([]*T, len(given))
	r := d.waiting(selector, given, func(i int, o *T, _ error) { ended[i] = o })
	for _, t := range r.tasks {
		if r.judge(t, false); !t.over {
			r.stop(ctx, t, reason)
		}
	}
	r.await(ctx)
	return ended
}

func (d *Desk[T]) waiting(selector string, given []Order[T], done func(int, *T, error)) *waiting[T] {
	r := &waiting[T]{Desk: d, selector: selector, tell: done, byName: map[string]*task[T]{}, nodes: map[string]*node{}}
	for i, o := range given {
		t := &task[T]{i: i, order: o.Object, node: o.Node}
		r.tasks = append(r.tasks, t)
		r.byName[meta(o.Object).GetName()] = t
	}
	return r
}

// task is one order that is waited for.
type task[T any] struct {
	i      int
	order  *T // as it was last seen
	node   string
	over   bool      // done was told
	silent time.Time // since when it is followed, and nothing was heard of it; zero: something was
	began  time.Time // when the work was seen to begin; zero: it has not
	ending time.Time // when the agent was asked to stop; zero: it was not
	reason error     // why it was
}

// node is what is known of a node.
type node struct {
	agent bool      // is there and ready
	lost  time.Time // since when it is not
	moved time.Time // when the work on some order there was last seen to get on
}

// waiting is the state of one Await.
type waiting[T any] struct {
	*Desk[T]
	selector string
	tell     func(int, *T, error)
	tasks    []*task[T]
	byName   map[string]*task[T]
	nodes    map[string]*node
}

// node is that of a name. Until something else is heard its agent is taken to be there: who gives orders has looked.
func (r *waiting[T]) node(name string) *node {
	if r.nodes[name] == nil {
		r.nodes[name] = &node{agent: true, moved: r.Now()}
	}
	return r.nodes[name]
}

// finish tells of the end of a task, once.
func (r *waiting[T]) finish(t *task[T], err error) {
	if !t.over {
		t.over = true
		r.tell(t.i, t.order, err)
	}
}

// open are the tasks that are not over.
func (r *waiting[T]) open() []*task[T] {
	var out []*task[T]
	for _, t := range r.tasks {
		if !t.over {
			out = append(out, t)
		}
	}
	return out
}

// meta is the metadata of an order: every kind has it.
func meta(order any) metav1.Object { return order.(metav1.Object) }

// failed is o with an end that could not be written down.
func failed[T any](o *T, status map[string]any) *T {
	text, err := json.Marshal(map[string]any{"status": status})
	if err == nil {
		_ = json.Unmarshal(text, o) // what was just encoded
	}
	return o
}
