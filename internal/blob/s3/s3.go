// SPDX-License-Identifier: Apache-2.0

// Package s3 keeps objects in a bucket of Amazon S3 or of a server that speaks its protocol.
//
// Rights. It needs s3:GetObject, s3:PutObject, s3:DeleteObject, s3:ListBucket, s3:AbortMultipartUpload and s3:ListMultipartUploadParts,
// and calls nothing else: the region is told, never looked up.
//
// Put. Objects below 5 MiB go up in one request, larger ones in parts. A Put holds at most three part buffers (two in flight, one being
// filled), taken from a pool in pieces of 256 KiB, so that a small object takes a small buffer; the parts grow so that 5 TiB fit into the 10,000 that S3 allows
// (see partSize). Every request carries the SHA-256 of its body, which the server checks. A failed Put aborts its upload; one that dies
// with its process leaves parts behind that no listing shows. With Config.Uploads each upload is noted in an object before its first part, and the first large
// Put of a Bucket aborts those that began a week ago or earlier. (A lifecycle rule of the bucket that aborts incomplete uploads does no harm.)
//
// Conditional writes. With IfAbsent the driver looks with a HEAD right before the last request, and that request carries
// "If-None-Match: *". Whether a server obeys the header cannot be seen without the risk of overwriting an object: some ignore it. So
// Capabilities.AtomicPut is true for Amazon's own endpoints, and for others only if the URL says conditional-put=true. With
// conditional-put=false the header is left out. A server that answers 501 to it is not sent it again.
//
// Every object carries the random id of its Put as metadata (x-amz-meta-hozon-put). If the answer to the last request is lost, or a repeated
// request finds its own object in the way, one HEAD tells whether the Put has succeeded.
//
// Retries. The client library repeats a request that can be repeated at most twice, within about two seconds, on network faults, 5xx and
// throttling. What fails then is fail.Transient. There is nothing else.
package s3

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync/atomic"
	"time"

	"github.com/minio/minio-go/v7"

	"hozon.dev/hozon/internal/blob"
	"hozon.dev/hozon/internal/blob/link"
	"hozon.dev/hozon/internal/blob/part"
	"hozon.dev/hozon/internal/fail"
)

const (
	tries  = 3    // of each request, the first included
	maxKey = 1024 // bytes, with the prefix: S3's limit
	// afterwards bounds what a Put does after it has failed: abort the upload, look for its object.
	afterwards = 2 * time.Second
	// patience is how long an ended Put waits for the answer to a part that it has sent whole.
	patience = 5 * time.Second
)

// Bucket is a blob.Bucket in an S3 bucket, below a prefix.
type Bucket struct {
	core     *minio.Core
	bucket   string
	prefix   string // empty, or ends in "/"
	endpoint string // for messages
	region   string
	source   string // where the credentials came from
	words    link.Words
	tls      link.TLS // for messages
	traits   traits
	public   *minio.Client // signs URLs
	pool     *part.Pool
	uploads  string      // see Config.Uploads
	swept    atomic.Bool // what dead processes have left has been looked for

	conditions Switch      // If-None-Match: sent, not sent, or sent until the server says that it lacks it
	lacking    atomic.Bool // it has said so
	amazon     bool
}

var (
	_ blob.Bucket = (*Bucket)(nil)
	_ blob.Signer = (*Bucket)(nil)
)

// Open checks cfg and gets credentials. It does not speak to the bucket's server: whether bucket, region and rights are right shows at the first call.
func Open(ctx context.Context, cfg Config) (*Bucket, error) {
	b := &Bucket{
		bucket: cfg.Bucket, prefix: cfg.Prefix, region: cfg.region(), words: cfg.Words, tls: cfg.tls(), pool: &part.Pool{}, uploads: cfg.Uploads,
		conditions: cfg.ConditionalPut, amazon: cfg.Endpoint == "",
	}
	if err := b.open(ctx, cfg); err != nil {
		return nil, fmt.Errorf("open store %s: %w", b, err)
	}
	return b, nil
}

func (b *Bucket) open(ctx context.Context, cfg Config) error {
	host, secure, err := cfg.host()
	if err != nil {
		return err
	}
	if err := cfg.check(); err != nil {
		return err
	}
	b.prefix = cfg.Prefix
	if b.traits, err = cfg.Objects.traits(); err != nil {
		return err
	}
	if b.traits.customer && !secure {
		return fail.Errorf(fail.Invalid, "a customer's key must not go over a connection without TLS: the endpoint has to start with https://")
	}
	transport, err := cfg.tls().Transport()
	if err != nil {
		return err
	}
	creds, source, err := find(ctx, cfg)
	if err != nil {
		return err
	}
	options := &minio.Options{
		Creds: creds, Secure: secure, Transport: transport, Region: b.region, BucketLookup: cfg.lookup(), MaxRetries: tries,
	}
	if b.core, err = minio.NewCore(host, options); err != nil {
		return fail.Errorf(fail.Invalid, "endpoint %s: %w", host, err)
	}
	b.endpoint, b.source = b.core.EndpointURL().String(), source
	b.public, err = cfg.signer(b.core.Client, *options)
	return err
}

