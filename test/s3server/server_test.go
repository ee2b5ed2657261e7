// SPDX-License-Identifier: Apache-2.0

package s3server

import (
	"bytes"
	"io"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/minio/minio-go/v7"
	"github.com/minio/minio-go/v7/pkg/credentials"
)

func client(t *testing.T, s *Server, secret string) *minio.Client {
	t.Helper()
	c, err := minio.New(strings.TrimPrefix(s.Endpoint, "http://"), &minio.Options{
		Creds:      credentials.NewStaticV4(s.AccessKey, secret, ""),
		Region:     Region,
		MaxRetries: 1, // a test of a dead server must not wait for it
	})
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func put(t *testing.T, c *minio.Client, key string, size int64, opts minio.PutObjectOptions) error {
	t.Helper()
	body := bytes.Repeat([]byte{'x'}, int(size))
	_, err := c.PutObject(t.Context(), "bucket", key, bytes.NewReader(body), size, opts)
	return err
}

func TestServerIsS3(t *testing.T) {
	s := Start(t)
	if err := s.CreateBucket("bucket"); err != nil {
		t.Fatal(err)
	}
	if err := s.CreateBucket("bucket"); err == nil {
		t.Error("the bucket was created twice")
	}
	c := client(t, s, s.SecretKey)

	if err := put(t, c, "a/small", 10, minio.PutObjectOptions{}); err != nil {
		t.Error(err)
	}
	multipart := minio.PutObjectOptions{PartSize: 5 << 20}
	if err := put(t, c, "a/large", 11<<20, multipart); err != nil {
		t.Error(err)
	}
	o, err := c.GetObject(t.Context(), "bucket", "a/large", minio.GetObjectOptions{})
	if err != nil {
		t.Fatal(err)
	}
	defer o.Close()
	if n, err := io.Copy(io.Discard, o); n != 11<<20 || err != nil {
		t.Errorf("read %d bytes, %v", n, err)
	}
	var once minio.PutObjectOptions
	once.SetMatchETagExcept("*")
	if err := put(t, c, "a/small", 10, once); minio.ToErrorResponse(err).Code != minio.PreconditionFailed {
		t.Errorf("conditional put over an object: %v", err)
	}
	if err := put(t, client(t, s, "wrong"), "a/forged", 10, minio.PutObjectOptions{}); err == nil {
		t.Error("a wrong secret was accepted")
	}
	if info, err := os.Stat(filepath.Join(s.BucketDir("bucket"), "a", "small")); err != nil || info.Size() != 10 {
		t.Errorf("file of the object: %v, %v", info, err)
	}
}

func TestServerGoesDownAndUp(t *testing.T) {
	s := Start(t)
	if err := s.CreateBucket("bucket"); err != nil {
		t.Fatal(err)
	}
	c := client(t, s, s.SecretKey)
	if err := put(t, c, "kept", 10, minio.PutObjectOptions{}); err != nil {
		t.Fatal(err)
	}
	for _, end := range []func(){s.Stop, s.Kill} {
		end()
		if _, err := c.StatObject(t.Context(), "bucket", "kept", minio.StatObjectOptions{}); err == nil {
			t.Error("it answers while it is down")
		}
		if err := s.Start(t.Context()); err != nil {
			t.Fatal(err)
		}
		if _, err := c.StatObject(t.Context(), "bucket", "kept", minio.StatObjectOptions{}); err != nil {
			t.Error(err)
		}
	}
	if err := s.Start(t.Context()); err == nil {
		t.Error("it was started twice")
	}
}

func TestCloseLeavesNothing(t *testing.T) {
	if testing.Short() {
		t.Skip("starts an S3 server")
	}
	dir := filepath.Join(t.TempDir(), "s3")
	s, err := Launch(t.Context(), dir)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := Launch(t.Context(), dir); err == nil {
		t.Error("a second server was launched in the same folder")
	}
	pid := s.Process().PID()
	for range 2 {
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
	}
	if err := syscall.Kill(pid, 0); err != syscall.ESRCH {
		t.Errorf("it is still there: %v", err)
	}
	if _, err := os.Stat(dir); !os.IsNotExist(err) {
		t.Errorf("folder: %v", err)
	}
}
