// SPDX-License-Identifier: Apache-2.0

// Package azure keeps objects as block blobs in a container of Azure Blob Storage.
//
// Rights. With an identity it needs the role "Storage Blob Data Contributor" on the container, and to sign URLs also the right to get a user
// delegation key (Microsoft.Storage/storageAccounts/blobServices/generateUserDelegationKey/action).
//
// Put. Objects below the size of a block (4 MiB) go up in one request, larger ones in blocks, of which a Put holds three; blocks grow so that the largest
// blob fits into the 50,000 that Azure allows. Every request carries the MD5 of its body, which the server checks. Blocks of a Put that fails are never
// seen; Azure drops them after a week.
//
// Conditional writes. IfAbsent is one step: "If-None-Match: *". Every object carries the random id of its Put as metadata (hozonput). If the answer to the last
// request is lost, or a repeated request finds its own object in the way, one HEAD tells whether the Put has succeeded.
package azure

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"
	"unicode/utf8"

	azblob "github.com/Azure/azure-sdk-for-go/sdk/storage/azblob/blob"
	"github.com/Azure/azure-sdk-for-go/sdk/storage/azblob/bloberror"
	"github.com/Azure/azure-sdk-for-go/sdk/storage/azblob/container"
	"github.com/Azure/azure-sdk-for-go/sdk/storage/azblob/service"

	"hozon.dev/hozon/internal/blob"
	"hozon.dev/hozon/internal/blob/link"
	"hozon.dev/hozon/internal/blob/part"
	"hozon.dev/hozon/internal/fail"
)

const (
	tries      = 3 // of each request, the first included
	retryDelay = 300 * time.Millisecond
	maxKey     = 1024 // characters, with the prefix: Azure's limit
	maxDepth   = 254  // elements of a name: Azure's limit
	// afterwards bounds the look for what became of a Put.
	afterwards = 2 * time.Second
)

// Bucket is a blob.Bucket in a container, below a prefix.
type Bucket struct {
	service   *service.Client
	container *container.Client
	account   string
	name      string
	prefix    string // empty, or ends in "/"
	endpoint  string
	blockSize int64
	source    string                       // where the credentials came from
	key       *service.SharedKeyCredential // nil: none is known
	bySAS     bool
	words     link.Words
	tls       link.TLS // for messages
	pool      *part.Pool
}

var (
	_ blob.Bucket = (*Bucket)(nil)
	_ blob.Signer = (*Bucket)(nil)
)

// String implements blob.Bucket.
func (b *Bucket) String() string {
	return "azblob://" + b.name + strings.TrimSuffix("/"+b.prefix, "/")
}

// Capabilities implements blob.Bucket.
func (b *Bucket) Capabilities() blob.Capabilities { return blob.Capabilities{AtomicPut: true} }

// full returns the blob's full name.
func (b *Bucket) full(ctx context.Context, key string) (string, error) {
	if err := blob.CheckKey(key); err != nil {
		return "", err
	}
	name := b.prefix + key
	if utf8.RuneCountInString(name) > maxKey || strings.Count(name, "/") >= maxDepth {
		return "", fail.Errorf(fail.Invalid, "key %.100q… has too many characters or elements, with the store's prefix; Azure allows %d and %d", name, maxKey, maxDepth)
	}
	if strings.Contains(name, `\`) {
		return "", fail.Errorf(fail.Invalid, `key %q has a '\', which Azure takes for a '/'`, name)
	}
	return name, ctx.Err()
}

