// SPDX-License-Identifier: Apache-2.0

package apply

import (
	"context"
	"testing"
	"time"
)

var creates = callKind{"create", "pods"}

// drive lets calls be answered while all places are taken, after what server says for that number of calls.
func drive(t *testing.T, l *limiter, calls int, server func(busy int) time.Duration) {
	t.Helper()
	for range calls {
		for l.busy < l.limit {
			if err := l.acquire(t.Context()); err != nil {
				t.Fatal(err)
			}
		}
		l.answered(creates, server(l.busy))
	}
	for l.busy > 0 {
		l.release()
	}
}

func always(d time.Duration) func(int) time.Duration { return func(int) time.Duration { return d } }

// twoCores is a server that works on two calls at a time, for a millisecond each.
func twoCores(busy int) time.Duration {
	return max(time.Millisecond, time.Duration(busy)*time.Millisecond/2)
}

func TestLimiter(t *testing.T) {
	now := time.Unix(0, 0)
	l := newLimiter(0, func() time.Time { return now })
	drive(t, l, 20000, always(time.Millisecond))
	if l.limit != mostCalls {
		t.Errorf("a server with room: %d calls at a time, want %d", l.limit, mostCalls)
	}
	for range 3 { // refusals of calls that were under way together count once
		now = now.Add(10 * time.Millisecond)
		l.refused()
	}
	if l.limit != mostCalls/2 {
		t.Errorf("refused: %d calls at a time, want %d", l.limit, mostCalls/2)
	}
	drive(t, l, 5000, twoCores)
	if l.limit < 4 || l.limit > 24 {
		t.Errorf("a server that has become busy: %d calls at a time", l.limit)
	}
	drive(t, l, 20000, always(10*time.Millisecond)) // because of somebody else
	if l.limit < leastCalls || l.limit > 24 {
		t.Errorf("answers ten times as slow: %d calls at a time", l.limit)
	}
	fixed := newLimiter(3, func() time.Time { return now })
	fixed.refused()
	drive(t, fixed, 1000, always(time.Second))
	if fixed.limit != 3 {
		t.Errorf("a fixed limit became %d", fixed.limit)
	}
}

// TestLimiterBusyServer: on a server that is full with few calls the limit stays low from the start.
func TestLimiterBusyServer(t *testing.T) {
	l := newLimiter(0, time.Now)
	drive(t, l, 20000, twoCores)
	if l.limit < 4 || l.limit > 24 {
		t.Errorf("%d calls at a time", l.limit)
	}
}

// TestLimiterKinds: calls of which some are always slow (a webhook, the API server's pause before the first object of a new kind) tell nothing of
// a busy server.
func TestLimiterKinds(t *testing.T) {
	l := newLimiter(0, time.Now)
	for i := range 20000 {
		for l.busy < l.limit {
			if err := l.acquire(t.Context()); err != nil {
				t.Fatal(err)
			}
		}
		if i%3 == 0 {
			l.answered(creates, time.Millisecond)
		} else {
			l.answered(callKind{"create", "gears.example.com"}, 300*time.Millisecond)
		}
	}
	if l.limit != mostCalls {
		t.Errorf("%d calls at a time, want %d", l.limit, mostCalls)
	}
}

// TestLimiterCancel: who waits for a place leaves with the context.
func TestLimiterCancel(t *testing.T) {
	l := newLimiter(1, time.Now)
	if err := l.acquire(t.Context()); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error)
	go func() { done <- l.acquire(ctx) }()
	cancel()
	if err := <-done; err == nil {
		t.Error("a place was given that there is not")
	}
}
