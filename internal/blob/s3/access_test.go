// SPDX-License-Identifier: Apache-2.0

package s3_test

import (
	"encoding/pem"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"hozon.dev/hozon/internal/blob"
	"hozon.dev/hozon/internal/blob/s3"
	"hozon.dev/hozon/internal/fail"
)

// TestWrongAccess is what a user meets who gets one thing wrong, at a real server.
func TestWrongAccess(t *testing.T) {
	server := start(t)
	if err := server.CreateBucket("bucket"); err != nil {
		t.Fatal(err)
	}
	tests := []struct {
		name, url, key, secret string
		kind                   fail.Kind
		text                   string
	}{
		{"bucket", "s3://other?endpoint=" + server.Endpoint, server.AccessKey, server.SecretKey, fail.NotFound, `no bucket "other"`},
		{"key", "s3://bucket?endpoint=" + server.Endpoint, "AKIDTEST", server.SecretKey, fail.Denied, "access key from the environment"},
		{"secret", "s3://bucket?endpoint=" + server.Endpoint, server.AccessKey, "topsecret", fail.Denied, "secret key from the environment"},
		{"region", "s3://bucket?region=mars-1&endpoint=" + server.Endpoint, server.AccessKey, server.SecretKey, fail.Invalid, `not in region "mars-1"`},
		{"tls", "s3://bucket?endpoint=" + strings.Replace(server.Endpoint, "http:", "https:", 1), server.AccessKey, server.SecretKey, fail.Invalid, "write http://"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Setenv("AWS_ACCESS_KEY_ID", tt.key)
			t.Setenv("AWS_SECRET_ACCESS_KEY", tt.secret)
			b := open(t, tt.url)
			_, putErr := b.Put(t.Context(), "k", strings.NewReader("x"), blob.PutOptions{})
			_, getErr := b.Get(t.Context(), "k", 0, -1)
			listErr := b.List(t.Context(), "", true, func(blob.Info) error { return nil })
			for op, err := range map[string]error{"put": putErr, "get": getErr, "list": listErr} {
				if !fail.Is(err, tt.kind) || !strings.Contains(err.Error(), tt.text) {
					t.Errorf("%s: %v (%v), want %v with %q", op, err, fail.Of(err), tt.kind, tt.text)
				}
			}
		})
	}
}

