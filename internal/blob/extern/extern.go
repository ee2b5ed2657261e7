// SPDX-License-Identifier: Apache-2.0

// Package extern makes a Bucket out of somebody else's object store: what a Velero plugin of that kind can do.
//
// Such a store can do less than the drivers of this module: it tells no sizes, reads from the beginning only (blob.Capabilities.WholeOnly), lists all keys
// in one answer, and gives its errors no kinds. What is missing is looked for: a key that cannot be read is NotFound if the store says that it is not
// there. IfAbsent is a look before the write.
//
// The package does not know how the store is reached.
package extern

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"hozon.dev/hozon/internal/blob"
	"hozon.dev/hozon/internal/fail"
)

// Store is what others can do with objects, by names of buckets and whole keys.
type Store interface {
	Exists(ctx context.Context, bucket, key string) (bool, error)
	// List returns the keys that begin with prefix; Folders what they have up to the next "/" after it.
	List(ctx context.Context, bucket, prefix string) ([]string, error)
	Folders(ctx context.Context, bucket, prefix string) ([]string, error)
	Get(ctx context.Context, bucket, key string) (io.ReadCloser, error)
	// Put stores what write writes; an error of write is returned, and nothing is stored.
	Put(ctx context.Context, bucket, key string, write func(io.Writer) error) error
	Delete(ctx context.Context, bucket, key string) error
	Sign(ctx context.Context, bucket, key string, ttl time.Duration) (string, error)
}

// Bucket is a bucket of a Store. Its fields are set before the first use and not changed.
type Bucket struct {
	Store    Store
	Provider string // for messages
	Name     string
	Prefix   string // of all keys: "" or a path without "/" at its ends
	ReadOnly bool   // writing is refused
}

var (
	_ blob.Bucket   = (*Bucket)(nil)
	_ blob.Foldered = (*Bucket)(nil)
	_ blob.Signer   = (*Bucket)(nil)
)

// String implements blob.Bucket.
func (b *Bucket) String() string { return b.Provider + "://" + b.Name + "/" + b.Prefix }

// Capabilities implements blob.Bucket.
func (b *Bucket) Capabilities() blob.Capabilities {
	return blob.Capabilities{Sizeless: true, WholeOnly: true}
}

// maxKey is the longest key that the stores of this world have in common.
const maxKey = 1024

func (b *Bucket) root() string {
	if b.Prefix == "" {
		return ""
	}
	return b.Prefix + "/"
}

func (b *Bucket) key(key string) (string, error) {
	if err := blob.CheckKey(key); err != nil {
		return "", err
	}
	if whole := b.root() + key; len(whole) <= maxKey {
		return whole, nil
	}
	return "", fail.Errorf(fail.Invalid, "key %.40q… has %d bytes: stores take %d at most", key, len(key), maxKey-len(b.root()))
}

// wrong names operation, key and bucket.
func (b *Bucket) wrong(op, key string, err error) error {
	return fmt.Errorf("%s %s in %s: %w", op, key, b, err)
}

// Get implements blob.Bucket.
func (b *Bucket) Get(ctx context.Context, key string, offset, length int64) (io.ReadCloser, error) {
	whole, err := b.key(key)
	if err != nil {
		return nil, err
	}
	if offset < 0 {
		return nil, fail.Errorf(fail.Invalid, "get %s in %s: offset %d", key, b, offset)
	}
	r, err := b.Store.Get(ctx, b.Name, whole)
	if err != nil {
		return nil, b.wrong("get", key, b.absent(ctx, whole, err))
	}
	if skipped, err := io.CopyN(io.Discard, r, offset); err != nil {
		r.Close()
		if errors.Is(err, io.EOF) {
			_, err = blob.Range(skipped, offset, length)
		}
		return nil, b.wrong("get", key, err)
	}
	if length < 0 {
		return r, nil
	}
	return part{io.LimitReader(r, length), r}, nil
}

type part struct {
	io.Reader
	io.Closer
}

// absent gives the error of a key that does not exist its kind.
func (b *Bucket) absent(ctx context.Context, whole string, err error) error {
	if fail.Of(err) != fail.Unknown {
		return err
	}
	if exists, lookErr := b.Store.Exists(ctx, b.Name, whole); lookErr == nil && !exists {
		return fail.As(fail.NotFound, err)
	}
	return err
}

