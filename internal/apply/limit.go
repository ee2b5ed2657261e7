// SPDX-License-Identifier: Apache-2.0

package apply

import (
	"context"
	"slices"
	"sync"
	"time"
)

const (
	startCalls = 8
	mostCalls  = 64
	window     = 64 // answers between two looks at the latency
)

// limiter bounds the number of calls under way: one more after each window of fast answers, fewer when they take three
// times as long as they did at best, half when the server refuses (additive increase, multiplicative decrease).
type limiter struct {
	now   func() time.Time
	fixed bool

	mu       sync.Mutex
	free     *sync.Cond
	limit    int
	busy     int
	times    []time.Duration // of the window
	best     time.Duration   // lowest 95th percentile of a window so far
	answers  int             // since the limit grew
	throttle time.Time       // of the last halving
}

func newLimiter(fixed int, now func() time.Time) *limiter {
	l := &limiter{now: now, limit: startCalls, fixed: fixed > 0}
	if l.fixed {
		l.limit = fixed
	}
	l.free = sync.NewCond(&l.mu)
	return l
}

// acquire waits until one more job may be under way.
func (l *limiter) acquire(ctx context.Context) error {
	stop := context.AfterFunc(ctx, func() {
		l.mu.Lock()
		defer l.mu.Unlock()
		l.free.Broadcast()
	})
	defer stop()
	l.mu.Lock()
	defer l.mu.Unlock()
	for l.busy >= l.limit && ctx.Err() == nil {
		l.free.Wait()
	}
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	l.busy++
	return nil
}

func (l *limiter) release() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.busy--
	l.free.Signal()
}

// answered takes note of how long the server took for a call.
func (l *limiter) answered(d time.Duration) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.fixed {
		return
	}
	if l.answers++; l.answers >= l.limit {
		l.answers = 0
		l.grow()
	}
	if l.times = append(l.times, d); len(l.times) < window {
		return
	}
	slices.Sort(l.times)
	p95 := l.times[window*95/100]
	l.times = l.times[:0]
	if l.best == 0 || p95 < l.best {
		l.best = p95
	}
	if p95 > 3*l.best {
		l.limit = max(startCalls/2, l.limit*3/4)
	}
}

// grow lets one more call under way, if the limit is what holds the run back.
func (l *limiter) grow() {
	if l.busy >= l.limit && l.limit < mostCalls {
		l.limit++
		l.free.Signal()
	}
}

// refused halves the limit, at most once in the time that calls under way need to come back.
func (l *limiter) refused() {
	l.mu.Lock()
	defer l.mu.Unlock()
	if now := l.now(); !l.fixed && now.Sub(l.throttle) > 500*time.Millisecond {
		l.throttle = now
		l.limit = max(1, l.limit/2)
	}
}
