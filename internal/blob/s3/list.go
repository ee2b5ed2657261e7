// SPDX-License-Identifier: Apache-2.0

package s3

import (
	"context"
	"fmt"
	"net/http/httptrace"

	"github.com/minio/minio-go/v7"

	"hozon.dev/hozon/internal/blob"
)

// List implements blob.Bucket. It holds one page of the server's (1,000 names) in memory.
func (b *Bucket) List(ctx context.Context, prefix string, shallow bool, fn func(blob.Info) error) error {
	if err := blob.CheckPrefix(prefix); err != nil {
		return fmt.Errorf("list: %w", err)
	}
	if len(b.prefix+prefix) > maxKey {
		return nil
	}
	if err := ctx.Err(); err != nil {
		return fmt.Errorf("list %s: %w", prefix, err)
	}
	// A page comes as objects and then common prefixes, each in order, so it has to be complete before any of it is passed on. The
	// library does not say where a page ends; but it asks for the next in between two items, which this trace shows.
	requests := 0
	traced := httptrace.WithClientTrace(ctx, &httptrace.ClientTrace{GetConn: func(string) { requests++ }})
	owner := false
	p := blob.Listing{Root: b.prefix, Prefix: prefix, Shallow: shallow, Fn: fn}
	seen := 0
	for object := range b.core.ListObjectsIter(traced, b.bucket, minio.ListObjectsOptions{Prefix: b.prefix + prefix, Recursive: !shallow, FetchOwner: &owner}) {
		if object.Err != nil {
			return b.explain("list", prefix, object.Err)
		}
		if requests != seen {
			seen = requests
			if err := p.Flush(); err != nil {
				return err
			}
		}
		p.Add(object.Key, object.Size, object.LastModified)
	}
	if err := ctx.Err(); err != nil { // the library just stops
		return fmt.Errorf("list %s: %w", prefix, err)
	}
	return p.Flush()
}
