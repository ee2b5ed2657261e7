// SPDX-License-Identifier: Apache-2.0

package agent

import (
	"context"
	"errors"
	"slices"
	"sync"

	"k8s.io/apimachinery/pkg/types"
)

// The causes of the end of a task's context.
var (
	errCancelled = errors.New("it was cancelled")
	errGone      = errors.New("its object was deleted")
	errPodGone   = errors.New("the pod has ended meanwhile, or was replaced by another one of its name")
)

// task is what is done for one object.
type task struct {
	uid   types.UID
	of    string                          // what the object is called, of the same kind; see stopNamed
	alone bool                            // nothing else runs beside it: an agent has died of it, or beside it
	do    func(ctx, life context.Context) // life ends with the process, ctx also when the task is called off

	cancel context.CancelCauseFunc // nil: it waits
}

// desk gives tasks their turn, in the order in which they came. It is a runnable of the manager: tasks live as long as the process.
type desk struct {
	limit int
	wake  chan struct{} // holds one

	mu      sync.Mutex
	waiting []*task
	running []*task
}

func newDesk(limit int) *desk { return &desk{limit: limit, wake: make(chan struct{}, 1)} }

// Start lets tasks run until ctx ends, and returns when none runs.
func (d *desk) Start(ctx context.Context) error {
	var all sync.WaitGroup
	defer all.Wait()
	for {
		for t := d.next(); t != nil; t = d.next() {
			work, cancel := context.WithCancelCause(ctx)
			d.begin(t, cancel)
			all.Go(func() {
				t.do(work, ctx)
				cancel(nil)
				d.end(t)
			})
		}
		select {
		case <-ctx.Done():
			return nil
		case <-d.wake:
		}
	}
}

// next is the task whose turn it is; nil if none may run beside those that do.
func (d *desk) next() *task {
	d.mu.Lock()
	defer d.mu.Unlock()
	if len(d.waiting) == 0 || !d.free(d.waiting[0]) {
		return nil
	}
	return d.waiting[0]
}

// begin counts a task as running, unless it was called off since next: then its context has ended.
func (d *desk) begin(t *task, cancel context.CancelCauseFunc) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if len(d.waiting) == 0 || d.waiting[0] != t {
		cancel(errCancelled)
	}
	d.waiting = slices.DeleteFunc(d.waiting, func(o *task) bool { return o == t })
	d.running = append(d.running, t)
	t.cancel = cancel
}

func (d *desk) end(t *task) {
	d.mu.Lock()
	d.running = slices.DeleteFunc(d.running, func(o *task) bool { return o == t })
	d.mu.Unlock()
	d.look()
}

// look makes Start look at what waits.
func (d *desk) look() {
	select {
	case d.wake <- struct{}{}:
	default:
	}
}

// submit takes a task, unless there is one for the object. It says whether the task has to wait.
func (d *desk) submit(t *task) (waits bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.find(t.uid) != nil {
		return false
	}
	waits = len(d.waiting) > 0 || !d.free(t)
	d.waiting = append(d.waiting, t)
	d.look()
	return waits
}

func (d *desk) free(t *task) bool {
	if len(d.running) == 0 {
		return true
	}
	return !t.alone && !d.running[0].alone && len(d.running) < d.limit
}

// has says whether there is a task for the object.
func (d *desk) has(uid types.UID) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.find(uid) != nil
}

// stop calls a task off. It says whether the task runs: then it writes down itself what became of it.
func (d *desk) stop(uid types.UID, cause error) (runs bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.drop(d.find(uid), cause)
}

// stopNamed is stop for an object that is not there any more.
func (d *desk) stopNamed(of string, cause error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, t := range slices.Concat(d.running, d.waiting) {
		if t.of == of {
			d.drop(t, cause)
		}
	}
}

func (d *desk) drop(t *task, cause error) (runs bool) {
	if t == nil {
		return false
	}
	if t.cancel != nil {
		t.cancel(cause)
		return true
	}
	d.waiting = slices.DeleteFunc(d.waiting, func(o *task) bool { return o == t })
	d.look()
	return false
}

func (d *desk) find(uid types.UID) *task {
	for _, list := range [][]*task{d.running, d.waiting} {
		if i := slices.IndexFunc(list, func(t *task) bool { return t.uid == uid }); i >= 0 {
			return list[i]
		}
	}
	return nil
}

// load is how many tasks run and wait.
func (d *desk) load() (running, waiting int) {
	d.mu.Lock()
	defer d.mu.Unlock()
	return len(d.running), len(d.waiting)
}