// Put implements blob.Bucket.
func (b *Bucket) Put(ctx context.Context, key string, r io.Reader, o blob.PutOptions) (int64, error) {
	whole, err := b.key(key)
	if err != nil {
		return 0, err
	}
	if b.ReadOnly {
		return 0, fail.Errorf(fail.Denied, "put %s in %s: the location is read-only", key, b)
	}
	if o.IfAbsent {
		exists, err := b.Store.Exists(ctx, b.Name, whole)
		if err != nil {
			return 0, b.wrong("put", key, err)
		}
		if exists {
			return 0, fail.Errorf(fail.Exists, "put %s in %s: it exists", key, b)
		}
	}
	var n int64
	err = b.Store.Put(ctx, b.Name, whole, func(w io.Writer) error {
		var source, sink error
		n, source, sink = blob.Copy(ctx, w, r)
		return errors.Join(source, sink)
	})
	if err == nil {
		err = ctx.Err() // it may have ended unseen; what was stored is whole
	}
	if err != nil {
		return 0, b.wrong("put", key, err)
	}
	return n, nil
}

// Stat implements blob.Bucket. The size is not known.
func (b *Bucket) Stat(ctx context.Context, key string) (blob.Info, error) {
	whole, err := b.key(key)
	if err != nil {
		return blob.Info{}, err
	}
	exists, err := b.Store.Exists(ctx, b.Name, whole)
	if err != nil {
		return blob.Info{}, b.wrong("stat", key, err)
	}
	if !exists {
		return blob.Info{}, fail.Errorf(fail.NotFound, "stat %s in %s: it does not exist", key, b)
	}
	return blob.Info{Key: key, Size: -1}, nil
}

// List implements blob.Bucket.
func (b *Bucket) List(ctx context.Context, prefix string, shallow bool, fn func(blob.Info) error) error {
	if err := blob.CheckPrefix(prefix); err != nil {
		return err
	}
	keys, err := b.Store.List(ctx, b.Name, b.root()+prefix)
	if err != nil {
		return b.wrong("list", prefix, err)
	}
	l := blob.Listing{Root: b.root(), Prefix: prefix, Shallow: shallow, Fn: func(i blob.Info) error {
		if err := context.Cause(ctx); err != nil {
			return err
		}
		return fn(i)
	}}
	for _, key := range keys {
		if at := strings.Index(strings.TrimPrefix(key, b.root()+prefix), "/"); shallow && at >= 0 {
			key = key[:len(b.root()+prefix)+at+1]
		}
		l.Add(key, -1, time.Time{})
	}
	return l.Flush()
}

// Folders implements blob.Foldered.
func (b *Bucket) Folders(ctx context.Context, prefix string) ([]string, error) {
	if err := blob.CheckPrefix(prefix); err != nil {
		return nil, err
	}
	all, err := b.Store.Folders(ctx, b.Name, b.root()+prefix)
	if err != nil {
		return nil, b.wrong("list", prefix, err)
	}
	var out []string
	l := blob.Listing{Root: b.root(), Prefix: prefix, Shallow: true, Fn: func(i blob.Info) error {
		if i.Dir {
			out = append(out, i.Key)
		}
		return nil
	}}
	for _, folder := range all {
		l.Add(strings.TrimSuffix(folder, "/")+"/", -1, time.Time{})
	}
	return out, l.Flush()
}

// Delete implements blob.Bucket. Stores that refuse to delete what is not there are asked whether it is.
func (b *Bucket) Delete(ctx context.Context, key string) error {
	whole, err := b.key(key)
	if err != nil {
		return err
	}
	if b.ReadOnly {
		return fail.Errorf(fail.Denied, "delete %s in %s: the location is read-only", key, b)
	}
	if err := b.Store.Delete(ctx, b.Name, whole); err != nil && !fail.Is(b.absent(ctx, whole, err), fail.NotFound) {
		return b.wrong("delete", key, err)
	}
	return nil
}

// Sign implements blob.Signer.
func (b *Bucket) Sign(ctx context.Context, key string, ttl time.Duration) (string, error) {
	whole, err := b.key(key)
	if err != nil {
		return "", err
	}
	url, err := b.Store.Sign(ctx, b.Name, whole, ttl)
	if err != nil {
		return "", b.wrong("sign", key, err)
	}
	return url, nil
}