// Get implements blob.Bucket.
func (b *Bucket) Get(ctx context.Context, key string, offset, length int64) (io.ReadCloser, error) {
	name, err := b.full(ctx, key)
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
	span := azblob.HTTPRange{Offset: offset}
	if length > 0 && offset+length > 0 {
		span.Count = length // 0 is to the end
	}
	response, err := b.container.NewBlobClient(name).DownloadStream(ctx, &azblob.DownloadStreamOptions{Range: span})
	if bloberror.HasCode(err, bloberror.InvalidRange) || status(err) == http.StatusRequestedRangeNotSatisfiable {
		return b.nothing(ctx, name, offset) // no byte lies there: at the end, or beyond
	}
	if err != nil {
		return nil, err
	}
	if offset > 0 && (response.ContentRange == nil || !strings.HasPrefix(*response.ContentRange, fmt.Sprintf("bytes %d-", offset))) {
		response.Body.Close()
		return nil, fail.Errorf(fail.Unsupported, "the server ignores the Range of a request")
	}
	rc := response.Body
	if response.ContentLength != nil {
		n := *response.ContentLength
		if span.Count > 0 {
			n = min(n, span.Count)
		}
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
	name, err := b.full(ctx, key)
	if err != nil {
		return blob.Info{}, fmt.Errorf("stat %s: %w", key, err)
	}
	info, err := b.stat(ctx, name)
	if err != nil {
		return blob.Info{}, b.explain("stat", key, err)
	}
	info.Key = key
	return info, nil
}

func (b *Bucket) stat(ctx context.Context, name string) (blob.Info, error) {
	p, err := b.container.NewBlobClient(name).GetProperties(ctx, nil)
	if err != nil {
		return blob.Info{}, err
	}
	return blob.Info{Size: value(p.ContentLength), Modified: value(p.LastModified)}, nil
}

// value is what p points to, or nothing.
func value[T any](p *T) (v T) {
	if p != nil {
		v = *p
	}
	return v
}

// List implements blob.Bucket. It holds one page of the server's (5,000 names at most) in memory.
func (b *Bucket) List(ctx context.Context, prefix string, shallow bool, fn func(blob.Info) error) error {
	if err := blob.CheckPrefix(prefix); err != nil {
		return fmt.Errorf("list: %w", err)
	}
	if utf8.RuneCountInString(b.prefix+prefix) > maxKey {
		return nil
	}
	pages := b.pages(b.prefix+prefix, shallow)
	listing := blob.Listing{Root: b.prefix, Prefix: prefix, Shallow: shallow, Fn: fn}
	for {
		if err := ctx.Err(); err != nil {
			return fmt.Errorf("list %s: %w", prefix, err)
		}
		items, folders, more, err := pages(ctx)
		if err != nil {
			return b.explain("list", prefix, err)
		}
		for _, item := range items {
			if p := item.Properties; item.Name != nil && p != nil {
				listing.Add(*item.Name, value(p.ContentLength), value(p.LastModified))
			}
		}
		for _, folder := range folders {
			listing.Add(value(folder.Name), 0, time.Time{})
		}
		if err := listing.Flush(); err != nil || !more {
			return err
		}
	}
}

type page func(context.Context) (items []*container.BlobItem, folders []*container.BlobPrefix, more bool, err error)

// pages returns a function that gets the next page of a listing.
func (b *Bucket) pages(prefix string, shallow bool) page {
	if !shallow {
		pager := b.container.NewListBlobsFlatPager(&container.ListBlobsFlatOptions{Prefix: &prefix})
		return func(ctx context.Context) ([]*container.BlobItem, []*container.BlobPrefix, bool, error) {
			p, err := pager.NextPage(ctx)
			if err != nil {
				return nil, nil, false, err
			}
			return p.Segment.BlobItems, nil, pager.More(), nil
		}
	}
	pager := b.container.NewListBlobsHierarchyPager("/", &container.ListBlobsHierarchyOptions{Prefix: &prefix})
	return func(ctx context.Context) ([]*container.BlobItem, []*container.BlobPrefix, bool, error) {
		p, err := pager.NextPage(ctx)
		if err != nil {
			return nil, nil, false, err
		}
		return p.Segment.BlobItems, p.Segment.BlobPrefixes, pager.More(), nil
	}
}

// Delete implements blob.Bucket.
func (b *Bucket) Delete(ctx context.Context, key string) error {
	name, err := b.full(ctx, key)
	if err != nil {
		return fmt.Errorf("delete %s: %w", key, err)
	}
	_, err = b.container.NewBlobClient(name).Delete(ctx, nil)
	if err == nil || bloberror.HasCode(err, bloberror.BlobNotFound) {
		return nil
	}
	return b.explain("delete", key, err)
}
