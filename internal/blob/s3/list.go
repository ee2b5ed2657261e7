// SPDX-License-Identifier: Apache-2.0

package s3

import (
	"context"
	"fmt"
	"net/http/httptrace"
	"slices"
	"strings"

	"github.com/minio/minio-go/v7"

	"hozon.dev/hozon/internal/blob"
	"hozon.dev/hozon/internal/fail"
)

// List implements blob.Bucket. It holds one page of the server's (1,000 names) in memory. Names that are no keys are passed over, such as
// the "folder/" objects that web consoles make.
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
	p := page{bucket: b, prefix: prefix, fn: fn}
	seen := 0
	for object := range b.core.ListObjectsIter(traced, b.bucket, minio.ListObjectsOptions{Prefix: b.prefix + prefix, Recursive: !shallow, FetchOwner: &owner}) {
		if object.Err != nil {
			return b.explain("list", prefix, object.Err)
		}
		if requests != seen {
			seen = requests
			if err := p.flush(); err != nil {
				return err
			}
		}
		p.add(object, shallow)
	}
	if err := ctx.Err(); err != nil { // the library just stops
		return fmt.Errorf("list %s: %w", prefix, err)
	}
	return p.flush()
}

type page struct {
	bucket *Bucket
	prefix string
	fn     func(blob.Info) error
	infos  []blob.Info
	last   string // the last key passed on
}

func (p *page) add(object minio.ObjectInfo, shallow bool) {
	key, ok := strings.CutPrefix(object.Key, p.bucket.prefix)
	if !ok || !strings.HasPrefix(key, p.prefix) {
		return
	}
	path, dir := strings.CutSuffix(key, "/")
	if dir && !(shallow && len(key) > len(p.prefix)) || blob.CheckKey(path) != nil {
		return
	}
	if dir {
		p.infos = append(p.infos, blob.Info{Key: key, Dir: true})
		return
	}
	p.infos = append(p.infos, blob.Info{Key: key, Size: object.Size, Modified: object.LastModified})
}

// flush passes a page on. Servers differ in whether a common prefix that spans two pages comes in both.
func (p *page) flush() error {
	slices.SortStableFunc(p.infos, func(x, y blob.Info) int { return strings.Compare(x.Key, y.Key) })
	for _, info := range p.infos {
		if info.Key == p.last {
			continue
		}
		if info.Key < p.last {
			return fail.Errorf(fail.Unsupported, "list %s: the server does not list in byte order: %q after %q", p.prefix, info.Key, p.last)
		}
		p.last = info.Key
		if err := p.fn(info); err != nil {
			return err
		}
	}
	p.infos = p.infos[:0]
	return nil
}
