// SPDX-License-Identifier: Apache-2.0

package crash

import (
	"context"
	"io"
	"sync"

	"hozon.dev/hozon/internal/blob"
)

// damaged is a bucket that does what no store may: the n-th read ends early without an error, or has a wrong byte in its middle.
type damaged struct {
	blob.Bucket
	n     int
	short bool // else wrong

	mu   sync.Mutex
	gets int
}

func (d *damaged) Get(ctx context.Context, key string, offset, length int64) (io.ReadCloser, error) {
	d.mu.Lock()
	d.gets++
	hit := d.gets == d.n
	d.mu.Unlock()
	rc, err := d.Bucket.Get(ctx, key, offset, length)
	if err != nil || !hit {
		return rc, err
	}
	info, err := d.Bucket.Stat(ctx, key)
	if err != nil {
		return nil, err
	}
	return &bad{rc, info.Size / 2, d.short}, nil
}

type bad struct {
	io.ReadCloser
	left  int64 // before the damage; below zero: after it
	short bool
}

func (b *bad) Read(p []byte) (int, error) {
	switch {
	case b.left < 0:
		return b.ReadCloser.Read(p)
	case b.left > 0:
		n, err := b.ReadCloser.Read(p[:min(int64(len(p)), b.left)])
		b.left -= int64(n)
		return n, err
	case b.short:
		return 0, io.EOF
	}
	n, err := b.ReadCloser.Read(p[:1])
	if n == 1 {
		p[0] ^= 0x10
		b.left = -1
	}
	return n, err
}
