// SPDX-License-Identifier: Apache-2.0

package open_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"hozon.dev/hozon/internal/blob/open"
	"hozon.dev/hozon/internal/fail"
)

func TestFolders(t *testing.T) {
	root := t.TempDir()
	if err := os.MkdirAll(filepath.Join(root, "a b", "c:d"), 0o700); err != nil {
		t.Fatal(err)
	}
	t.Chdir(root)
	escaped := "file://" + root + "/a%20b"
	tests := []struct{ text, want string }{
		{root, "file://" + root},
		{"file://" + root, "file://" + root},
		{"file://localhost" + root, "file://" + root},
		{"file:" + root, "file://" + root},
		{"FILE://" + root, "file://" + root},
		{escaped, escaped},
		{root + "/a b/", escaped},
		{"a b", escaped},
		{"./a b", escaped},
		{"./a b/c:d", escaped + "/c:d"},
		{".", "file://" + root},
	}
	for _, tt := range tests {
		b, err := open.Bucket(t.Context(), tt.text, open.Options{})
		if err != nil {
			t.Errorf("%s: %v", tt.text, err)
		} else if b.String() != tt.want {
			t.Errorf("%s calls itself %s, want %s", tt.text, b, tt.want)
		}
	}
	fresh := filepath.Join(root, "new")
	if b, err := open.Bucket(t.Context(), fresh, open.Options{}); !fail.Is(err, fail.NotFound) || b != nil {
		t.Errorf("missing: %v, %v", b, err)
	}
	if _, err := open.Bucket(t.Context(), fresh, open.Options{Create: true}); err != nil {
		t.Errorf("created: %v", err)
	}
}

func TestBuckets(t *testing.T) {
	t.Setenv("AWS_ACCESS_KEY_ID", "AKIDTEST")
	t.Setenv("AWS_SECRET_ACCESS_KEY", "topsecret")
	t.Setenv("AZURE_STORAGE_KEY", "dG9wc2VjcmV0")
	key := filepath.Join(t.TempDir(), "key.json")
	if err := os.WriteFile(key, []byte(`{"type": "authorized_user", "client_id": "1", "client_secret": "2", "refresh_token": "3"}`), 0o600); err != nil {
		t.Fatal(err)
	}
	for text, want := range map[string]string{
		"gs://bucket/a?credentials-file=" + key: "gs://bucket/a",
		"azblob://container/a?account=backups":  "azblob://container/a",
		"s3://bucket":                           "s3://bucket",
		"S3://bucket/a/b/?region=x-1":           "s3://bucket/a/b",
	} {
		b, err := open.Bucket(t.Context(), text, open.Options{Create: true})
		if err != nil {
			t.Errorf("%s: %v", text, err)
		} else if b.String() != want {
			t.Errorf("%s calls itself %s", text, b)
		}
	}
}

func TestRefused(t *testing.T) {
	tests := []struct{ text, want string }{
		{"", "file:///folder, /folder, ./folder, s3://bucket/prefix?endpoint=…, gs://bucket/prefix"},
		{"gcs://bucket", `unknown kind of store "gcs": known are file:///folder`},
		{"gs://AKIDTEST:topsecret@bucket/p", "credentials belong into"},
		{"gs://bucket?regoin=x", `unknown parameter "regoin"`},
		{"azblob://AKIDTEST:topsecret@container/p", "credentials belong into"},
		{"azblob://container?account=backups&regoin=x", `unknown parameter "regoin"`},
		{"azblob://container", "storage account is missing"},
		{"http://host/x", `unknown kind of store "http"`},
		{"folder:x", `unknown kind of store "folder"`},
		{"mem://", `unknown kind of store "mem"`},
		{"file://srv/backups", "three slashes"},
		{"file://", "file:///folder"},
		{"file:backups", "file:///folder"},
		{"file:///a?create=true", "takes none"},
		{"file:///a#b", "takes none"},
		{"file:///a%zz", "cannot be parsed"},
		{"file://AKIDTEST:topsecret@/srv", "user or a password"},
		{"s3://bucket?regoin=x", `unknown parameter "regoin"`},
		{"s3://AKIDTEST:topsecret@bucket/p", "credentials belong into"},
		{"s3://AKIDTEST:top/secret@bucket/p", "store's URL"},
		{"https://AKIDTEST:topsecret@host/bucket", `unknown kind of store "https"`},
	}
	for _, tt := range tests {
		b, err := open.Bucket(t.Context(), tt.text, open.Options{Create: true})
		if !fail.Is(err, fail.Invalid) || b != nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%q: %v, %v, want %q", tt.text, b, err, tt.want)
		}
		for _, secret := range []string{"AKIDTEST", "topsecret", "top/secret"} {
			if err != nil && strings.Contains(err.Error(), secret) {
				t.Errorf("%q: the message quotes it: %v", tt.text, err)
			}
		}
	}
}
