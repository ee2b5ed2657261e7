// SPDX-License-Identifier: Apache-2.0

package gcs

import (
	"context"
	"crypto/rand"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"fmt"
	"hash"
	"hash/crc32"
	"io"
	"net/http"
	"time"

	"github.com/googleapis/gax-go/v2"
	"golang.org/x/oauth2"
	"google.golang.org/api/googleapi"
	"google.golang.org/api/storage/v1"

	"hozon.dev/hozon/internal/blob"
	"hozon.dev/hozon/internal/blob/part"
	"hozon.dev/hozon/internal/fail"
)

const (
	chunkSize = 8 << 20
	idKey     = "hozon-put" // the metadata that names the Put that made an object
	// patience bounds how long one chunk is sent again and again.
	patience = 20 * time.Second
	// afterwards bounds the look for what became of a Put.
	afterwards = 2 * time.Second
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// Put implements blob.Bucket.
func (b *Bucket) Put(ctx context.Context, key string, r io.Reader, opts blob.PutOptions) (int64, error) {
	name, err := b.name(ctx, key)
	if err != nil {
		return 0, fmt.Errorf("put %s: %w", key, err)
	}
	source := &source{ctx: ctx, r: r, sum: crc32.New(castagnoli)}
	p := put{b: b, name: name, ifAbsent: opts.IfAbsent, id: rand.Text(), source: source}
	err = p.run(ctx)
	switch {
	case err == nil:
		return source.n, nil
	case source.err != nil:
		return 0, fmt.Errorf("put %s: %w", key, source.err)
	}
	return 0, b.explain("put", key, err)
}

// source is the caller's reader, and what was seen of it. It ends with its ctx.
type source struct {
	ctx  context.Context // of the Put whose life it shares
	r    io.Reader
	n    int64
	sum  hash.Hash32
	err  error
	idle int
}

func (s *source) Read(p []byte) (int, error) {
	if s.err == nil {
		s.err = s.ctx.Err()
	}
	if s.err != nil {
		return 0, s.err
	}
	n, err := s.r.Read(p)
	if n < 0 || n > len(p) {
		n, err = 0, errors.New("the reader returned an impossible count")
	}
	if n > 0 {
		s.idle = 0
	} else if s.idle++; err == nil && s.idle == 100 {
		err = io.ErrNoProgress
	}
	s.n += int64(n)
	s.sum.Write(p[:n])
	if err != nil && err != io.EOF {
		s.err = err
	}
	return n, err
}

// crc is the sum of all that was read, in Google's form.
func (s *source) crc() string {
	return base64.StdEncoding.EncodeToString(binary.BigEndian.AppendUint32(nil, s.sum.Sum32()))
}

// put is one run of Put.
type put struct {
	b        *Bucket
	name     string
	ifAbsent bool
	id       string
	source   *source
}

func (p put) run(ctx context.Context) error {
	first := &part.Part{Pool: p.b.pool}
	defer first.Free()
	err := first.Fill(ctx, p.source, part.Piece)
	if err != nil && err != io.EOF {
		p.source.err = err
		return err
	}
	object := &storage.Object{Name: p.name, Metadata: map[string]string{idKey: p.id}, ContentType: "application/octet-stream"}
	var body io.Reader = first.Reader()
	size := part.Piece
	switch {
	case err == io.EOF:
		object.Crc32c = p.source.crc()
	case p.ifAbsent: // do not send gigabytes for nothing
		if err := p.mustBeAbsent(ctx); err != nil {
			return err
		}
		fallthrough
	default:
		body, size = io.MultiReader(body, p.source), chunkSize
	}
	stored, err := p.insert(ctx, object, body, size)
	if err != nil {
		return p.settle(ctx, err)
	}
	return p.compare(ctx, stored)
}

func (p put) insert(ctx context.Context, object *storage.Object, body io.Reader, size int) (*storage.Object, error) {
	call := p.b.objects.Insert(p.b.bucket, object).Context(ctx).Fields("crc32c", "generation").
		Media(body, googleapi.ChunkSize(size), googleapi.ContentType(object.ContentType), googleapi.ChunkRetryDeadline(patience)).
		WithRetry(&gax.Backoff{Initial: 200 * time.Millisecond, Max: 2 * time.Second}, (&repeats{until: time.Now().Add(patience)}).may)
	if p.ifAbsent {
		call.IfGenerationMatch(0)
	}
	if p.b.kmsKey != "" {
		call.KmsKeyName(p.b.kmsKey)
	}
	return call.Do()
}

// repeats bounds how often the library sends requests of one upload again: a few times in a row, and often only if the upload gets on.
type repeats struct {
	until time.Time
	last  time.Time
	row   int
}

func (r *repeats) may(err error) bool {
	if err == nil { // the library asks after each request
		return false
	}
	now := time.Now()
	if now.Sub(r.last) > patience {
		r.row = 0
	}
	r.last = now
	r.row++
	if r.row >= tries && now.After(r.until) || r.row > 2*tries {
		return false
	}
	if s := status(err); s != 0 {
		return s >= 500 && s != http.StatusNotImplemented || s == http.StatusTooManyRequests || s == http.StatusRequestTimeout
	}
	var login *oauth2.RetrieveError
	return !errors.As(err, &login) && !errors.Is(err, context.Canceled) && !errors.Is(err, context.DeadlineExceeded) && fail.Of(err) == fail.Unknown
}

// settle finds out what became of the object when the last answer leaves that open.
func (p put) settle(ctx context.Context, err error) error {
	if s := status(err); p.source.err != nil || s != 0 && s < 500 && s != http.StatusPreconditionFailed && s != http.StatusTooManyRequests {
		return err
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), afterwards)
	defer cancel()
	if object, statErr := p.b.stat(ctx, p.name); statErr == nil && object.Metadata[idKey] == p.id {
		return nil
	}
	return err
}

func (p put) mustBeAbsent(ctx context.Context) error {
	_, err := p.b.stat(ctx, p.name)
	if err == nil {
		return fail.Errorf(fail.Exists, "the object exists already in %s", p.b)
	}
	if status(err) == http.StatusNotFound {
		return nil // if it is the bucket that is missing, the write will say so
	}
	return err
}

// compare holds the server's sum against ours. An object that is not what was sent goes again.
func (p put) compare(ctx context.Context, stored *storage.Object) error {
	if stored.Crc32c == "" || stored.Crc32c == p.source.crc() {
		return nil
	}
	call := p.b.objects.Delete(p.b.bucket, p.name).Context(context.WithoutCancel(ctx))
	if stored.Generation != 0 {
		call.IfGenerationMatch(stored.Generation)
	}
	_ = call.Do()
	return fail.Errorf(fail.Transient, "what %s has stored is not what was sent: CRC32C %s, not %s", p.b.endpoint, stored.Crc32c, p.source.crc())
}
