// SPDX-License-Identifier: Apache-2.0

package apply

import (
	"context"
	"testing"
	"time"
)

// drive lets calls of one duration be answered while all places are taken.
func drive(t *testing.T, l *limiter, calls int, d time.Duration) {
	t.Helper()
	for range calls {
		for l.busy < l.limit {
			if err := l.acquire(t.Context()); err != nil {
				t.Fatal(err)
			}
		}
		l.answered(d)
	}
	for l.busy > 0 {
		l.release()
	}
}

func TestLimiter(t *testing.T) {
	now := time.Unix(0, 0)
	l := newLimiter(0, func() time.Time { return now })
	drive(t, l, 20000, time.Millisecond)
	if l.limit != mostCalls {
		t.Errorf("fast answers: %d calls at a time, want %d", l.limit, mostCalls)
	}
	for range 3 { // refusals of calls that were under way together count once
		now = now.Add(10 * time.Millisecond)
		l.refused()
	}
	if l.limit != mostCalls/2 {
		t.Errorf("refused: %d calls at a time, want %d", l.limit, mostCalls/2)
	}
	drive(t, l, 5000, 10*time.Millisecond)
	if l.limit >= mostCalls/2 {
		t.Errorf("answers ten times as slow: %d calls at a time", l.limit)
	}
	fixed := newLimiter(3, func() time.Time { return now })
	fixed.refused()
	drive(t, fixed, 1000, time.Second)
	if fixed.limit != 3 {
		t.Errorf("a fixed limit became %d", fixed.limit)
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
