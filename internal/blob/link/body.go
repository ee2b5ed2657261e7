// SPDX-License-Identifier: Apache-2.0

package link

import (
	"context"
	"errors"
	"fmt"
	"io"

	"hozon.dev/hozon/internal/fail"
)

// Body gives the read errors of the object called name their kind.
func Body(rc io.ReadCloser, name string) io.ReadCloser { return &body{rc, name} }

type body struct {
	rc   io.ReadCloser
	name string
}

func (r *body) Read(p []byte) (int, error) {
	n, err := r.rc.Read(p)
	switch {
	case err == nil || err == io.EOF:
		return n, err
	case errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded):
		return n, fmt.Errorf("read %s: %w", r.name, err)
	}
	return n, fail.Errorf(fail.Transient, "read %s: the connection broke: %w", r.name, err)
}

func (r *body) Close() error { return r.rc.Close() }
