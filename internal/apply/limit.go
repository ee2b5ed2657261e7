// SPDX-License-Identifier: Apache-2.0

package apply

import (
	"context"
	"slices"
	"sync"
	"time"
)

const (
	startCalls = 4
	leastCalls = 2
	mostCalls  = 64
	window     = 32 // answers between two looks at the latency

	// The calls that wait in front of the server, by estimate, between which the limit stays as it is. They are what others wait behind, and what keeps a
	// server busy: with 5 to 10 a restore took a sixth longer on two cores, and a neighbour's slowest calls 18 ms instead of 25 (5 alone); see doc/performance.md.
	fewWaiting, manyWaiting = 8.0, 16.0
)

// callKind is what calls have in common that take equally long when nothing is in their way.
type callKind struct{ verb, groupResource string }

// limiter bounds the number of calls under way. A server that has nothing else to do answers in the shortest time that was seen for a
// kind of call; what a call takes longer it has spent waiting for others, ours or somebody else's. Of n calls that each take twice
// the shortest time, half are waiting, and a call of somebody else waits behind them. So the limit grows as long as few wait and falls when many do: where
// the server has room that is many calls, where it has none as many as keep it busy. It is halved when the server refuses.
type limiter struct {
	now   func() time.Time
	fixed bool

	mu       sync.Mutex
	free     *sync.Cond
	limit    int
	busy     int
	best     map[callKind]time.Duration // shortest so far
	shares   []float64                  // of the window: how much of a call's time was not waiting
	full     bool                       // in the window the limit held the run back
	throttle time.Time                  // of the last halving
}

func newLimiter(fixed int, now func() time.Time) *limiter {
	l := &limiter{now: now, limit: startCalls, fixed: fixed > 0, best: map[callKind]time.Duration{}}
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
func (l *limiter) answered(kind callKind, d time.Duration) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.fixed || d <= 0 {
		return
	}
	best, known := l.best[kind]
	if !known || d < best {
		best = d
		l.best[kind] = d
	}
	l.full = l.full || l.busy >= l.limit
	if l.shares = append(l.shares, float64(best)/float64(d)); len(l.shares) < window {
		return
	}
	slices.Sort(l.shares)
	waiting := float64(l.limit) * (1 - l.shares[window/2])
	switch {
	case waiting > manyWaiting:
		l.limit = max(leastCalls, l.limit-max(1, int(waiting-manyWaiting)/2))
	case waiting < fewWaiting && l.full && l.limit < mostCalls:
		l.limit++
		l.free.Signal()
	}
	l.shares, l.full = l.shares[:0], false
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
