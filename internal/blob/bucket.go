// SPDX-License-Identifier: Apache-2.0

// Package blob is the one door to stored bytes: a flat space of keys with immutable-in-practice
// objects behind it. Drivers live in sub-packages, one each; every driver passes the suite in blobtest.
//
// What every Bucket guarantees:
//   - a Put that returned nil is durable and is seen by every later Get, Stat and List (read after write);
//   - a Put that returned an error, or never returned, left either the old object or none: a reader never sees part of an object.
//     (Only where the link to the store breaks during the very last step can the whole new object be there.);
//   - keys are UTF-8, separated by "/", without control characters and without empty, "." or ".." elements; anything else is
//     refused with fail.Invalid (CheckKey). A store may refuse more with fail.Invalid: names that are too long for it or that it would change, and a key
//     that runs through another one ("a/b" where "a" is an object), as a file system does;
//   - errors carry a kind of package fail; a missing key is fail.NotFound, in Get, Stat and nowhere else;
//   - all methods may be called from several goroutines.
//
// A Bucket does not retry, cache, encrypt or know any layout.
package blob

import (
	"context"
	"io"
	"time"
)

// Info describes one object, or, with Dir set, one common prefix.
type Info struct {
	Key      string    // a common prefix ends in "/"
	Size     int64     // bytes; -1: the store does not say (Capabilities.Sizeless)
	Modified time.Time // by the store's clock; zero if unknown
	Dir      bool
}

// PutOptions modify a Put. The zero value replaces whatever is there.
type PutOptions struct {
	// IfAbsent makes Put fail with fail.Exists if the key exists. The check and the write are one step
	// where the store can do that (Capabilities.AtomicPut); else the check comes right before the write.
	IfAbsent bool
}

// Capabilities say what a store can do beyond the contract.
type Capabilities struct {
	AtomicPut bool // IfAbsent is one step
	Sizeless  bool // sizes are not known
	WholeOnly bool // Get reads, and drops, what lies before the offset: parts cost as much as the whole
}

// Bucket is a place to keep objects in. A driver may already have bound a prefix: keys are relative to it.
type Bucket interface {
	// Get returns length bytes of key from offset, or fewer if the object ends before; length < 0 means to the end. An offset at
	// the end gives no bytes, one beyond the end (or below zero) is fail.Invalid.
	// The caller closes the reader, which may fail once ctx has ended. A connection that breaks shows as a read error, never as an early EOF.
	Get(ctx context.Context, key string, offset, length int64) (io.ReadCloser, error)
	// Put stores everything that r yields under key, in bounded memory, and returns its size. If r returns an error other
	// than io.EOF, nothing is stored and that error is returned (wrapped). A ctx that ends between two reads of r does the same. With
	// IfAbsent, r may be left unread when the key is known to exist. r is not used after Put has returned.
	Put(ctx context.Context, key string, r io.Reader, opts PutOptions) (int64, error)
	// Stat describes one object without reading it.
	Stat(ctx context.Context, key string) (Info, error)
	// List calls fn for every object whose key starts with prefix, in byte order of the keys; the prefix may end inside of a name. With
	// shallow set, keys that have a "/" after the prefix are rolled up into one Info with Dir set. fn may call the Bucket. An error from fn
	// ends the listing and is returned. Objects put or deleted while it runs are listed or not; all others exactly once.
	List(ctx context.Context, prefix string, shallow bool, fn func(Info) error) error
	// Delete removes one object. A missing key is no error.
	Delete(ctx context.Context, key string) error
	// Capabilities never change during the life of a Bucket.
	Capabilities() Capabilities
	// String names the bucket for messages, without credentials: "s3://bucket/prefix", "file:///srv/backups".
	String() string
}

// Foldered is what a Bucket also is if it can tell the common prefixes of a shallow listing by themselves, and that costs less.
type Foldered interface {
	// Folders are the common prefixes below prefix, sorted, each with a "/" at its end.
	Folders(ctx context.Context, prefix string) ([]string, error)
}

// Folders are the common prefixes of a shallow listing.
func Folders(ctx context.Context, b Bucket, prefix string) (all []string, err error) {
	if f, ok := b.(Foldered); ok {
		return f.Folders(ctx, prefix)
	}
	err = b.List(ctx, prefix, true, func(i Info) error {
		if i.Dir {
			all = append(all, i.Key)
		}
		return nil
	})
	return all, err
}

// Signer is what a Bucket also is if its store can let anybody read one object for a while. Only a Bucket over a network is one.
type Signer interface {
	// Sign returns a URL from which anybody can GET the object under key until ttl has passed. Whether there is such an object is not looked
	// at. A store or a setting that cannot do it is fail.Unsupported. The URL is a secret while it lives.
	Sign(ctx context.Context, key string, ttl time.Duration) (string, error)
}
