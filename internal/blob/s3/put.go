// SPDX-License-Identifier: Apache-2.0

package s3

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"

	"github.com/minio/minio-go/v7"
	"golang.org/x/sync/errgroup"

	"hozon.dev/hozon/internal/blob"
	"hozon.dev/hozon/internal/blob/part"
	"hozon.dev/hozon/internal/fail"
)

// inFlight parts of one Put are on their way at a time.
const inFlight = 2

// idKey is the metadata that names the Put that made an object, as the library gives it back.
const idKey = "Hozon-Put"

// Put implements blob.Bucket.
func (b *Bucket) Put(ctx context.Context, key string, r io.Reader, opts blob.PutOptions) (int64, error) {
	name, err := b.name(ctx, key)
	if err != nil {
		return 0, fmt.Errorf("put %s: %w", key, err)
	}
	p := put{b: b, name: name, ifAbsent: opts.IfAbsent, id: rand.Text()}
	n, err := p.run(ctx, r)
	if err == nil {
		return n, nil
	}
	var source sourceError
	if errors.As(err, &source) {
		return 0, fmt.Errorf("put %s: %w", key, source.err)
	}
	return 0, b.explain("put", key, err)
}

// sourceError is an error of the caller's reader or context: not ours to explain.
type sourceError struct{ err error }

func (e sourceError) Error() string { return e.err.Error() }
func (e sourceError) Unwrap() error { return e.err }

// put is one run of Put.
type put struct {
	b        *Bucket
	name     string
	ifAbsent bool
	id       string
}

func (p put) run(ctx context.Context, r io.Reader) (int64, error) {
	first := &part.Part{Pool: p.b.pool}
	err := first.Fill(ctx, r, partSize(1))
	second := &part.Part{Pool: p.b.pool}
	if err == nil {
		// The object may end here, and then it needs no second part.
		err = second.Fill(ctx, r, part.Piece)
	}
	if err != nil && err != io.EOF {
		return 0, sourceError{err}
	}
	if second.Size() == 0 {
		defer first.Free()
		return first.Size(), p.single(ctx, first)
	}
	return p.multi(ctx, r, first, second, err == io.EOF)
}

func (p put) single(ctx context.Context, body *part.Part) error {
	return p.last(ctx, p.b.traits.whole(p.id, body), func(opts minio.PutObjectOptions) error {
		_, err := p.b.core.PutObject(ctx, p.b.bucket, p.name, body.Reader(), body.Size(), "", body.SHA256(), opts)
		return err
	})
}

// last sends the request that makes the object, and finds out what became of it if the answer leaves that open.
func (p put) last(ctx context.Context, opts minio.PutObjectOptions, send func(minio.PutObjectOptions) error) error {
	if p.ifAbsent {
		if err := p.mustBeAbsent(ctx); err != nil {
			return err
		}
	}
	err := p.b.conditional(p.ifAbsent, opts, send)
	if err == nil || p.landed(ctx, err) {
		return nil
	}
	if p.ifAbsent && slices.Contains(conflicts, minio.ToErrorResponse(err).Code) {
		// Two conditional writes met. Either one of them has won by now, or this one is to be repeated.
		if absent := p.mustBeAbsent(ctx); absent != nil {
			return absent
		}
		return fail.As(fail.Transient, err)
	}
	return err
}

// conditional sends with "If-None-Match: *" where that is wanted and the server is not known to lack it.
func (b *Bucket) conditional(ifAbsent bool, opts minio.PutObjectOptions, send func(minio.PutObjectOptions) error) error {
	if !ifAbsent || b.conditions == Off || b.lacking.Load() {
		return send(opts)
	}
	with := opts
	with.SetMatchETagExcept("*")
	err := send(with)
	if b.conditions == Unset && minio.ToErrorResponse(err).StatusCode == http.StatusNotImplemented {
		b.lacking.Store(true)
		return send(opts)
	}
	return err
}

// conflicts are what Amazon, its imitators and the library (for an answer without a body) call that.
var conflicts = []string{"ConditionalRequestConflict", "OperationAborted", minio.Conflict}

func (p put) mustBeAbsent(ctx context.Context) error {
	_, err := p.b.core.StatObject(ctx, p.b.bucket, p.name, p.b.traits.get())
	if err == nil {
		return fail.Errorf(fail.Exists, "the object exists already in %s", p.b)
	}
	if minio.ToErrorResponse(err).StatusCode == http.StatusNotFound {
		return nil // if it is the bucket that is missing, the write will say so
	}
	return err
}

