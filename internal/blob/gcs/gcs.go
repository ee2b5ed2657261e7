// SPDX-License-Identifier: Apache-2.0

// Package gcs keeps objects in a bucket of Google Cloud Storage.
//
// Rights. It needs storage.objects.get, create, delete and list (roles/storage.objectAdmin), and, to sign URLs without a key file,
// iam.serviceAccounts.signBlob on the service account that signs. It calls nothing else.
//
// Put. Objects below 256 KiB go up in one request, with their CRC32C, which the server checks; larger ones in chunks of 8 MiB, of which a Put holds
// one, and the CRC32C that the server has at the end is compared. An upload that ends early leaves nothing that can be seen or costs; Google forgets it after a week.
//
// Conditional writes. IfAbsent is one step: ifGenerationMatch=0. Every object carries the random id of its Put as metadata (hozon-put). If the answer to the last
// request is lost, or a repeated request finds its own object in the way, one request tells whether the Put has succeeded.
package gcs

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"

	"golang.org/x/oauth2"
	"google.golang.org/api/option"
	"google.golang.org/api/storage/v1"

	"hozon.dev/hozon/internal/blob"
	"hozon.dev/hozon/internal/blob/link"
	"hozon.dev/hozon/internal/blob/part"
	"hozon.dev/hozon/internal/fail"
)

// maxKey is Google's limit for names, in bytes, with the prefix.
const maxKey = 1024

// Bucket is a blob.Bucket in a bucket of Google Cloud Storage, below a prefix.
type Bucket struct {
	objects  *storage.ObjectsService
	bucket   string
	prefix   string // empty, or ends in "/"
	endpoint string // "https://host"
	kmsKey   string
	words    link.Words
	tls      link.TLS // for messages
	identity *identity
	signer   *signer
	pool     *part.Pool
}

var (
	_ blob.Bucket = (*Bucket)(nil)
	_ blob.Signer = (*Bucket)(nil)
)

// Open checks cfg and finds credentials. It does not speak to the bucket's server: whether bucket and rights are right shows at the first call.
func Open(ctx context.Context, cfg Config) (*Bucket, error) {
	b := &Bucket{bucket: cfg.Bucket, kmsKey: cfg.KMSKey, words: cfg.Words, tls: cfg.Words.TLS(cfg.CAFile, cfg.CA), pool: &part.Pool{}}
	if err := b.open(ctx, cfg); err != nil {
		return nil, fmt.Errorf("open store gs://%s: %w", cfg.Bucket, err)
	}
	return b, nil
}

func (b *Bucket) open(ctx context.Context, cfg Config) error {
	if err := cfg.check(); err != nil {
		return err
	}
	b.prefix, b.endpoint = cfg.Prefix, cfg.Endpoint
	transport, err := cfg.Words.TLS(cfg.CAFile, cfg.CA).Transport()
	if err != nil {
		return err
	}
	if b.identity, err = find(ctx, cfg, transport); err != nil {
		return err
	}
	client := &http.Client{Transport: &oauth2.Transport{Source: b.identity, Base: patient{transport}}}
	service, err := storage.NewService(context.WithoutCancel(ctx), option.WithHTTPClient(client), option.WithEndpoint(b.endpoint+"/storage/v1/"))
	if err != nil {
		return fail.As(fail.Invalid, err)
	}
	b.objects = storage.NewObjectsService(service)
	b.signer = &signer{account: cfg.ServiceAccount, identity: b.identity, client: client, service: cfg.signService()}
	return nil
}

// String implements blob.Bucket.
func (b *Bucket) String() string {
	return "gs://" + b.bucket + strings.TrimSuffix("/"+b.prefix, "/")
}

// Capabilities implements blob.Bucket.
func (b *Bucket) Capabilities() blob.Capabilities { return blob.Capabilities{AtomicPut: true} }

