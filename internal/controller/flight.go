// SPDX-License-Identifier: Apache-2.0

package controller

import (
	"context"
	"errors"
	"sync"

	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/event"
)

// errCancelled is the cause of the end of a flight that the user cancelled.
var errCancelled = errors.New("cancelled by the user")

// Flights are the runs that this process is carrying out. It is a runnable of the manager: flights live as long as the leadership.
type Flights struct {
	// Ended gets the object of each flight that is over.
	Ended chan event.GenericEvent

	jobs chan job
	mu   sync.Mutex
	air  map[types.UID]context.CancelCauseFunc // nil: taken, not yet begun
}

type job struct {
	object client.Object
	fly    func(context.Context)
}

// NewFlights returns flights of which none is under way.
func NewFlights() *Flights {
	return &Flights{Ended: make(chan event.GenericEvent), jobs: make(chan job), air: map[types.UID]context.CancelCauseFunc{}}
}

// Start carries out flights until ctx ends, and returns when all are down.
func (f *Flights) Start(ctx context.Context) error {
	var all sync.WaitGroup
	defer all.Wait()
	for {
		select {
		case <-ctx.Done():
			return nil
		case j := <-f.jobs:
			all.Go(func() { f.fly(ctx, j) })
		}
	}
}

// NeedLeaderElection makes the manager start flights with the leadership.
func (f *Flights) NeedLeaderElection() bool { return true }

func (f *Flights) fly(ctx context.Context, j job) {
	uid := j.object.GetUID()
	work, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	f.mu.Lock()
	f.air[uid] = cancel
	f.mu.Unlock()
	j.fly(work)
	f.mu.Lock()
	delete(f.air, uid)
	f.mu.Unlock()
	select {
	case f.Ended <- event.GenericEvent{Object: j.object}:
	case <-ctx.Done():
	}
}

// launch begins a flight for an object, unless there is one, and returns at once.
func (f *Flights) launch(ctx context.Context, o client.Object, fly func(context.Context)) {
	f.mu.Lock()
	_, taken := f.air[o.GetUID()]
	if !taken {
		f.air[o.GetUID()] = nil
	}
	f.mu.Unlock()
	if taken {
		return
	}
	select {
	case f.jobs <- job{o, fly}:
	case <-ctx.Done():
	}
}

func (f *Flights) has(o client.Object) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	_, ok := f.air[o.GetUID()]
	return ok
}

// cancel ends a flight. It is in order to call it again.
func (f *Flights) cancel(o client.Object, cause error) {
	f.mu.Lock()
	end := f.air[o.GetUID()]
	f.mu.Unlock()
	if end != nil {
		end(cause)
	}
}