// landed reports whether the object is there and of this Put, though err came back. Most refusals leave no doubt and are not asked about.
func (p put) landed(ctx context.Context, err error) bool {
	response := minio.ToErrorResponse(err)
	switch {
	case response.StatusCode >= 500, response.StatusCode == 0: // an answer got lost, or a link broke
	case response.Code == minio.PreconditionFailed, response.Code == minio.NoSuchUpload: // perhaps a repetition's
	default:
		return false
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), afterwards)
	defer cancel()
	info, err := p.b.core.StatObject(ctx, p.b.bucket, p.name, p.b.traits.get())
	return err == nil && info.UserMetadata[idKey] == p.id
}

// multi uploads in parts. ended says that second holds all that follows first.
func (p put) multi(ctx context.Context, r io.Reader, first, second *part.Part, ended bool) (n int64, err error) {
	if p.ifAbsent { // do not send gigabytes for nothing
		if err := p.mustBeAbsent(ctx); err != nil {
			return 0, err
		}
	}
	upload, forget, err := p.begin(ctx)
	if err != nil {
		return 0, err
	}
	defer func() {
		// The caller's ctx may be what ended us.
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), afterwards)
		defer cancel()
		if err != nil && p.b.core.AbortMultipartUpload(ctx, p.b.bucket, p.name, upload) != nil {
			return // the record stays, or a lifecycle rule of the bucket has to do it
		}
		forget(ctx)
	}()
	s := sender{put: p, upload: upload}
	if err := s.send(ctx, r, first, second, ended); err != nil {
		return 0, err
	}
	err = p.last(ctx, p.b.traits.finish(), func(opts minio.PutObjectOptions) error {
		_, err := p.b.core.CompleteMultipartUpload(ctx, p.b.bucket, p.name, upload, s.done(), opts)
		return err
	})
	return s.size, err
}

// sender sends the parts of one upload.
type sender struct {
	put
	upload string
	sent   []*minio.CompletePart // in order
	size   int64                 // of all parts
}

func (s *sender) done() []minio.CompletePart {
	parts := make([]minio.CompletePart, len(s.sent))
	for i, done := range s.sent {
		parts[i] = *done
	}
	return parts
}

// send sends everything. When it returns, no request is under way.
func (s *sender) send(ctx context.Context, r io.Reader, first, second *part.Part, ended bool) error {
	group, sending := errgroup.WithContext(ctx)
	group.SetLimit(inFlight)
	s.start(sending, group, first)
	readErr := s.feed(sending, group, r, second, ended)
	sendErr := group.Wait()
	// A failed part ends the context under which r is read, and then the part's error is the one to tell.
	if readErr != nil && (sendErr == nil || !errors.Is(readErr, context.Canceled) || ctx.Err() != nil) {
		return readErr
	}
	return sendErr
}

// feed starts body, which may be filled in part, and what follows of r.
func (s *sender) feed(ctx context.Context, group *errgroup.Group, r io.Reader, body *part.Part, ended bool) error {
	for {
		if !ended {
			err := body.Fill(ctx, r, partSize(len(s.sent)+1))
			if ended = err == io.EOF; err != nil && !ended {
				return sourceError{err}
			}
		}
		if body.Size() > 0 {
			if len(s.sent) == maxParts {
				return fail.Errorf(fail.Invalid, "the object is larger than the %d parts that S3 allows it", maxParts)
			}
			s.start(ctx, group, body)
		}
		if ended {
			return nil
		}
		body = &part.Part{Pool: s.b.pool}
	}
}

// start sends body as the next part, at once or as soon as fewer than three are under way.
func (s *sender) start(ctx context.Context, group *errgroup.Group, body *part.Part) {
	done := &minio.CompletePart{PartNumber: len(s.sent) + 1}
	s.sent = append(s.sent, done)
	s.size += body.Size()
	group.Go(func() error {
		defer body.Free()
		opts := s.b.traits.part(body)
		got, err := s.b.core.PutObjectPart(ctx, s.b.bucket, s.name, s.upload, done.PartNumber, body.Reader(), body.Size(), opts)
		done.ETag = got.ETag
		s.b.traits.note(done, opts.CustomHeader.Get(s.b.traits.checksum.Key()))
		return err
	})
}
