// SPDX-License-Identifier: Apache-2.0

package transfer

import (
	"context"
	"errors"
	"io"

	"hozon.dev/hozon/internal/vault"
)

// aheadPiece is what a stream reads at once; it has at most two pieces waiting and one in work.
const aheadPiece = 1 << 20

// A stream is a file that is read by a goroutine of its own.
type stream struct {
	node   vault.Node
	pieces chan piece
	stop   context.CancelFunc
}

type piece struct {
	data []byte
	err  error // after data; io.EOF at the end
}

func (s *stream) run(ctx context.Context, tree vault.Tree) {
	put := func(p piece) bool {
		select {
		case s.pieces <- p:
			return p.err == nil
		case <-ctx.Done():
			return false
		}
	}
	f, err := tree.Open(ctx, s.node)
	if err != nil {
		put(piece{err: err})
		return
	}
	defer f.Close()
	for at := int64(0); ; {
		// One byte more than the file has shows its end in the same step.
		buf := make([]byte, min(aheadPiece, max(s.node.Size-at, 0)+1))
		n, err := f.ReadAt(ctx, buf, at)
		if err == nil && n < len(buf) {
			err = io.ErrNoProgress
		}
		if at += int64(n); !put(piece{buf[:n], err}) {
			return
		}
	}
}

// streamFile is a stream as the sender reads it: from front to back.
type streamFile struct {
	s    *stream
	at   int64
	held piece
}

// open waits until it is known whether the file can be opened at all.
func (s *stream) open(ctx context.Context) (content, error) {
	f := &streamFile{s: s}
	err := f.next(ctx)
	if err == nil && len(f.held.data) == 0 && f.held.err != nil && !errors.Is(f.held.err, io.EOF) {
		err = f.held.err
	}
	if err != nil {
		s.stop()
		return nil, err
	}
	return f, nil
}

func (f *streamFile) next(ctx context.Context) error {
	select {
	case f.held = <-f.s.pieces:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

func (f *streamFile) readAt(ctx context.Context, p []byte, off int64) (int, error) {
	if off != f.at {
		return 0, errors.New("it is not read from front to back")
	}
	n := 0
	for n < len(p) {
		if len(f.held.data) == 0 {
			if f.held.err != nil {
				return n, f.held.err
			}
			if err := f.next(ctx); err != nil {
				return n, err
			}
			continue
		}
		k := copy(p[n:], f.held.data)
		f.held.data = f.held.data[k:]
		n, f.at = n+k, f.at+int64(k)
	}
	return n, nil
}

func (f *streamFile) nextData(from, size int64) (start, end int64) { return from, size }
func (f *streamFile) sparse() bool                                 { return true }
func (f *streamFile) changed(*Entry) bool                          { return false }
func (f *streamFile) close()                                       { f.s.stop() }
