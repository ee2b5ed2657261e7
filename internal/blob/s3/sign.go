// SPDX-License-Identifier: Apache-2.0

package s3

import (
	"context"
	"fmt"
	"net/http"
	"time"

	"github.com/minio/minio-go/v7"

	"hozon.dev/hozon/internal/fail"
)

// longest is S3's limit for the life of a signed URL.
const longest = 7 * 24 * time.Hour

// signer returns the client that signs URLs: one for the public endpoint if there is such a thing. It is never used to connect.
func (cfg *Config) signer(own *minio.Client, options minio.Options) (*minio.Client, error) {
	if cfg.PublicEndpoint == "" {
		return own, nil
	}
	host, secure, err := parseEndpoint(cfg.PublicEndpoint)
	if err != nil {
		return nil, fmt.Errorf("the public endpoint: %w", err)
	}
	options.Secure = secure
	client, err := minio.New(host, &options)
	if err != nil {
		return nil, fail.Errorf(fail.Invalid, "public endpoint %s: %w", host, err)
	}
	return client, nil
}

// Sign implements blob.Signer. A URL cannot carry a customer's key, and lives no longer than the credentials that sign it.
func (b *Bucket) Sign(ctx context.Context, key string, ttl time.Duration) (string, error) {
	name, err := b.name(ctx, key)
	switch {
	case err != nil:
		return "", fmt.Errorf("sign a URL of %s: %w", key, err)
	case b.traits.customer:
		return "", fail.Errorf(fail.Unsupported, "sign a URL of %s: the object can be read with the customer's key only, which a URL cannot carry", key)
	case ttl < time.Second || ttl > longest:
		return "", fail.Errorf(fail.Invalid, "sign a URL of %s: it can live for a second to seven days, not for %s", key, ttl)
	}
	u, err := b.public.Presign(ctx, http.MethodGet, b.bucket, name, ttl, nil)
	if err != nil {
		return "", b.explain("sign a URL of", key, err)
	}
	return u.String(), nil
}
