// SPDX-License-Identifier: Apache-2.0

package kopia

import (
	"context"
	"fmt"
	"io"
	"strings"
	"time"

	kopia "github.com/kopia/kopia/repo/blob"

	"hozon.dev/hozon/internal/blob"
	"hozon.dev/hozon/internal/fail"
	"hozon.dev/hozon/internal/vault"
)

// storage is the folder of a Bucket as kopia wants it: kopia's blobs are the objects below prefix, with the same names that its own
// drivers give them.
type storage struct {
	kopia.DefaultProviderImplementation
	near     vault.Near
	prefix   string // ends in "/"
	readOnly bool
	create   bool             // the repository is being made: nothing is replaced
	now      func() time.Time // nil: the clock
}

// String names the repository in messages.
func (s *storage) String() string {
	return "repository " + strings.TrimSuffix(s.prefix, "/") + " in " + s.near.Bucket.String()
}

func (s *storage) key(id kopia.ID) string { return s.prefix + string(id) }

// GetBlob is kopia's: a length below zero asks for all of it.
func (s *storage) GetBlob(ctx context.Context, id kopia.ID, offset, length int64, out kopia.OutputBuffer) error {
	out.Reset()
	if offset < 0 {
		return fail.Errorf(fail.Corrupt, "%s: byte %d: %w", s.key(id), offset, kopia.ErrInvalidRange)
	}
	if length >= 0 && length <= vault.NearLimit && immutable(id) {
		data, err := s.near.Read(ctx, s.key(id), offset, length)
		if err != nil {
			return s.explain(id, err)
		}
		_, err = out.Write(data)
		return err
	}
	if err := vault.Fetch(ctx, s.near.Bucket, s.key(id), offset, length, out); err != nil {
		return s.explain(id, err)
	}
	if length >= 0 && int64(out.Length()) != length {
		return s.explain(id, vault.Short(s.key(id), offset, length))
	}
	return nil
}

// immutable reports whether a blob is a pack.
func immutable(id kopia.ID) bool { return id != "" && (id[0] == 'p' || id[0] == 'q') }

// missing is the error about an object that should be there. It is found again below all that kopia wraps around it.
type missing struct{ key string }

func (m *missing) Error() string { return m.key + " is missing" }

// Unwrap gives the error that kopia knows.
func (m *missing) Unwrap() error { return kopia.ErrBlobNotFound }

// explain makes errors of a Bucket those that kopia knows, and keeps their kind.
func (s *storage) explain(id kopia.ID, err error) error {
	switch fail.Of(err) {
	case fail.NotFound:
		return fail.As(fail.NotFound, &missing{s.key(id)})
	case fail.Invalid, fail.Corrupt:
		return fail.Errorf(fail.Corrupt, "%w: %w", err, kopia.ErrInvalidRange)
	case fail.Exists:
		return fail.Errorf(fail.Exists, "%s: %w", s.key(id), kopia.ErrBlobAlreadyExists)
	}
	return err
}

func (s *storage) GetMetadata(ctx context.Context, id kopia.ID) (kopia.Metadata, error) {
	info, err := s.near.Bucket.Stat(ctx, s.key(id))
	if err != nil {
		return kopia.Metadata{}, s.explain(id, err)
	}
	return kopia.Metadata{BlobID: id, Length: info.Size, Timestamp: info.Modified}, nil
}

// ListBlobs passes over folders: kopia's own drivers for buckets make none.
func (s *storage) ListBlobs(ctx context.Context, prefix kopia.ID, fn func(kopia.Metadata) error) error {
	return s.near.Bucket.List(ctx, s.key(prefix), true, func(info blob.Info) error {
		if info.Dir {
			return nil
		}
		return fn(kopia.Metadata{BlobID: kopia.ID(strings.TrimPrefix(info.Key, s.prefix)), Length: info.Size, Timestamp: info.Modified})
	})
}

// PutBlob is kopia's. Locks on objects are the store's business.
func (s *storage) PutBlob(ctx context.Context, id kopia.ID, data kopia.Bytes, opts kopia.PutOptions) error {
	switch {
	case s.readOnly:
		return fail.Errorf(fail.Denied, "put %s: the repository was opened to be read", s.key(id))
	case opts.HasRetentionOptions():
		return fmt.Errorf("put %s with a lock: %w", s.key(id), kopia.ErrUnsupportedPutBlobOption)
	case !opts.SetModTime.IsZero():
		return fmt.Errorf("put %s with a time: %w", s.key(id), kopia.ErrSetTimeUnsupported)
	}
	r := data.Reader()
	defer r.Close()
	if _, err := s.near.Bucket.Put(ctx, s.key(id), io.Reader(r), blob.PutOptions{IfAbsent: opts.DoNotRecreate || s.create}); err != nil {
		return s.explain(id, err)
	}
	if opts.GetModTime == nil {
		return nil
	}
	info, err := s.GetMetadata(ctx, id)
	*opts.GetModTime = info.Timestamp
	return err
}

func (s *storage) DeleteBlob(ctx context.Context, id kopia.ID) error {
	if s.readOnly {
		return fail.Errorf(fail.Denied, "delete %s: the repository was opened to be read", s.key(id))
	}
	return s.near.Bucket.Delete(ctx, s.key(id))
}

func (s *storage) IsReadOnly() bool { return s.readOnly }

// DisplayName and ConnectionInfo are what kopia keeps in its own records.
func (s *storage) DisplayName() string { return s.near.Bucket.String() }

func (s *storage) ConnectionInfo() kopia.ConnectionInfo {
	return kopia.ConnectionInfo{Type: storageType, Config: &struct{}{}}
}
