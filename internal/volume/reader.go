// SPDX-License-Identifier: Apache-2.0

package volume

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"hozon.dev/hozon/internal/blob"
	"hozon.dev/hozon/internal/fail"
	"hozon.dev/hozon/internal/vault"
	"hozon.dev/hozon/internal/vault/kopia"
	"hozon.dev/hozon/internal/vault/restic"
)

// Reader opens the repositories of a store. It is for one goroutine. Close it.
type Reader struct {
	Bucket blob.Bucket
	// Passwords are tried one after the other. Without any: the location's own key, and then the one that Velero gives every repository.
	Passwords []string
	Cache     string // an existing folder for indexes; empty: in memory
	Limit     int64  // of Cache, as kopia.Options has it

	keys []string
	open map[string]vault.Repository // by prefix
}

// KeyObject is where a location keeps the password of its repositories, as text.
const KeyObject = "metadata/hozon/repo-key"

// veleroPassword is what Velero protects all its repositories with, unless it was told another.
const veleroPassword = "static-passw0rd"

// maxKey bounds a password.
const maxKey = 4 << 10

// Tree opens the snapshot of a volume.
func (r *Reader) Tree(ctx context.Context, v Volume) (vault.Tree, error) {
	tree, err := r.Open(ctx, v)
	if err != nil {
		return nil, fmt.Errorf("volume %s: %w", &v, err)
	}
	return tree, nil
}

// Open is Tree for those who name the volume themselves.
func (r *Reader) Open(ctx context.Context, v Volume) (vault.Tree, error) {
	repository, err := r.repository(ctx, v)
	if err != nil {
		return nil, err
	}
	return repository.Tree(ctx, v.SnapshotID)
}

func (r *Reader) repository(ctx context.Context, v Volume) (vault.Repository, error) {
	prefix, open, err := r.opener(v)
	if err != nil {
		return nil, err
	}
	if opened := r.open[prefix]; opened != nil {
		return opened, nil
	}
	passwords, err := r.passwords(ctx)
	if err != nil {
		return nil, err
	}
	var opened vault.Repository
	for _, password := range passwords {
		if opened, err = open(ctx, password); !fail.Is(err, fail.Denied) {
			break
		}
	}
	if err != nil {
		return nil, err
	}
	if r.open == nil {
		r.open = map[string]vault.Repository{}
	}
	r.open[prefix] = opened
	return opened, nil
}

// opener knows where the repository of a volume is, and what opens it.
func (r *Reader) opener(v Volume) (string, func(context.Context, string) (vault.Repository, error), error) {
	prefix, err := prefixOf(v.Namespace)
	if err != nil {
		return "", nil, err
	}
	switch v.Uploader {
	case "kopia":
		return prefix, func(ctx context.Context, password string) (vault.Repository, error) {
			return orNil(kopia.Open(ctx, r.Bucket, prefix, kopia.Options{Password: password, Cache: r.Cache, Limit: r.Limit}))
		}, nil
	case "restic":
		prefix = restic.Prefix(v.Namespace)
		return prefix, func(ctx context.Context, password string) (vault.Repository, error) {
			return orNil(restic.Open(ctx, r.Bucket, prefix, password))
		}, nil
	}
	return "", nil, fail.Errorf(fail.Unsupported, "it was saved by %q: known are kopia and restic", v.Uploader)
}

// orNil keeps a nil pointer from becoming an interface that is not nil.
func orNil[R vault.Repository](r R, err error) (vault.Repository, error) {
	if err != nil {
		return nil, err
	}
	return r, nil
}

func (r *Reader) passwords(ctx context.Context) ([]string, error) {
	if len(r.Passwords) > 0 {
		return r.Passwords, nil
	}
	if r.keys == nil {
		key, err := Key(ctx, r.Bucket)
		if err != nil {
			return nil, err
		}
		r.keys = slices.DeleteFunc([]string{key, veleroPassword}, func(s string) bool { return s == "" })
	}
	return r.keys, nil
}

// Key reads the password that a location keeps; empty if it keeps none.
func Key(ctx context.Context, b blob.Bucket) (string, error) {
	var out bytes.Buffer
	err := vault.Fetch(ctx, b, KeyObject, 0, maxKey+1, &out)
	if fail.Is(err, fail.NotFound) {
		return "", nil
	}
	if err != nil {
		return "", fmt.Errorf("read the password of the location's repositories: %w", err)
	}
	key, err := Password(out.Bytes())
	if err != nil {
		return "", fail.Errorf(fail.Corrupt, "%s in %s: %w", KeyObject, b, err)
	}
	return key, nil
}

// Password takes what a file or Secret holds: text, with a newline at its end or not.
func Password(data []byte) (string, error) {
	text := strings.TrimSuffix(strings.TrimSuffix(string(data), "\n"), "\r")
	if text == "" || len(data) > maxKey {
		return "", fail.Errorf(fail.Invalid, "a password of %d bytes: it has 1 to %d", len(text), maxKey)
	}
	return text, nil
}

// Close closes what was opened.
func (r *Reader) Close(ctx context.Context) error {
	var errs []error
	for _, opened := range r.open {
		errs = append(errs, opened.Close(ctx))
	}
	r.open = nil
	return errors.Join(errs...)
}
