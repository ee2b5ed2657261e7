// SPDX-License-Identifier: Apache-2.0

package order

import (
	"context"
	"crypto/rand"
	"errors"
	"strings"
	"time"

	"hozon.dev/hozon/internal/fail"
)

// createTries is how often a passing fault is met before an order is not given.
const createTries = 5

// Create gives an order, which has a name of Name's: an answer that is lost does not make two.
func (d *Desk[T]) Create(ctx context.Context, o *T) (*T, error) {
	for tries := 0; ; tries++ {
		made, err := d.Kind.Create(ctx, d.Server, o)
		switch {
		case err == nil:
			return made, nil
		case fail.Is(err, fail.Exists) && tries > 0:
			return d.Kind.Get(ctx, d.Server, meta(o).GetName())
		case !fail.Is(err, fail.Transient) || tries == createTries:
			return nil, err
		}
		select {
		case <-ctx.Done():
			return nil, errors.Join(context.Cause(ctx), err)
		case <-time.After(time.Second):
		}
	}
}

// Name is a name as the API server generates them: it leaves room for five letters.
func Name(prefix string) string {
	return prefix[:min(len(prefix), 58)] + strings.ToLower(rand.Text()[:5])
}
