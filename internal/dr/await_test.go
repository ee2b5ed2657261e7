// SPDX-License-Identifier: Apache-2.0

package dr

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"
)

// TestPoll waits for something that becomes well, for something that never does, and is interrupted.
func TestPoll(t *testing.T) {
	left := 2
	err := poll(t.Context(), time.Minute, func(context.Context) error {
		if left--; left >= 0 {
			return errors.New("not yet")
		}
		return nil
	})
	if err != nil || left != -1 {
		t.Errorf("%v after %d", err, left)
	}
	first := true
	err = poll(t.Context(), 10*time.Millisecond, func(ctx context.Context) error {
		if !first {
			<-ctx.Done()
			return ctx.Err()
		}
		first = false
		return errors.New("no leader")
	})
	if err == nil || !strings.Contains(err.Error(), "no leader") {
		t.Errorf("the reason is lost: %v", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	err = poll(ctx, time.Minute, func(context.Context) error { cancel(); return errors.New("not yet") })
	if !errors.Is(err, context.Canceled) {
		t.Errorf("interrupted: %v", err)
	}
}
