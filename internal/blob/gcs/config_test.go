// SPDX-License-Identifier: Apache-2.0

package gcs

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"hozon.dev/hozon/internal/fail"
)

func TestParse(t *testing.T) {
	const google = "https://storage.googleapis.com"
	tests := []struct {
		url  string
		want Config
	}{
		{"gs://bucket", Config{Bucket: "bucket", Endpoint: google}},
		{"gs://my_bucket.example/a%20b/c/", Config{Bucket: "my_bucket.example", Prefix: "a b/c/", Endpoint: google}},
		{"gs://bucket/p?endpoint=http://localhost:4443/storage/v1/&credentials-file=/k.json", Config{Bucket: "bucket", Prefix: "p/", Endpoint: "http://localhost:4443", CredentialsFile: "/k.json"}},
		{"gs://bucket?service-account=a%40b&kms-key=projects/x&ca=/ca.pem", Config{Bucket: "bucket", Endpoint: google, ServiceAccount: "a@b", KMSKey: "projects/x", CAFile: "/ca.pem"}},
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
		{"gs://", "names no bucket"},
		{"gs:bucket", "names no bucket"},
		{"gs://b", "name cannot be right"},
		{"gs://Bucket", "name cannot be right"},
		{"gs://bucket/a//b", "prefix"},
		{"gs://bucket#x", "'#'"},
		{"gs://bucket?region=x", `unknown parameter "region"`},
		{"gs://bucket?endpoint=", "one value"},
		{"gs://bucket?endpoint=ftp://x", "https://host"},
		{"gs://bucket?endpoint=https://me:topsecret@host", "https://host"},
		{"gs://me:topsecret@bucket/p", "credentials belong into a file"},
		{"gs://bucket?a=%zz", "cannot be parsed"},
	}
	for _, tt := range tests {
		_, err := Parse(tt.url)
		if !fail.Is(err, fail.Invalid) || !strings.Contains(err.Error(), tt.text) || strings.Contains(err.Error(), "topsecret") {
			t.Errorf("%s: %v (%v), want %q", tt.url, err, fail.Of(err), tt.text)
		}
	}
}

func TestEscape(t *testing.T) {
	for name, want := range map[string]string{"a/b-c_d.e~f": "a/b-c_d.e~f", "a b+c": "a%20b%2Bc", "ü": "%C3%BC", "!*'()": "%21%2A%27%28%29"} {
		if got := escape(name); got != want {
			t.Errorf("%q: %q, want %q", name, got, want)
		}
	}
}
