// SPDX-License-Identifier: Apache-2.0

package controller

import (
	"context"
	"fmt"
	"strings"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"

	velerov1 "hozon.dev/hozon/api/velero/v1"
	"hozon.dev/hozon/internal/blob"
	"hozon.dev/hozon/internal/blob/extern"
	"hozon.dev/hozon/internal/fail"
	"hozon.dev/hozon/internal/location"
	"hozon.dev/hozon/internal/plugin"
	"hozon.dev/hozon/internal/store"
)

// Stores opens the stores of locations. What Secrets hold is read for each use: credentials that were rotated count from the next one on.
type Stores struct {
	*Site
	Plugins *plugin.Folder

	cache location.Cache
}

// NewStores returns stores that also know what plugins can do.
func NewStores(s *Site, plugins *plugin.Folder) *Stores {
	out := &Stores{Site: s, Plugins: plugins}
	out.cache.Plugins = out.extern
	return out
}

// extern opens an object store of a plugin.
func (s *Stores) extern(ctx context.Context, provider string, settings map[string]string, credential []byte) (extern.Store, error) {
	opened, err := s.Plugins.ObjectStore(ctx, provider, plugin.Config{Settings: settings, Credential: credential})
	if err != nil {
		return nil, err
	}
	return opened, nil
}

// at opens the store of the location with that name.
func (s *Stores) at(ctx context.Context, name string) (*velerov1.BackupStorageLocation, *store.Store, error) {
	var l velerov1.BackupStorageLocation
	if err := s.Client.Get(ctx, s.key(name), &l); apierrors.IsNotFound(err) {
		return nil, nil, fail.Errorf(fail.NotFound, "backup storage location %s not found", name)
	} else if err != nil {
		return nil, nil, fail.Errorf(fail.Transient, "read backup storage location %s: %w", name, err)
	}
	st, err := s.of(ctx, &l)
	return &l, st, err
}

// Bucket opens the bucket of the location with that name, without a look into it.
func (s *Stores) Bucket(ctx context.Context, name string) (*velerov1.BackupStorageLocation, blob.Bucket, error) {
	var l velerov1.BackupStorageLocation
	if err := s.Live.Get(ctx, s.key(name), &l); apierrors.IsNotFound(err) {
		return nil, nil, fail.Errorf(fail.NotFound, "backup storage location %s not found", name)
	} else if err != nil {
		return nil, nil, fail.Errorf(fail.Transient, "read backup storage location %s: %w", name, err)
	}
	bucket, err := s.bucket(ctx, &l)
	return &l, bucket, err
}

// of opens the store of a location. That reads the top level of the bucket, so it shows whether the bucket can be reached.
func (s *Stores) of(ctx context.Context, l *velerov1.BackupStorageLocation) (*store.Store, error) {
	bucket, err := s.bucket(ctx, l)
	if err != nil {
		return nil, err
	}
	st, err := store.Open(ctx, bucket)
	if err != nil {
		return nil, fmt.Errorf("backup storage location %s: %w", l.Name, err)
	}
	st.Now = s.Now
	return st, nil
}

func (s *Stores) bucket(ctx context.Context, l *velerov1.BackupStorageLocation) (blob.Bucket, error) {
	if l.Spec.ObjectStorage == nil {
		return nil, fail.Errorf(fail.Invalid, "backup storage location %s has no objectStorage", l.Name)
	}
	if len(l.Spec.ObjectStorage.CACert) > 0 && l.Spec.ObjectStorage.CACertRef != nil {
		return nil, fail.Errorf(fail.Invalid, "cannot specify both caCert and caCertRef in objectStorage")
	}
	secrets, err := s.secrets(ctx, l)
	if err != nil {
		return nil, err
	}
	return s.cache.Open(ctx, l, secrets)
}

func (s *Stores) secrets(ctx context.Context, l *velerov1.BackupStorageLocation) (out location.Secrets, err error) {
	if out.Credential, err = s.secret(ctx, l.Spec.Credential); err != nil {
		return out, err
	}
	if out.CA, err = s.secret(ctx, l.Spec.ObjectStorage.CACertRef); err != nil {
		return out, err
	}
	if name, key, ok := location.CustomerKey(l); ok {
		ref := &corev1.SecretKeySelector{LocalObjectReference: corev1.LocalObjectReference{Name: name}, Key: key}
		out.CustomerKey, err = s.secret(ctx, ref)
	}
	return out, err
}

// secret reads one key of a Secret; nil if ref is nil.
func (s *Stores) secret(ctx context.Context, ref *corev1.SecretKeySelector) ([]byte, error) {
	if ref == nil || ref.Name == "" {
		return nil, nil
	}
	var secret corev1.Secret
	if err := s.Live.Get(ctx, s.key(ref.Name), &secret); apierrors.IsNotFound(err) {
		return nil, fail.Errorf(fail.Denied, "the Secret %s/%s does not exist: create it, or name another one", s.Namespace, ref.Name)
	} else if apierrors.IsForbidden(err) {
		return nil, fail.Errorf(fail.Denied, "read Secret %s/%s: %w", s.Namespace, ref.Name, err)
	} else if err != nil {
		return nil, fail.Errorf(fail.Transient, "read Secret %s/%s: %w", s.Namespace, ref.Name, err)
	}
	data, ok := secret.Data[ref.Key]
	if !ok {
		return nil, fail.Errorf(fail.Denied, "the Secret %s/%s has no key %q: it has %s", s.Namespace, ref.Name, ref.Key, strings.Join(sortedKeys(secret.Data), ", "))
	}
	return data, nil
}
