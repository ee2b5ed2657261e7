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
	"time"

	"github.com/minio/minio-go/v7"

	"hozon.dev/hozon/internal/blob"
	"hozon.dev/hozon/internal/blob/part"
	"hozon.dev/hozon/internal/fail"
)

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
	var source part.SourceError
	if errors.As(err, &source) {
		return 0, fmt.Errorf("put %s: %w", key, source.Err)
	}
	return 0, b.explain("put", key, err)
}

// put is one run of Put.
type put struct {
	b        *Bucket
	name     string
	ifAbsent bool
	id       string
}

func (p put) run(ctx context.Context, r io.Reader) (int64, error) {
	upload := part.Upload{Pool: p.b.pool, Size: partSize}
	head, err := upload.Begin(ctx, r)
	if err != nil {
		return 0, err
	}
	if body := head.Whole(); body != nil {
		defer body.Free()
		return body.Size(), p.single(ctx, body)
	}
	return p.multi(ctx, r, upload, head)
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

// multi uploads in parts.
func (p put) multi(ctx context.Context, r io.Reader, parts part.Upload, head part.Head) (n int64, err error) {
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
	parts.Start = s.start
	if n, err = parts.Send(ctx, r, head); err != nil {
		return 0, err
	}
	err = p.last(ctx, p.b.traits.finish(), func(opts minio.PutObjectOptions) error {
		_, err := p.b.core.CompleteMultipartUpload(ctx, p.b.bucket, p.name, upload, s.done(), opts)
		return err
	})
	return n, err
}

// sender sends the parts of one upload.
type sender struct {
	put
	upload string
	sent   []*minio.CompletePart // in order
}

func (s *sender) done() []minio.CompletePart {
	parts := make([]minio.CompletePart, len(s.sent))
	for i, done := range s.sent {
		parts[i] = *done
	}
	return parts
}

func (s *sender) start(n int, body *part.Part) (func(context.Context) error, error) {
	if n > maxParts {
		return nil, fail.Errorf(fail.Invalid, "the object is larger than the %d parts that S3 allows it", maxParts)
	}
	done := &minio.CompletePart{PartNumber: n}
	s.sent = append(s.sent, done)
	return func(ctx context.Context) error {
		opts := s.b.traits.part(body)
		r := stoppable{Reader: body.Reader(), stopped: ctx.Err}
		ctx, cancel := linger(ctx)
		defer cancel()
		got, err := s.b.core.PutObjectPart(ctx, s.b.bucket, s.name, s.upload, n, r, body.Size(), opts)
		done.ETag = got.ETag
		s.b.traits.note(done, opts.CustomHeader.Get(s.b.traits.checksum.Key()))
		return err
	}, nil
}

// stoppable is the body of a part, which breaks when nobody wants the part any more.
type stoppable struct {
	*part.Reader
	stopped func() error
}

func (r stoppable) Read(buf []byte) (int, error) {
	if err := r.stopped(); err != nil {
		return 0, err
	}
	return r.Reader.Read(buf)
}

// linger is ctx, but ends a little later. A part that was sent whole is stored, even if its sender has gone away: without its answer, an abort may come
// before the part, and then the part stays.
func linger(ctx context.Context) (context.Context, context.CancelFunc) {
	lingering, cancel := context.WithCancel(context.WithoutCancel(ctx))
	stop := context.AfterFunc(ctx, func() {
		timer := time.AfterFunc(patience, cancel)
		context.AfterFunc(lingering, func() { timer.Stop() })
	})
	return lingering, func() { stop(); cancel() }
}
