// SPDX-License-Identifier: Apache-2.0

package volume

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"hozon.dev/hozon/internal/blob"
	"hozon.dev/hozon/internal/fail"
	"hozon.dev/hozon/internal/vault/kopia"
)

// Passwords are those to try for the repositories of a location: what the Secret velero-repo-credentials holds under repository-password (nil: it is
// absent), the location's own key, and the one that Velero gives every repository. The first is for new repositories.
func Passwords(ctx context.Context, b blob.Bucket, secret []byte) ([]string, error) {
	var all []string
	if len(secret) > 0 {
		password, err := Password(secret)
		if err != nil {
			return nil, fmt.Errorf("the Secret velero-repo-credentials: %w", err)
		}
		all = append(all, password)
	}
	key, err := Key(ctx, b)
	if err != nil {
		return nil, err
	}
	if key != "" && len(all) > 0 && all[0] == veleroPassword {
		all = []string{key, veleroPassword} // Velero makes that Secret where there is none: it is nobody's choice
	}
	for _, password := range []string{key, veleroPassword} {
		if password != "" && !slices.Contains(all, password) {
			all = append(all, password)
		}
	}
	return all, nil
}

// Open opens the kopia repository of a namespace to read, with the first password that fits.
func Open(ctx context.Context, b blob.Bucket, namespace string, passwords []string) (*kopia.Repository, error) {
	return first(namespace, passwords, func(prefix, password string) (*kopia.Repository, error) {
		return kopia.Open(ctx, b, prefix, kopia.Options{Password: password})
	})
}

// OpenWrite opens it to write. Cache is an existing folder for its index, of this repository only; empty: it is in memory.
func OpenWrite(ctx context.Context, b blob.Bucket, namespace string, passwords []string, cache string) (*kopia.Repository, error) {
	return OpenWith(ctx, b, namespace, passwords, kopia.Options{Cache: cache})
}

// OpenWith opens it to write with options, whose password is the first that fits.
func OpenWith(ctx context.Context, b blob.Bucket, namespace string, passwords []string, o kopia.Options) (*kopia.Repository, error) {
	return first(namespace, passwords, func(prefix, password string) (*kopia.Repository, error) {
		o.Password = password
		return kopia.OpenWrite(ctx, b, prefix, o)
	})
}

func first(namespace string, passwords []string, open func(prefix, password string) (*kopia.Repository, error)) (*kopia.Repository, error) {
	prefix, err := prefixOf(namespace)
	if err != nil {
		return nil, err
	}
	err = fail.Errorf(fail.Invalid, "open repository %s: no password was given", strings.TrimSuffix(prefix, "/"))
	for _, password := range passwords {
		var opened *kopia.Repository
		if opened, err = open(prefix, password); !fail.Is(err, fail.Denied) {
			return opened, err
		}
	}
	return nil, err
}

// Ensure opens the repository of a namespace, and makes one where there is none. A new one has the first password; where that is not the one that
// everybody knows, the location keeps it, so that it does not die with the cluster.
func Ensure(ctx context.Context, b blob.Bucket, namespace string, passwords []string) (*kopia.Repository, error) {
	opened, err := OpenWrite(ctx, b, namespace, passwords, "")
	if !fail.Is(err, fail.NotFound) {
		return opened, err
	}
	prefix, err := prefixOf(namespace)
	if err != nil {
		return nil, err
	}
	if err := keepKey(ctx, b, passwords[0]); err != nil {
		return nil, err
	}
	err = kopia.Create(ctx, b, prefix, kopia.Options{Password: passwords[0]})
	if err != nil && !fail.Is(err, fail.Exists) {
		return nil, err
	}
	return OpenWrite(ctx, b, namespace, passwords, "")
}

// keepKey writes a password down in the location, unless it keeps one already.
func keepKey(ctx context.Context, b blob.Bucket, password string) error {
	if password == veleroPassword {
		return nil
	}
	_, err := b.Put(ctx, KeyObject, strings.NewReader(password+"\n"), blob.PutOptions{IfAbsent: true})
	if err != nil && !fail.Is(err, fail.Exists) {
		return fmt.Errorf("keep the password of the location's repositories: %w", err)
	}
	return nil
}

// Forget removes snapshots from the repository of a namespace. Where there is no repository there is nothing to forget.
func Forget(ctx context.Context, b blob.Bucket, namespace string, passwords []string, ids []string) error {
	opened, err := OpenWrite(ctx, b, namespace, passwords, "")
	if fail.Is(err, fail.NotFound) {
		return nil
	}
	if err != nil {
		return err
	}
	defer opened.Close(context.WithoutCancel(ctx))
	return opened.Forget(ctx, ids...)
}

func prefixOf(namespace string) (string, error) {
	if blob.CheckKey(namespace) != nil || strings.Contains(namespace, "/") {
		return "", fail.Errorf(fail.Corrupt, "%q is no namespace", namespace)
	}
	return kopia.Prefix(namespace), nil
}
