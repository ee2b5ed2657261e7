// SPDX-License-Identifier: Apache-2.0

package agent

import (
	"context"
	"errors"
	"fmt"
	"os"
	"sync"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"sigs.k8s.io/controller-runtime/pkg/client"

	velerov1 "hozon.dev/hozon/api/velero/v1"
	"hozon.dev/hozon/internal/blob"
	"hozon.dev/hozon/internal/controller"
	"hozon.dev/hozon/internal/fail"
	"hozon.dev/hozon/internal/vault/kopia"
	"hozon.dev/hozon/internal/volume"
)

// The Secret that Velero keeps the password of its repositories in.
const (
	passwordSecret = "velero-repo-credentials"
	passwordKey    = "repository-password"
)

// repositories opens the repositories of locations. Those that are written to are shared by the tasks that use them at the same time.
type repositories struct {
	*controller.Stores
	cache string // an existing folder

	mu   sync.Mutex
	open map[repositoryKey]*shared
}

type repositoryKey struct {
	bucket    blob.Bucket // another one once the location or its credentials have changed
	namespace string
}

type shared struct {
	once       sync.Once
	repository *kopia.Repository
	folder     string
	err        error
	users      int
}

// bucket opens the bucket of a location, and what may open the repositories in it.
func (r *repositories) bucket(ctx context.Context, location string) (blob.Bucket, []string, error) {
	_, bucket, err := r.Bucket(ctx, location)
	if err != nil {
		return nil, nil, err
	}
	secret, err := r.password(ctx)
	if err != nil {
		return nil, nil, err
	}
	passwords, err := volume.Passwords(ctx, bucket, secret)
	return bucket, passwords, err
}

// cacheLimit bounds the cache of a repository, as its BackupRepository says; 0: it does not.
func (r *repositories) cacheLimit(ctx context.Context, location, namespace string) int64 {
	var o velerov1.BackupRepository
	name := namespace + "-" + location + "-" + velerov1.RepositoryTypeKopia
	err := r.Live.Get(ctx, client.ObjectKey{Namespace: r.Namespace, Name: name}, &o)
	var limit int64
	if err == nil {
		limit, err = controller.CacheLimit(o.Spec.RepositoryConfig)
	}
	if client.IgnoreNotFound(err) != nil { // a volume does not fail for it
		r.Log.Warn("the cache of a repository has the default bound", "repository", name, "error", err)
	}
	return limit
}

// password is what the Secret has; nil if there is none.
func (r *repositories) password(ctx context.Context) ([]byte, error) {
	var secret corev1.Secret
	err := r.Live.Get(ctx, client.ObjectKey{Namespace: r.Namespace, Name: passwordSecret}, &secret)
	if apierrors.IsNotFound(err) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("read Secret %s/%s: %w", r.Namespace, passwordSecret, err)
	}
	return secret.Data[passwordKey], nil
}

// writable opens the repository of a namespace, to be given back with release.
func (r *repositories) writable(ctx context.Context, location, namespace string) (_ *kopia.Repository, release func(context.Context) error, err error) {
	bucket, passwords, err := r.bucket(ctx, location)
	if err != nil {
		return nil, nil, err
	}
	key := repositoryKey{bucket, namespace}
	r.mu.Lock()
	if r.open == nil {
		r.open = map[repositoryKey]*shared{}
	}
	s := r.open[key]
	if s == nil {
		s = &shared{}
		r.open[key] = s
	}
	s.users++
	r.mu.Unlock()
	s.once.Do(func() {
		if s.folder, s.err = os.MkdirTemp(r.cache, "repository-"); s.err == nil {
			// One that is called off must not take it from the others.
			ctx := context.WithoutCancel(ctx)
			s.repository, s.err = volume.OpenWith(ctx, bucket, namespace, passwords, kopia.Options{Cache: s.folder, Limit: r.cacheLimit(ctx, location, namespace)})
		}
	})
	if s.err != nil {
		err := s.err
		if fail.Is(err, fail.NotFound) {
			err = fmt.Errorf("%w: the server makes it, see `kubectl -n %s get backuprepositories`", err, r.Namespace)
		}
		return nil, nil, errors.Join(err, r.release(context.WithoutCancel(ctx), key, s))
	}
	return s.repository, func(ctx context.Context) error { return r.release(ctx, key, s) }, nil
}

// release closes what nobody uses any more.
func (r *repositories) release(ctx context.Context, key repositoryKey, s *shared) error {
	r.mu.Lock()
	s.users--
	last := s.users == 0
	if last || s.err != nil {
		if r.open[key] == s {
			delete(r.open, key)
		}
	}
	r.mu.Unlock()
	if !last {
		return nil
	}
	var err error
	if s.repository != nil {
		err = s.repository.Close(ctx)
	}
	if s.folder != "" {
		err = errors.Join(err, os.RemoveAll(s.folder))
	}
	return err
}
