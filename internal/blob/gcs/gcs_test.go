// SPDX-License-Identifier: Apache-2.0

package gcs_test

import (
	"fmt"
	"testing"

	"hozon.dev/hozon/internal/blob"
	"hozon.dev/hozon/internal/blob/blobtest"
	"hozon.dev/hozon/internal/blob/gcs"
	"hozon.dev/hozon/test/gcsserver"
)

func open(t *testing.T, cfg gcs.Config) *gcs.Bucket {
	t.Helper()
	b, err := gcs.Open(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// TestBucket takes some seconds: it sends hundreds of MiB to a server on the same machine.
func TestBucket(t *testing.T) {
	server := gcsserver.Start(t)
	buckets := 0
	for name, prefix := range map[string]string{"root": "", "prefix": "/some/pre-fix"} {
		t.Run(name, func(t *testing.T) {
			blobtest.Suite{
				Open: func(t *testing.T) blob.Bucket {
					buckets++
					bucket := fmt.Sprintf("bucket-%d", buckets)
					server.CreateBucket(t, bucket)
					return open(t, gcs.Config{Bucket: bucket, Prefix: prefix, Endpoint: server.Endpoint, Credentials: server.Key})
				},
			}.Run(t)
		})
	}
}