// name returns the object's full name.
func (b *Bucket) name(ctx context.Context, key string) (string, error) {
	if err := blob.CheckKey(key); err != nil {
		return "", err
	}
	name := b.prefix + key
	if len(name) > maxKey {
		return "", fail.Errorf(fail.Invalid, "key %.100q… has %d bytes, with the store's prefix; Google Cloud Storage allows %d", name, len(name), maxKey)
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
	call := b.objects.Get(b.bucket, name).Context(ctx)
	if length > 0 {
		call.Header().Set("Range", fmt.Sprintf("bytes=%d-%d", offset, offset+length-1))
	} else if offset > 0 {
		call.Header().Set("Range", fmt.Sprintf("bytes=%d-", offset))
	}
	response, err := call.Download()
	if status(err) == http.StatusRequestedRangeNotSatisfiable {
		return b.nothing(ctx, name, offset) // no byte lies there: at the end, or beyond
	}
	if err != nil {
		return nil, err
	}
	if offset > 0 && !strings.HasPrefix(response.Header.Get("Content-Range"), fmt.Sprintf("bytes %d-", offset)) {
		response.Body.Close()
		return nil, fail.Errorf(fail.Unsupported, "the server ignores the Range of a request (it answers with Content-Range %q)", response.Header.Get("Content-Range"))
	}
	n, rc := response.ContentLength, response.Body
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
	return blob.Nothing(int64(info.Size), offset)
}

// Stat implements blob.Bucket.
func (b *Bucket) Stat(ctx context.Context, key string) (blob.Info, error) {
	name, err := b.name(ctx, key)
	if err != nil {
		return blob.Info{}, fmt.Errorf("stat %s: %w", key, err)
	}
	object, err := b.stat(ctx, name)
	if err != nil {
		return blob.Info{}, b.explain("stat", key, err)
	}
	return blob.Info{Key: key, Size: int64(object.Size), Modified: modified(object)}, nil
}

func (b *Bucket) stat(ctx context.Context, name string) (*storage.Object, error) {
	return b.objects.Get(b.bucket, name).Fields("name", "size", "updated", "metadata").Context(ctx).Do()
}

func modified(object *storage.Object) time.Time {
	at, _ := time.Parse(time.RFC3339Nano, object.Updated) // zero if unknown
	return at
}

// List implements blob.Bucket. It holds one page of the server's (1,000 names) in memory.
func (b *Bucket) List(ctx context.Context, prefix string, shallow bool, fn func(blob.Info) error) error {
	if err := blob.CheckPrefix(prefix); err != nil {
		return fmt.Errorf("list: %w", err)
	}
	if len(b.prefix+prefix) > maxKey {
		return nil
	}
	call := b.objects.List(b.bucket).Prefix(b.prefix+prefix).MaxResults(1000).Fields("items(name,size,updated)", "prefixes", "nextPageToken")
	if shallow {
		call.Delimiter("/")
	}
	listing := blob.Listing{Root: b.prefix, Prefix: prefix, Shallow: shallow, Fn: fn}
	var own error // an error of fn, and no answer of the server's
	err := call.Pages(ctx, func(page *storage.Objects) error {
		for _, object := range page.Items {
			listing.Add(object.Name, int64(object.Size), modified(object))
		}
		for _, name := range page.Prefixes {
			listing.Add(name, 0, time.Time{})
		}
		if own = listing.Flush(); own == nil {
			own = ctx.Err()
		}
		return own
	})
	if own != nil || err == nil {
		return own
	}
	return b.explain("list", prefix, err)
}

// Delete implements blob.Bucket.
func (b *Bucket) Delete(ctx context.Context, key string) error {
	name, err := b.name(ctx, key)
	if err != nil {
		return fmt.Errorf("delete %s: %w", key, err)
	}
	err = b.objects.Delete(b.bucket, name).Context(ctx).Do()
	if err == nil || status(err) == http.StatusNotFound && !noBucket(err) {
		return nil
	}
	return b.explain("delete", key, err)
}
