// SPDX-License-Identifier: Apache-2.0

package store

import (
	"context"
	"fmt"
	"time"

	"hozon.dev/hozon/internal/blob"
	"hozon.dev/hozon/internal/fail"
)

// Sign returns a URL from which anybody can read one file until ttl has passed; whether there is such a file is not looked at.
// fail.Unsupported: this kind of store has no such URLs.
func (s *Store) Sign(ctx context.Context, sort Sort, name string, f File, ttl time.Duration) (string, error) {
	if err := CheckName(sort, name); err != nil {
		return "", err
	}
	signer, ok := s.bucket.(blob.Signer)
	if !ok {
		return "", fail.Errorf(fail.Unsupported, "download %s of %s %s: the store %s gives no URLs", f.Of(name), sort, name, s)
	}
	url, err := signer.Sign(ctx, sort.dir(name)+f.Of(name), ttl)
	if err != nil {
		return "", fmt.Errorf("download %s of %s %s: %w", f.Of(name), sort, name, err)
	}
	return url, nil
}
