// SPDX-License-Identifier: Apache-2.0

package store

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"

	"github.com/klauspost/compress/gzip"

	"hozon.dev/hozon/internal/fail"
)

// sideLimit bounds what is inflated into memory of a side file; a resource list of a million items is about 60 MiB.
const sideLimit = 256 << 20

type inflated struct {
	*gzip.Reader
	raw io.Closer
}

func (f inflated) Close() error { return errors.Join(f.Reader.Close(), f.raw.Close()) }

// OpenText opens a gzip file of a backup or restore for reading its content. Reads fail on a wrong checksum.
func (s *Store) OpenText(ctx context.Context, sort Sort, name string, f File) (io.ReadCloser, error) {
	raw, err := s.Open(ctx, sort, name, f, 0, -1)
	if err != nil {
		return nil, err
	}
	gz, err := gzip.NewReader(raw)
	if err != nil {
		return nil, errors.Join(fail.Errorf(unreadable(err), "open %s of %s %s: %w", f.Of(name), sort, name, err), raw.Close())
	}
	return inflated{gz, raw}, nil
}

// unreadable is the kind of an error met in reading a file: that of the store if it was the store that failed, else the file is Corrupt.
func unreadable(err error) fail.Kind {
	if kind := fail.Of(err); kind != fail.Unknown {
		return kind
	}
	if errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded) {
		return fail.Unknown
	}
	return fail.Corrupt
}

// ReadJSON reads a gzip JSON side file into v. fail.NotFound: the file does not exist; fail.Corrupt: it cannot be read.
func (s *Store) ReadJSON(ctx context.Context, sort Sort, name string, f File, v any) error {
	r, err := s.OpenText(ctx, sort, name, f)
	if err != nil {
		return err
	}
	defer r.Close()
	limited := &io.LimitedReader{R: r, N: sideLimit}
	dec := json.NewDecoder(limited)
	if err := dec.Decode(v); err != nil {
		if limited.N <= 0 {
			err = fmt.Errorf("larger than %d bytes", sideLimit)
		}
		return fail.Errorf(unreadable(err), "read %s of %s %s: %w", f.Of(name), sort, name, err)
	}
	return nil
}
