// SPDX-License-Identifier: Apache-2.0

package env

import (
	"context"
	"encoding/json"
	"fmt"

	corev1 "k8s.io/api/core/v1"

	velerov1 "hozon.dev/hozon/api/velero/v1"
	"hozon.dev/hozon/internal/cluster"
	"hozon.dev/hozon/internal/fail"
	"hozon.dev/hozon/internal/location"
	"hozon.dev/hozon/internal/object"
	"hozon.dev/hozon/internal/store"
)

var (
	backupLocations = object.Type{Group: velerov1.Group, Version: "v1", Resource: "backupstoragelocations", Kind: "BackupStorageLocation", Namespaced: true}
	secretObjects   = object.Type{Version: "v1", Resource: "secrets", Kind: "Secret", Namespaced: true}
)

// OpenLocation opens the store of a backup location of the cluster, with the credentials that it names, else those that the environment has.
func (e *Env) OpenLocation(ctx context.Context, name string) (*store.Store, error) {
	c, err := e.OpenCluster()
	if err != nil {
		return nil, err
	}
	var l velerov1.BackupStorageLocation
	if err := e.get(ctx, c, backupLocations, name, &l); err != nil {
		return nil, err
	}
	if l.Spec.ObjectStorage == nil {
		return nil, fail.Errorf(fail.Invalid, "backup location %s has no objectStorage", name)
	}
	var secrets location.Secrets
	if secrets.Credential, err = e.secret(ctx, c, l.Spec.Credential); err != nil {
		return nil, err
	}
	if secrets.CA, err = e.secret(ctx, c, l.Spec.ObjectStorage.CACertRef); err != nil {
		return nil, err
	}
	if secret, key, ok := location.CustomerKey(&l); ok {
		if secrets.CustomerKey, err = e.secret(ctx, c, &corev1.SecretKeySelector{LocalObjectReference: corev1.LocalObjectReference{Name: secret}, Key: key}); err != nil {
			return nil, err
		}
	}
	bucket, err := location.Open(ctx, &l, secrets)
	if err != nil {
		return nil, fmt.Errorf("backup location %s: %w", name, err)
	}
	return store.Open(ctx, bucket)
}

func (e *Env) get(ctx context.Context, c *cluster.Client, t object.Type, name string, into any) error {
	body, err := c.Get(ctx, t, e.Namespace, name)
	if err != nil {
		return err
	}
	return json.Unmarshal(body, into)
}

// secret reads one key of a Secret; nil if ref is nil.
func (e *Env) secret(ctx context.Context, c *cluster.Client, ref *corev1.SecretKeySelector) ([]byte, error) {
	if ref == nil || ref.Name == "" {
		return nil, nil
	}
	var s corev1.Secret
	if err := e.get(ctx, c, secretObjects, ref.Name, &s); err != nil {
		return nil, err
	}
	value, ok := s.Data[ref.Key]
	if !ok {
		return nil, fail.Errorf(fail.Denied, "the Secret %s/%s has no key %q", e.Namespace, ref.Name, ref.Key)
	}
	return value, nil
}

// Secret reads one key of a Secret beside the server. fail.NotFound if there is no such Secret.
func (e *Env) Secret(ctx context.Context, name, key string) ([]byte, error) {
	c, err := e.OpenCluster()
	if err != nil {
		return nil, err
	}
	return e.secret(ctx, c, &corev1.SecretKeySelector{LocalObjectReference: corev1.LocalObjectReference{Name: name}, Key: key})
}
