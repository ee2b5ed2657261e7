// SPDX-License-Identifier: Apache-2.0

package s3_test

import (
	"fmt"
	"strings"
	"testing"

	"hozon.dev/hozon/internal/blob"
	"hozon.dev/hozon/internal/blob/blobtest"
	"hozon.dev/hozon/internal/blob/s3"
	"hozon.dev/hozon/test/s3server"
)

// start runs a server whose credentials are in the environment of t.
func start(t *testing.T) *s3server.Server {
	t.Helper()
	server := s3server.Start(t)
	isolate(t)
	t.Setenv("AWS_ACCESS_KEY_ID", server.AccessKey)
	t.Setenv("AWS_SECRET_ACCESS_KEY", server.SecretKey)
	return server
}

// isolate hides what the machine of the test may have of AWS's.
func isolate(t *testing.T) {
	t.Helper()
	for _, name := range []string{"AWS_ACCESS_KEY_ID", "AWS_ACCESS_KEY", "AWS_SECRET_ACCESS_KEY", "AWS_SECRET_KEY", "AWS_SESSION_TOKEN", "AWS_PROFILE", "AWS_REGION", "AWS_DEFAULT_REGION",
		"AWS_WEB_IDENTITY_TOKEN_FILE", "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI", "AWS_CONTAINER_CREDENTIALS_FULL_URI"} {
		t.Setenv(name, "")
	}
	t.Setenv("HOME", t.TempDir())
	t.Setenv("AWS_SHARED_CREDENTIALS_FILE", "")
	t.Setenv("AWS_CONFIG_FILE", "")
	t.Setenv("AWS_EC2_METADATA_DISABLED", "true")
}

func open(t *testing.T, url string) *s3.Bucket {
	t.Helper()
	cfg, err := s3.Parse(url)
	if err != nil {
		t.Fatal(err)
	}
	b, err := s3.Open(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// TestBucket takes some seconds: it sends hundreds of MiB to a server on the same machine.
func TestBucket(t *testing.T) {
	server := start(t)
	buckets := 0
	for name, prefix := range map[string]string{"root": "", "prefix": "/some/pre-fix"} {
		t.Run(name, func(t *testing.T) {
			blobtest.Suite{
				Open: func(t *testing.T) blob.Bucket {
					buckets++
					bucket := fmt.Sprintf("bucket-%d", buckets)
					if err := server.CreateBucket(bucket); err != nil {
						t.Fatal(err)
					}
					return open(t, "s3://"+bucket+prefix+"?conditional-put=true&endpoint="+server.Endpoint)
				},
				Skip: map[string]string{"DeleteBesidePut": "versitygw 1.8.0 refuses a PUT (ExistingObjectIsDirectory) that meets the removal of an emptied folder"},
			}.Run(t)
		})
	}
}

func put(t *testing.T, b blob.Bucket, key, content string) {
	t.Helper()
	if _, err := b.Put(t.Context(), key, strings.NewReader(content), blob.PutOptions{}); err != nil {
		t.Fatal(err)
	}
}
