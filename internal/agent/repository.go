// SPDX-License-Identifier: Apache-2.0

package agent

import (
	"context"
	"fmt"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"hozon.dev/hozon/internal/blob"
	"hozon.dev/hozon/internal/controller"
	"hozon.dev/hozon/internal/volume"
)

// The Secret that Velero keeps the password of its repositories in.
const (
	passwordSecret = "velero-repo-credentials"
	passwordKey    = "repository-password"
)

// repositories opens the repositories of locations.
type repositories struct {
	*controller.Stores
	cache string // an existing folder
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
	passwords, err := passwords(ctx, bucket, secret)
	return bucket, passwords, err
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

// passwords are those of the Secret, if there is one, of the location, and Velero's own.
func passwords(ctx context.Context, b blob.Bucket, secret []byte) ([]string, error) {
	var all []string
	if len(secret) > 0 {
		own, err := volume.Password(secret)
		if err != nil {
			return nil, err
		}
		all = append(all, own)
	}
	key, err := volume.Key(ctx, b)
	if key != "" {
		all = append(all, key)
	}
	return append(all, "static-passw0rd"), err
}
