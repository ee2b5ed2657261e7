// SPDX-License-Identifier: Apache-2.0

package part

import (
	"context"
	"errors"
	"io"

	"golang.org/x/sync/errgroup"
)

// inFlight parts of one object are on their way at a time, while one more is being filled.
const inFlight = 2

// SourceError is an error of the caller's reader or context, which the driver of a store cannot explain.
type SourceError struct{ Err error }

func (e SourceError) Error() string { return e.Err.Error() }

// Unwrap is the reader's own error.
func (e SourceError) Unwrap() error { return e.Err }

// Upload reads an object and sends it in parts.
type Upload struct {
	Pool *Pool
	Size func(n int) int64 // bytes of part n; the first is 1
	// Start is called for each part in order, and what it returns sends it; two of these may run at a time. An error ends the upload.
	Start func(n int, body *Part) (func(context.Context) error, error)
}

// Head is how an object begins: as much as tells whether it needs parts at all.
type Head struct {
	first, second *Part
	ended         bool // second holds all that follows first
}

// Begin reads the first part of an object, and a little more.
func (u Upload) Begin(ctx context.Context, r io.Reader) (Head, error) {
	h := Head{first: &Part{Pool: u.Pool}, second: &Part{Pool: u.Pool}}
	err := h.first.Fill(ctx, r, u.Size(1))
	if err == nil {
		err = h.second.Fill(ctx, r, min(Piece, u.Size(2))) // the object may end here, and then it needs no second part
	}
	if err != nil && err != io.EOF {
		return h, SourceError{err}
	}
	h.ended = err == io.EOF
	return h, nil
}

// Whole is the object if it has one part only; else nil.
func (h Head) Whole() *Part {
	if h.second.Size() > 0 {
		return nil
	}
	return h.first
}

// Send sends the head and what follows of r, and returns the size of all. When it returns, nothing is under way.
func (u Upload) Send(ctx context.Context, r io.Reader, h Head) (size int64, err error) {
	group, sending := errgroup.WithContext(ctx)
	group.SetLimit(inFlight)
	s := sender{Upload: u, group: group}
	readErr := s.start(sending, h.first)
	if readErr == nil {
		readErr = s.feed(sending, r, h.second, h.ended)
	}
	sendErr := group.Wait()
	// A failed part ends the context under which r is read, and then the part's error is the one to tell.
	if readErr != nil && (sendErr == nil || !errors.Is(readErr, context.Canceled) || ctx.Err() != nil) {
		return 0, readErr
	}
	return s.size, sendErr
}

// sender is one Send.
type sender struct {
	Upload
	group *errgroup.Group
	parts int
	size  int64
}

// feed starts body, which may be filled in part, and what follows of r.
func (s *sender) feed(ctx context.Context, r io.Reader, body *Part, ended bool) error {
	for {
		if !ended {
			err := body.Fill(ctx, r, s.Size(s.parts+1))
			if ended = err == io.EOF; err != nil && !ended {
				return SourceError{err}
			}
		}
		if body.Size() > 0 {
			if err := s.start(ctx, body); err != nil {
				return err
			}
		}
		if ended {
			return nil
		}
		body = &Part{Pool: s.Pool}
	}
}

// start sends body as the next part, at once or as soon as another has arrived.
func (s *sender) start(ctx context.Context, body *Part) error {
	send, err := s.Start(s.parts+1, body)
	if err != nil {
		return err
	}
	s.parts++
	s.size += body.Size()
	s.group.Go(func() error {
		defer body.Free()
		return send(ctx)
	})
	return nil
}
