// SPDX-License-Identifier: Apache-2.0

package s3

import (
	"context"
	"net/http"
	"time"

	"hozon.dev/hozon/internal/fail"
)

// FindRegion asks the server, without credentials and so without any right, in which region the bucket is: an answer of S3 says it even when it refuses.
func FindRegion(ctx context.Context, cfg Config) (string, error) {
	if err := cfg.check(); err != nil {
		return "", err
	}
	host, secure, err := cfg.host()
	if err != nil {
		return "", err
	}
	transport, err := cfg.tls().Transport()
	if err != nil {
		return "", err
	}
	scheme := "http://"
	if secure {
		scheme = "https://"
	}
	ctx, cancel := context.WithTimeout(ctx, 15*time.Second)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, http.MethodHead, scheme+host+"/"+cfg.Bucket, nil)
	if err != nil {
		return "", fail.As(fail.Invalid, err)
	}
	b := &Bucket{bucket: cfg.Bucket, endpoint: scheme + host, words: cfg.Words, tls: cfg.tls()}
	response, err := transport.RoundTrip(request)
	if err != nil {
		return "", b.explain("find the region of bucket "+cfg.Bucket, "", err)
	}
	response.Body.Close()
	if region := response.Header.Get("X-Amz-Bucket-Region"); region != "" {
		return region, nil
	}
	if response.StatusCode == http.StatusNotFound {
		return "", fail.Errorf(fail.NotFound, "there is no bucket %q at %s: create it, or correct %s", cfg.Bucket, b.endpoint, b.words.Where())
	}
	return "", fail.Errorf(fail.Invalid, "%s does not say in which region bucket %q is (HTTP %d): set region in %s", b.endpoint, cfg.Bucket, response.StatusCode, b.words.Where())
}