func TestTLS(t *testing.T) {
	server := start(t)
	if err := server.CreateBucket("bucket"); err != nil {
		t.Fatal(err)
	}
	p := newProxy(t, server.Endpoint)
	p.StartTLS()
	ca := filepath.Join(t.TempDir(), "ca.pem")
	if err := os.WriteFile(ca, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: p.Certificate().Raw}), 0o600); err != nil {
		t.Fatal(err)
	}
	stat := func(url string) error {
		_, err := open(t, url).Stat(t.Context(), "k")
		return err
	}
	url := "s3://bucket?endpoint=" + p.URL
	if err := stat(url); !fail.Is(err, fail.Invalid) || !strings.Contains(err.Error(), "ca=FILE") {
		t.Errorf("unknown authority: %v", err)
	}
	if err := stat(url + "&ca=" + ca); !fail.Is(err, fail.NotFound) {
		t.Errorf("with ca: %v", err)
	}
	if err := stat(url + "&insecure-skip-tls-verify=true"); !fail.Is(err, fail.NotFound) {
		t.Errorf("unverified: %v", err)
	}
	// The certificate is for 127.0.0.1 and example.com.
	if err := stat(strings.Replace(url, "127.0.0.1", "localhost", 1) + "&ca=" + ca); !fail.Is(err, fail.Invalid) || !strings.Contains(err.Error(), "not valid for it") {
		t.Errorf("another host: %v", err)
	}
	if err := stat(strings.Replace(url, "https:", "http:", 1)); !fail.Is(err, fail.Invalid) || !strings.Contains(err.Error(), "write https://") {
		t.Errorf("without TLS: %v", err)
	}
	b := open(t, url+"&ca="+ca)
	put(t, b, "k", strings.Repeat("x", 9<<20))
	if info, err := b.Stat(t.Context(), "k"); err != nil || info.Size != 9<<20 {
		t.Errorf("stat: %+v, %v", info, err)
	}
	if err := os.WriteFile(ca, []byte("no certificate"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, file := range []string{ca, ca + ".missing"} {
		cfg, err := s3.Parse(url + "&ca=" + file)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := s3.Open(t.Context(), cfg); !fail.Is(err, fail.Invalid) || !strings.Contains(err.Error(), file) {
			t.Errorf("a bad CA file: %v", err)
		}
	}
}

func TestCredentials(t *testing.T) {
	server := start(t)
	if err := server.CreateBucket("bucket"); err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "credentials")
	good := "\naws_access_key_id = " + server.AccessKey + "\naws_secret_access_key = " + server.SecretKey + "\n"
	bad := "\naws_access_key_id = AKIDTEST\naws_secret_access_key = topsecret\n"
	if err := os.WriteFile(file, []byte("[default]"+good+"[other]"+bad+"[half]\naws_access_key_id = AKIDTEST\n[empty]\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	env := map[string]string{"AWS_ACCESS_KEY_ID": server.AccessKey, "AWS_SECRET_ACCESS_KEY": server.SecretKey}
	badEnv := map[string]string{"AWS_ACCESS_KEY_ID": "AKIDTEST", "AWS_SECRET_ACCESS_KEY": "topsecret"}
	shared := map[string]string{"AWS_SHARED_CREDENTIALS_FILE": file}
	tests := []struct {
		name string
		env  []map[string]string
		cfg  s3.Config
		kind fail.Kind // of opening and looking; NotFound: the server has accepted us
		text string
	}{
		{"none", nil, s3.Config{}, fail.Denied, "no credentials for S3: set AWS_ACCESS_KEY_ID"},
		{"environment", []map[string]string{env}, s3.Config{}, fail.NotFound, ""},
		{"shared file", []map[string]string{shared}, s3.Config{}, fail.NotFound, ""},
		{"environment before file", []map[string]string{badEnv, shared}, s3.Config{}, fail.Denied, "from the environment"},
		{"profile by URL before environment", []map[string]string{env, shared}, s3.Config{Profile: "other"}, fail.Denied, "profile other"},
		{"profile by environment", []map[string]string{shared, {"AWS_PROFILE": "other"}}, s3.Config{}, fail.Denied, "profile other"},
		{"profile that is not there", []map[string]string{shared}, s3.Config{Profile: "nobody"}, fail.Denied, "nobody"},
		{"half a profile", []map[string]string{shared}, s3.Config{Profile: "half"}, fail.Denied, "aws_secret_access_key"},
		{"empty profile", []map[string]string{shared}, s3.Config{Profile: "empty"}, fail.Denied, "aws_access_key_id is missing"},
		{"file of the location", []map[string]string{badEnv}, s3.Config{CredentialsFile: file}, fail.NotFound, ""},
		{"file that is not there", []map[string]string{env}, s3.Config{CredentialsFile: file + "x"}, fail.Denied, file + "x"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			isolate(t)
			for _, vars := range tt.env {
				for name, value := range vars {
					t.Setenv(name, value)
				}
			}
			tt.cfg.Bucket, tt.cfg.Endpoint = "bucket", server.Endpoint
			b, err := s3.Open(t.Context(), tt.cfg)
			if err == nil {
				_, err = b.Stat(t.Context(), "k")
			}
			if !fail.Is(err, tt.kind) || !strings.Contains(err.Error(), tt.text) {
				t.Errorf("%v (%v), want %v with %q", err, fail.Of(err), tt.kind, tt.text)
			}
			if err != nil && strings.Contains(err.Error(), "topsecret") {
				t.Errorf("a secret in %q", err)
			}
		})
	}
}

func TestCapabilities(t *testing.T) {
	isolate(t)
	t.Setenv("AWS_ACCESS_KEY_ID", "AKIDTEST")
	t.Setenv("AWS_SECRET_ACCESS_KEY", "topsecret")
	for url, want := range map[string]bool{
		"s3://bucket":                                                     true,
		"s3://bucket?conditional-put=false":                               false,
		"s3://bucket/p?endpoint=http://127.0.0.1:1":                       false,
		"s3://bucket/p?endpoint=http://127.0.0.1:1&conditional-put=true":  true,
		"s3://bucket/p?endpoint=http://127.0.0.1:1&conditional-put=false": false,
	} {
		b := open(t, url)
		if got := b.Capabilities().AtomicPut; got != want {
			t.Errorf("%s: AtomicPut %v", url, got)
		}
		if name, _, _ := strings.Cut(url, "?"); b.String() != name {
			t.Errorf("%s calls itself %s", url, b)
		}
	}
}
