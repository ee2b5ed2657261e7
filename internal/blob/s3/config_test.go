// SPDX-License-Identifier: Apache-2.0

package s3

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"hozon.dev/hozon/internal/blob/part"
	"hozon.dev/hozon/internal/fail"
)

func TestParse(t *testing.T) {
	tests := []struct {
		url  string
		want Config
	}{
		{"s3://bucket", Config{Bucket: "bucket"}},
		{"s3://bucket/", Config{Bucket: "bucket"}},
		{"s3://bucket/a/b/", Config{Bucket: "bucket", Prefix: "a/b/"}},
		{"s3://bucket/a%20b%2Bc?region=eu-north-1", Config{Bucket: "bucket", Prefix: "a b+c/", Region: "eu-north-1"}},
		{"s3://bucket/p?endpoint=http://localhost:9000/&path-style=true&profile=me",
			Config{Bucket: "bucket", Prefix: "p/", Endpoint: "http://localhost:9000/", PathStyle: On, Profile: "me"}},
		{"s3://bucket?endpoint=s3.example.org&path-style=false&insecure-skip-tls-verify=true&ca=/etc/ca.pem&conditional-put=1",
			Config{Bucket: "bucket", Endpoint: "s3.example.org", PathStyle: Off, InsecureSkipTLSVerify: true, CAFile: "/etc/ca.pem", ConditionalPut: On}},
	}
	for _, tt := range tests {
		got, err := Parse(tt.url)
		if err != nil {
			t.Errorf("%s: %v", tt.url, err)
		} else if diff := cmp.Diff(tt.want, got); diff != "" {
			t.Errorf("%s: -want +got:\n%s", tt.url, diff)
		}
	}
}

func TestParseRefuses(t *testing.T) {
	tests := []struct{ url, text string }{
		{"s3://", "names no bucket"},
		{"s3:bucket", "names no bucket"},
		{"s3:///prefix", "names no bucket"},
		{"s3://b", "name cannot be right"},
		{"s3://Bucket_&", "name cannot be right"},
		{"s3://bucket/a//b", "prefix"},
		{"s3://bucket/a/../b", "prefix"},
		{"s3://bucket#x", "'#'"},
		{"s3://bucket?regoin=x", `unknown parameter "regoin"`},
		{"s3://bucket?Region=x", "known are endpoint, region"},
		{"s3://bucket?region=a&region=b", "one value"},
		{"s3://bucket?region=", "one value"},
		{"s3://bucket?path-style=maybe", `"path-style" in the store's URL must be true or false`},
		{"s3://bucket?endpoint=ftp://x", "https://host:port"},
		{"s3://bucket?endpoint=https://x/path", "https://host:port"},
		{"s3://bucket?a=%zz", "cannot be parsed"},
		{"s3://AKIDTEST:topsecret@bucket/p", "credentials"},
		{"s3://AKIDTEST:top/secret@bucket/p", "s"},
		{"s3://AKIDTEST:123/topsecret@bucket/p", "credentials"},
		{"s3://bucket?endpoint=https://AKIDTEST:topsecret@host", "credentials"},
		{"s3://bucket?secret-key=topsecret", `unknown parameter "secret-key"`},
		{"s3://bucket?path-style=topsecret", "true or false"},
		{"s3://bucket:topsecret", "s"},
	}
	for _, tt := range tests {
		_, err := Parse(tt.url)
		if !fail.Is(err, fail.Invalid) || !strings.Contains(err.Error(), tt.text) {
			t.Errorf("%s: %v (%v), want %q", tt.url, err, fail.Of(err), tt.text)
		}
		for _, secret := range []string{"topsecret", "top/secret", "AKIDTEST"} {
			if err != nil && strings.Contains(err.Error(), secret) {
				t.Errorf("%s: the message quotes it: %v", tt.url, err)
			}
		}
	}
}

func TestHost(t *testing.T) {
	t.Setenv("AWS_REGION", "")
	t.Setenv("AWS_DEFAULT_REGION", "")
	tests := []struct {
		cfg    Config
		host   string
		secure bool
	}{
		{Config{}, "s3.us-east-1.amazonaws.com", true},
		{Config{Region: "eu-north-1"}, "s3.eu-north-1.amazonaws.com", true},
		{Config{Region: "cn-north-1"}, "s3.cn-north-1.amazonaws.com.cn", true},
		{Config{Endpoint: "http://h:9000"}, "h:9000", false},
		{Config{Endpoint: "https://h"}, "h", true},
		{Config{Endpoint: "h:9000"}, "h:9000", true},
	}
	for _, tt := range tests {
		host, secure, err := tt.cfg.host()
		if host != tt.host || secure != tt.secure || err != nil {
			t.Errorf("%+v: %s, %v, %v", tt.cfg, host, secure, err)
		}
	}
	t.Setenv("AWS_REGION", "ap-northeast-1")
	if got := (&Config{}).region(); got != "ap-northeast-1" {
		t.Errorf("region %q", got)
	}
}

func TestPartSize(t *testing.T) {
	var total, first int64
	for n := 1; n <= maxParts; n++ {
		size := partSize(n)
		if size < 5<<20 || size > 5<<30 || size%part.Piece != 0 {
			t.Fatalf("part %d has %d bytes", n, size)
		}
		if total += size; n == growEvery {
			first = total
		}
	}
	if total < 5<<40 {
		t.Errorf("%d parts hold %d bytes, less than 5 TiB", maxParts, total)
	}
	if partSize(1) != 5<<20 || partSize(growEvery) != 5<<20 || first < 3<<30 {
		t.Errorf("the first %d parts hold %d bytes", growEvery, first)
	}
}
