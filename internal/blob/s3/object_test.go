// SPDX-License-Identifier: Apache-2.0

package s3_test

import (
	"bytes"
	"crypto/sha256"
	"encoding/base64"
	"encoding/pem"
	"fmt"
	"hash/crc32"
	"io"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"hozon.dev/hozon/internal/blob"
	"hozon.dev/hozon/internal/blob/s3"
	"hozon.dev/hozon/internal/fail"
)

// seen are the headers of each kind of request.
type seen struct {
	mu sync.Mutex
	of map[string]http.Header
}

func (s *seen) note(r *http.Request) {
	kind := r.Method
	switch query := r.URL.Query(); {
	case query.Has("uploads"):
		kind = "begin"
	case query.Has("partNumber"):
		kind = "part"
	case query.Has("uploadId"):
		kind = "finish"
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.of == nil {
		s.of = map[string]http.Header{}
	}
	s.of[kind] = r.Header.Clone()
}

// openObjects opens a bucket of a real server behind TLS, and shows what is asked of the server.
func openObjects(t *testing.T, objects s3.Objects, answer func(http.ResponseWriter, *http.Request) bool) (*s3.Bucket, *seen) {
	t.Helper()
	server := start(t)
	if err := server.CreateBucket("bucket"); err != nil {
		t.Fatal(err)
	}
	headers := &seen{}
	p := newProxy(t, server.Endpoint)
	p.before = func(w http.ResponseWriter, r *http.Request) bool {
		headers.note(r)
		return answer != nil && answer(w, r)
	}
	p.StartTLS()
	ca := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: p.Certificate().Raw})
	b, err := s3.Open(t.Context(), s3.Config{Bucket: "bucket", Endpoint: p.URL, CA: ca, Objects: objects})
	if err != nil {
		t.Fatal(err)
	}
	return b, headers
}

// TestObjects looks at what the server is asked to do with objects, small and large ones. (versitygw keeps tags and checksums; it has no encryption of
// its own, so for that the requests are all there is to see.)
func TestObjects(t *testing.T) {
	key := bytes.Repeat([]byte("k"), 32)
	key64 := base64.StdEncoding.EncodeToString(key)
	tests := []struct {
		name    string
		objects s3.Objects
		want    map[string]map[string]string // by kind of request; "*": any value, "": must not be there
	}{
		{"plain", s3.Objects{}, map[string]map[string]string{"PUT": {"X-Amz-Server-Side-Encryption": "", "X-Amz-Tagging": ""}}},
		{"SSE-S3", s3.Objects{Encryption: "AES256"}, map[string]map[string]string{
			"PUT": {"X-Amz-Server-Side-Encryption": "AES256"}, "begin": {"X-Amz-Server-Side-Encryption": "AES256"},
			"part": {"X-Amz-Server-Side-Encryption": ""}, "finish": {"X-Amz-Server-Side-Encryption": ""},
		}},
		{"SSE-KMS", s3.Objects{KMSKey: "my-key"}, map[string]map[string]string{
			"PUT":   {"X-Amz-Server-Side-Encryption": "aws:kms", "X-Amz-Server-Side-Encryption-Aws-Kms-Key-Id": "my-key"},
			"begin": {"X-Amz-Server-Side-Encryption": "aws:kms", "X-Amz-Server-Side-Encryption-Aws-Kms-Key-Id": "my-key"},
		}},
		{"SSE-KMS of the account", s3.Objects{Encryption: "aws:kms"}, map[string]map[string]string{
			"PUT": {"X-Amz-Server-Side-Encryption": "aws:kms", "X-Amz-Server-Side-Encryption-Aws-Kms-Key-Id": ""},
		}},
		{"SSE-C", s3.Objects{CustomerKey: key}, map[string]map[string]string{
			"PUT": {"X-Amz-Server-Side-Encryption-Customer-Key": key64, "X-Amz-Server-Side-Encryption-Customer-Algorithm": "AES256"},
			"GET": {"X-Amz-Server-Side-Encryption-Customer-Key": key64}, "HEAD": {"X-Amz-Server-Side-Encryption-Customer-Key": key64},
			"begin": {"X-Amz-Server-Side-Encryption-Customer-Key": key64}, "part": {"X-Amz-Server-Side-Encryption-Customer-Key": key64},
		}},
		{"tags", s3.Objects{Tags: map[string]string{"team": "a b", "cost": "7"}}, map[string]map[string]string{
			"PUT": {"X-Amz-Tagging": "*"}, "begin": {"X-Amz-Tagging": "*"}, "part": {"X-Amz-Tagging": ""}, "finish": {"X-Amz-Tagging": ""},
		}},
		{"CRC32", s3.Objects{Checksum: "CRC32"}, map[string]map[string]string{
			"PUT": {"X-Amz-Checksum-Crc32": "*"}, "begin": {"X-Amz-Checksum-Algorithm": "CRC32"}, "part": {"X-Amz-Checksum-Crc32": "*"},
		}},
		{"SHA256", s3.Objects{Checksum: "SHA256"}, map[string]map[string]string{
			"PUT": {"X-Amz-Checksum-Sha256": "*"}, "begin": {"X-Amz-Checksum-Algorithm": "SHA256"}, "part": {"X-Amz-Checksum-Sha256": "*"},
		}},
	}
	large := strings.Repeat("0123456789abcdef", 6<<20/16)
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			b, headers := openObjects(t, tt.objects, nil)
			put(t, b, "small", "content")
			put(t, b, "large", large)
			for key, want := range map[string]string{"small": "content", "large": large} {
				rc, err := b.Get(t.Context(), key, 0, -1)
				if err != nil {
					t.Fatal(err)
				}
				if data, err := io.ReadAll(rc); err != nil || string(data) != want {
					t.Errorf("%s: %d bytes, %v", key, len(data), err)
				}
				rc.Close()
				if _, err := b.Stat(t.Context(), key); err != nil {
					t.Error(err)
				}
			}
			for kind, wanted := range tt.want {
				for name, value := range wanted {
					if got := headers.of[kind].Get(name); got != value && (value != "*" || got == "") {
						t.Errorf("%s: %s is %q, want %q", kind, name, got, value)
					}
				}
			}
		})
	}
}

