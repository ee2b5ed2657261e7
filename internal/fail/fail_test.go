// SPDX-License-Identifier: Apache-2.0

package fail_test

import (
	"errors"
	"fmt"
	"io"
	"testing"

	"hozon.dev/hozon/internal/fail"
)

func TestKinds(t *testing.T) {
	corrupt := fail.Errorf(fail.Corrupt, "read %s: %w", "x", io.ErrUnexpectedEOF)
	tests := []struct {
		name string
		err  error
		want fail.Kind
	}{
		{"nil", nil, fail.Unknown},
		{"plain", errors.New("x"), fail.Unknown},
		{"direct", corrupt, fail.Corrupt},
		{"wrapped", fmt.Errorf("verify: %w", corrupt), fail.Corrupt},
		{"outermost wins", fail.As(fail.Invalid, corrupt), fail.Invalid},
		{"joined", errors.Join(io.EOF, fail.As(fail.Busy, io.EOF)), fail.Busy},
	}
	for _, tt := range tests {
		if got := fail.Of(tt.err); got != tt.want {
			t.Errorf("%s: kind %v, want %v", tt.name, got, tt.want)
		}
	}
	if !errors.Is(corrupt, io.ErrUnexpectedEOF) {
		t.Error("the cause is lost")
	}
	if fail.As(fail.Busy, nil) != nil {
		t.Error("As(nil) is not nil")
	}
	if fail.Is(nil, fail.Unknown) {
		t.Error("nil is of no kind")
	}
	if got := fail.Kind(200).String(); got != "unknown" {
		t.Errorf("String of an unknown kind = %q", got)
	}
}
