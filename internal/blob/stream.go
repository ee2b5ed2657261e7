// SPDX-License-Identifier: Apache-2.0

package blob

import (
	"context"
	"errors"
	"io"
	"strings"
)

// Copy moves r to w until r ends or ctx does. It tells the two sides' errors apart, because a driver
// knows the kind of its own errors only: source is r's error or that of ctx, sink is w's.
func Copy(ctx context.Context, w io.Writer, r io.Reader) (n int64, source, sink error) {
	buf := make([]byte, 64<<10)
	for {
		k, rerr := Fill(ctx, r, buf)
		if k > 0 {
			if _, err := w.Write(buf[:k]); err != nil {
				return n, nil, err
			}
			n += int64(k)
		}
		if rerr == io.EOF {
			return n, nil, nil
		}
		if rerr != nil {
			return n, rerr, nil
		}
	}
}

// Fill reads until buf is full, r ends (io.EOF, exactly as r gave it, even with bytes), r fails, or ctx has ended.
func Fill(ctx context.Context, r io.Reader, buf []byte) (n int, err error) {
	for idle := 0; n < len(buf); {
		if err := ctx.Err(); err != nil {
			return n, err
		}
		k, err := r.Read(buf[n:])
		if k < 0 || k > len(buf)-n {
			return n, errors.New("the reader returned an impossible count")
		}
		n += k
		if err != nil {
			return n, err
		}
		if k > 0 {
			idle = 0
		} else if idle++; idle == 100 {
			return n, io.ErrNoProgress
		}
	}
	return n, nil
}

// Nothing is the answer to a Get of a range without bytes: it still has to begin in the object, or at its end.
func Nothing(size, offset int64) (io.ReadCloser, error) {
	if _, err := Range(size, offset, 0); err != nil {
		return nil, err
	}
	return io.NopCloser(strings.NewReader("")), nil
}

// Exact returns a reader of exactly n bytes of rc: an end before that is io.ErrUnexpectedEOF, and what follows is not read.
func Exact(rc io.ReadCloser, n int64) io.ReadCloser { return &exact{rc, n} }

type exact struct {
	rc   io.ReadCloser
	left int64
}

func (e *exact) Read(p []byte) (int, error) {
	if e.left <= 0 {
		return 0, io.EOF
	}
	if int64(len(p)) > e.left {
		p = p[:e.left]
	}
	n, err := e.rc.Read(p)
	e.left -= int64(n)
	switch {
	case err == io.EOF && e.left > 0:
		return n, io.ErrUnexpectedEOF
	case err == io.EOF:
		return n, nil // the next call says io.EOF
	}
	return n, err
}

func (e *exact) Close() error { return e.rc.Close() }