func (cfg *Config) lookup() minio.BucketLookupType {
	switch cfg.PathStyle {
	case On:
		return minio.BucketLookupPath
	case Off:
		return minio.BucketLookupDNS
	}
	return minio.BucketLookupAuto
}

// String implements blob.Bucket.
func (b *Bucket) String() string {
	return "s3://" + b.bucket + strings.TrimSuffix("/"+b.prefix, "/")
}

// Capabilities implements blob.Bucket; see the package comment.
func (b *Bucket) Capabilities() blob.Capabilities {
	return blob.Capabilities{AtomicPut: b.conditions == On || b.conditions == Unset && b.amazon}
}

// name returns the object's full name.
func (b *Bucket) name(ctx context.Context, key string) (string, error) {
	if err := blob.CheckKey(key); err != nil {
		return "", err
	}
	name := b.prefix + key
	if len(name) > maxKey {
		return "", fail.Errorf(fail.Invalid, "key %.100q… has %d bytes, with the store's prefix; S3 allows %d", name, len(name), maxKey)
	}
	if strings.TrimSpace(name) == "" {
		return "", fail.Errorf(fail.Invalid, "key %q is blank", name)
	}
	return name, ctx.Err()
}

// Get implements blob.Bucket.
func (b *Bucket) Get(ctx context.Context, key string, offset, length int64) (io.ReadCloser, error) {
	name, err := b.name(ctx, key)
	if err != nil {
		return nil, fmt.Errorf("get %s: %w", key, err)
	}
	rc, err := b.get(ctx, name, offset, length)
	if err != nil {
		return nil, b.explain("get", key, err)
	}
	return rc, nil
}

func (b *Bucket) get(ctx context.Context, name string, offset, length int64) (io.ReadCloser, error) {
	if offset < 0 {
		return nil, fail.Errorf(fail.Invalid, "offset %d lies before the object", offset)
	}
	if length == 0 {
		return b.nothing(ctx, name, offset)
	}
	if length > 0 && offset+length < 0 {
		length = -1
	}
	opts := b.traits.get()
	if length > 0 {
		opts.Set("Range", fmt.Sprintf("bytes=%d-%d", offset, offset+length-1))
	} else if offset > 0 {
		opts.Set("Range", fmt.Sprintf("bytes=%d-", offset))
	}
	rc, info, header, err := b.core.GetObject(ctx, b.bucket, name, opts)
	if minio.ToErrorResponse(err).Code == minio.InvalidRange || minio.ToErrorResponse(err).StatusCode == http.StatusRequestedRangeNotSatisfiable {
		return b.nothing(ctx, name, offset) // no byte lies there: at the end, or beyond
	}
	if err != nil {
		return nil, err
	}
	if offset > 0 && !strings.HasPrefix(header.Get("Content-Range"), fmt.Sprintf("bytes %d-", offset)) {
		rc.Close()
		return nil, fail.Errorf(fail.Unsupported, "the server ignores the Range of a request (it answers with Content-Range %q)", header.Get("Content-Range"))
	}
	n := info.Size
	if length > 0 && n > length {
		n = length
	}
	if n >= 0 { // else chunked: net/http itself notices an early end
		rc = blob.Exact(rc, n)
	}
	return link.Body(rc, name), nil
}

func (b *Bucket) nothing(ctx context.Context, name string, offset int64) (io.ReadCloser, error) {
	info, err := b.stat(ctx, name)
	if err != nil {
		return nil, err
	}
	return blob.Nothing(info.Size, offset)
}

// Stat implements blob.Bucket.
func (b *Bucket) Stat(ctx context.Context, key string) (blob.Info, error) {
	name, err := b.name(ctx, key)
	if err != nil {
		return blob.Info{}, fmt.Errorf("stat %s: %w", key, err)
	}
	info, err := b.stat(ctx, name)
	if err != nil {
		return blob.Info{}, b.explain("stat", key, err)
	}
	return blob.Info{Key: key, Size: info.Size, Modified: info.LastModified}, nil
}

// stat asks with HEAD. Its errors come without a body: a 404 may mean the key, the bucket or, with some servers, the user. So what is refused is
// asked for again with a GET of one byte, which says more.
func (b *Bucket) stat(ctx context.Context, name string) (minio.ObjectInfo, error) {
	info, err := b.core.StatObject(ctx, b.bucket, name, b.traits.get())
	var response minio.ErrorResponse
	if !errors.As(err, &response) || response.StatusCode >= 500 {
		return info, err
	}
	opts := b.traits.get()
	opts.Set("Range", "bytes=0-0")
	rc, _, _, why := b.core.GetObject(ctx, b.bucket, name, opts)
	if why == nil {
		rc.Close()
		return info, err
	}
	return info, why
}

// Delete implements blob.Bucket.
func (b *Bucket) Delete(ctx context.Context, key string) error {
	name, err := b.name(ctx, key)
	if err != nil {
		return fmt.Errorf("delete %s: %w", key, err)
	}
	err = b.core.RemoveObject(ctx, b.bucket, name, minio.RemoveObjectOptions{})
	if err == nil || minio.ToErrorResponse(err).Code == minio.NoSuchKey {
		return nil
	}
	return b.explain("delete", key, err)
}