// TestChecksums damages what comes in: the server must notice, which shows that the sums sent are the right ones and looked at.
func TestChecksums(t *testing.T) {
	for algorithm, sum := range map[string]func([]byte) []byte{
		"CRC32":  func(p []byte) []byte { return fmt.Appendf(nil, "%08x", crc32.ChecksumIEEE(p)) },
		"SHA256": func(p []byte) []byte { h := sha256.Sum256(p); return h[:] },
	} {
		t.Run(algorithm, func(t *testing.T) {
			header := "X-Amz-Checksum-" + algorithm[:1] + strings.ToLower(algorithm[1:])
			b, headers := openObjects(t, s3.Objects{Checksum: algorithm}, nil)
			put(t, b, "k", "content")
			raw, err := base64.StdEncoding.DecodeString(headers.of["PUT"].Get(header))
			if algorithm == "CRC32" {
				raw = fmt.Appendf(nil, "%x", raw)
			}
			if err != nil || !bytes.Equal(raw, sum([]byte("content"))) {
				t.Errorf("%s: %q, %v", header, headers.of["PUT"].Get(header), err)
			}
		})
	}
}

// TestCustomerKeyNeedsTLS: the key would be readable on the wire, and a URL cannot carry it.
func TestCustomerKeyNeedsTLS(t *testing.T) {
	isolate(t)
	t.Setenv("AWS_ACCESS_KEY_ID", "AKIDTEST")
	t.Setenv("AWS_SECRET_ACCESS_KEY", "topsecret")
	cfg := s3.Config{Bucket: "bucket", Endpoint: "http://127.0.0.1:1", Objects: s3.Objects{CustomerKey: make([]byte, 32)}}
	if _, err := s3.Open(t.Context(), cfg); !fail.Is(err, fail.Invalid) || !strings.Contains(err.Error(), "https://") {
		t.Errorf("without TLS: %v", err)
	}
	cfg.Endpoint = "https://127.0.0.1:1"
	b, err := s3.Open(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := b.Sign(t.Context(), "k", time.Minute); !fail.Is(err, fail.Unsupported) {
		t.Errorf("sign: %v", err)
	}
	cfg.Objects.CustomerKey = cfg.Objects.CustomerKey[:31]
	if _, err := s3.Open(t.Context(), cfg); !fail.Is(err, fail.Invalid) || !strings.Contains(err.Error(), "31 bytes") {
		t.Errorf("a short key: %v", err)
	}
}

// TestNoConditions is a server that answers 501 to conditional writes: it gets no more of them, and IfAbsent works as well as it can.
func TestNoConditions(t *testing.T) {
	refused := 0
	var mu sync.Mutex
	b, _ := openObjects(t, s3.Objects{}, func(w http.ResponseWriter, r *http.Request) bool {
		if r.Header.Get("If-None-Match") == "" {
			return false
		}
		mu.Lock()
		defer mu.Unlock()
		refused++
		w.WriteHeader(http.StatusNotImplemented)
		fmt.Fprint(w, `<Error><Code>NotImplemented</Code><Message>A header you provided implies functionality that is not implemented</Message></Error>`)
		return true
	})
	for _, key := range []string{"a", "b"} {
		if _, err := b.Put(t.Context(), key, strings.NewReader("x"), blob.PutOptions{IfAbsent: true}); err != nil {
			t.Errorf("put %s: %v", key, err)
		}
		if _, err := b.Put(t.Context(), key, strings.NewReader("x"), blob.PutOptions{IfAbsent: true}); !fail.Is(err, fail.Exists) {
			t.Errorf("put %s again: %v", key, err)
		}
	}
	if refused != 1 {
		t.Errorf("%d conditional writes, want the one that showed it", refused)
	}
}
