// SPDX-License-Identifier: Apache-2.0

package location_test

import (
	"context"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"

	velerov1 "hozon.dev/hozon/api/velero/v1"
	"hozon.dev/hozon/internal/blob"
	"hozon.dev/hozon/internal/fail"
	"hozon.dev/hozon/internal/location"
	"hozon.dev/hozon/test/s3server"
)

// isolate hides what the machine of the test may have of anybody's cloud.
func isolate(t *testing.T) {
	t.Helper()
	for _, name := range []string{"AWS_ACCESS_KEY_ID", "AWS_ACCESS_KEY", "AWS_SECRET_ACCESS_KEY", "AWS_SECRET_KEY", "AWS_SESSION_TOKEN", "AWS_PROFILE", "AWS_REGION", "AWS_DEFAULT_REGION",
		"AWS_WEB_IDENTITY_TOKEN_FILE", "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI", "AWS_CONTAINER_CREDENTIALS_FULL_URI", "AWS_SHARED_CREDENTIALS_FILE", "AWS_CONFIG_FILE",
		"GOOGLE_APPLICATION_CREDENTIALS", "AZURE_CREDENTIALS_FILE", "AZURE_CLIENT_ID", "AZURE_CLIENT_SECRET", "AZURE_TENANT_ID", "AZURE_SUBSCRIPTION_ID", "AZURE_STORAGE_KEY"} {
		t.Setenv(name, "")
	}
	t.Setenv("HOME", t.TempDir())
	t.Setenv("AWS_EC2_METADATA_DISABLED", "true")
}

func newLocation(provider, bucket string, config map[string]string) *velerov1.BackupStorageLocation {
	loc := &velerov1.BackupStorageLocation{}
	loc.Namespace, loc.Name = "velero", "default"
	loc.Spec.Provider, loc.Spec.Config = provider, config
	loc.Spec.ObjectStorage = &velerov1.ObjectStorageLocation{Bucket: bucket}
	return loc
}

// withSecret lets loc name a Secret.
func withSecret(loc *velerov1.BackupStorageLocation) *velerov1.BackupStorageLocation {
	loc.Spec.Credential = &corev1.SecretKeySelector{Key: "cloud"}
	loc.Spec.Credential.Name = "cloud-credentials"
	return loc
}

func credentialsOf(s *s3server.Server) []byte {
	return []byte("[default]\naws_access_key_id=" + s.AccessKey + "\naws_secret_access_key=" + s.SecretKey + "\n")
}

func roundTrip(t *testing.T, b blob.Bucket) {
	t.Helper()
	if _, err := b.Put(t.Context(), "backups/a/velero-backup.json", strings.NewReader("{}"), blob.PutOptions{}); err != nil {
		t.Fatal(err)
	}
	if got := read(t, b, "backups/a/velero-backup.json"); got != "{}" {
		t.Errorf("read back %q", got)
	}
}

func read(t *testing.T, b blob.Bucket, key string) string {
	t.Helper()
	rc, err := b.Get(t.Context(), key, 0, -1)
	if err != nil {
		t.Fatal(err)
	}
	defer rc.Close()
	data, err := io.ReadAll(rc)
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}

// TestMinIO is the installation for S3-compatible storage of the CircleCI Server documentation, with its settings and its credentials file.
func TestMinIO(t *testing.T) {
	server := s3server.Start(t)
	isolate(t)
	if err := server.CreateBucket("bucket"); err != nil {
		t.Fatal(err)
	}
	for _, provider := range []string{"aws", "velero.io/aws"} {
		loc := withSecret(newLocation(provider, "bucket", map[string]string{"region": s3server.Region, "s3ForcePathStyle": "true", "s3Url": server.Endpoint}))
		loc.Spec.ObjectStorage.Prefix = "/some/prefix/"
		b, err := location.Open(t.Context(), loc, location.Secrets{Credential: credentialsOf(server)})
		if err != nil {
			t.Fatal(err)
		}
		roundTrip(t, b)
		if b.String() != "s3://bucket/some/prefix" {
			t.Errorf("it calls itself %s", b)
		}
	}
}

// TestSigned reads by a signed URL without any credentials, also through the public address that the location names.
func TestSigned(t *testing.T) {
	server := s3server.Start(t)
	isolate(t)
	if err := server.CreateBucket("bucket"); err != nil {
		t.Fatal(err)
	}
	public := strings.Replace(server.Endpoint, "127.0.0.1", "localhost", 1)
	for url, host := range map[string]string{"": server.Endpoint, public: public} {
		config := map[string]string{"region": s3server.Region, "s3Url": server.Endpoint, "publicUrl": url}
		b, err := location.Open(t.Context(), withSecret(newLocation("aws", "bucket", config)), location.Secrets{Credential: credentialsOf(server)})
		if err != nil {
			t.Fatal(err)
		}
		roundTrip(t, b)
		signed, err := b.(blob.Signer).Sign(t.Context(), "backups/a/velero-backup.json", 10*time.Minute)
		if err != nil || !strings.HasPrefix(signed, host) {
			t.Fatalf("signed %q, %v", signed, err)
		}
		if status, body := httpGet(t, signed); status != http.StatusOK || body != "{}" {
			t.Errorf("GET %s: %d %q", signed, status, body)
		}
		if status, _ := httpGet(t, strings.Replace(signed, "velero-backup.json", "other.json", 1)); status != http.StatusForbidden {
			t.Errorf("the URL opens another object: %d", status)
		}
		if strings.Contains(signed, server.SecretKey) {
			t.Error("the URL holds the secret key")
		}
	}
}

func httpGet(t *testing.T, url string) (status int, body string) {
	t.Helper()
	response, err := http.Get(url) // a plain client is the point
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	data, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	return response.StatusCode, string(data)
}

// TestRotation changes the credentials of a location: what was opened once is used until its Secret is another.
func TestRotation(t *testing.T) {
	server := s3server.Start(t)
	isolate(t)
	if err := server.CreateBucket("bucket"); err != nil {
		t.Fatal(err)
	}
	loc := withSecret(newLocation("aws", "bucket", map[string]string{"region": s3server.Region, "s3Url": server.Endpoint}))
	var cache location.Cache
	list := func(secrets location.Secrets) (blob.Bucket, error) {
		b, err := cache.Open(t.Context(), loc, secrets)
		if err != nil {
			t.Fatal(err)
		}
		return b, b.List(t.Context(), "", true, func(blob.Info) error { return nil })
	}
	old := location.Secrets{Credential: []byte("[default]\naws_access_key_id=AKIDTEST\naws_secret_access_key=topsecret\n")}
	if _, err := list(old); !fail.Is(err, fail.Denied) || !strings.Contains(err.Error(), `access key from key "cloud" of Secret cloud-credentials`) {
		t.Errorf("old credentials: %v", err)
	}
	fresh := location.Secrets{Credential: credentialsOf(server)}
	first, err := list(fresh)
	if err != nil {
		t.Errorf("new credentials: %v", err)
	}
	if second, _ := list(fresh); second != first {
		t.Error("nothing has changed, but the location was opened again")
	}
	loc.Spec.ObjectStorage.Prefix = "p"
	if third, _ := list(fresh); third == first {
		t.Error("the prefix has changed, but the location was not opened again")
	}
	cache.Forget("velero", "default")
}

func TestAWSRefused(t *testing.T) {
	isolate(t)
	secrets := location.Secrets{Credential: []byte("[default]\naws_access_key_id=AKIDTEST\naws_secret_access_key=topsecret\n[half]\naws_access_key_id=AKIDTEST\n")}
	with := func(pairs ...string) map[string]string {
		config := map[string]string{"region": "eu-north-1"}
		for i := 0; i < len(pairs); i += 2 {
			config[pairs[i]] = pairs[i+1]
		}
		return config
	}
	tests := []struct {
		config map[string]string
		text   string
	}{
		{with("regoin", "x", "another", "y"), "config has invalid keys [another regoin]; valid keys are [region s3Url publicUrl kmsKeyId"},
		{with("s3ForcePathStyle", "maybe"), "could not parse s3ForcePathStyle (expected bool)"},
		{with("insecureSkipTLSVerify", "maybe"), "could not parse insecureSkipTLSVerify (expected bool)"},
		{with("s3Url", "minio:9000"), "s3Url must start with http:// or https://"},
		{with("publicUrl", "minio:9000"), "publicUrl must start with http:// or https://"},
		{with("tagging", "a"), "tags must read key=value"},
		{with("tagging", "a=b&a=c"), "each key once"},
		{with("checksumAlgorithm", "MD4"), `unknown checksum algorithm "MD4"`},
		{with("serverSideEncryption", "rot13"), `unknown server-side encryption "rot13"`},
		{with("kmsKeyId", "a", "customerKeyEncryptionFile", "/f"), "you can only use one of"},
		{with("customerKeyEncryptionFile", "/not/there"), "read the file of customerKeyEncryptionFile"},
		{with("customerKeyEncryptionSecret", "name"), "expected secretName/key"},
		{with("customerKeyEncryptionSecret", "name/key"), "it has to have exactly 32"},
		{with("profile", "nobody"), `there is no profile "nobody"`},
		{with("profile", "half"), `aws_secret_access_key is missing in profile "half"`},
	}
	for _, tt := range tests {
		_, err := location.Open(t.Context(), withSecret(newLocation("aws", "bucket", tt.config)), secrets)
		if err == nil || !strings.Contains(err.Error(), tt.text) || strings.Contains(err.Error(), "topsecret") {
			t.Errorf("%v: %v, want %q", tt.config, err, tt.text)
		}
	}
}

func TestSpecRefused(t *testing.T) {
	isolate(t)
	ref := &corev1.SecretKeySelector{Key: "ca.crt"}
	ref.Name = "ca"
	tests := []struct {
		name   string
		change func(*velerov1.BackupStorageLocation)
		kind   fail.Kind
		text   string
	}{
		{"no store", func(l *velerov1.BackupStorageLocation) { l.Spec.ObjectStorage = nil }, fail.Invalid, "bucket is not set"},
		{"no bucket", func(l *velerov1.BackupStorageLocation) { l.Spec.ObjectStorage.Bucket = "/" }, fail.Invalid, "bucket is not set"},
		{"bucket with a folder", func(l *velerov1.BackupStorageLocation) { l.Spec.ObjectStorage.Bucket = "a/b" }, fail.Invalid, "belongs into spec.objectStorage.prefix"},
		{"prefix that climbs", func(l *velerov1.BackupStorageLocation) { l.Spec.ObjectStorage.Prefix = "a/../b" }, fail.Invalid, "spec.objectStorage.prefix"},
		{"empty Secret", func(l *velerov1.BackupStorageLocation) { withSecret(l) }, fail.Denied, `key "cloud" of Secret cloud-credentials, which spec.credential names, is empty`},
		{"empty CA", func(l *velerov1.BackupStorageLocation) { l.Spec.ObjectStorage.CACertRef = ref }, fail.Invalid, `key "ca.crt" of Secret ca`},
		{"two CAs", func(l *velerov1.BackupStorageLocation) {
			l.Spec.ObjectStorage.CACertRef, l.Spec.ObjectStorage.CACert = ref, []byte("x")
		}, fail.Invalid, "both caCert and caCertRef"},
		{"no PEM", func(l *velerov1.BackupStorageLocation) { l.Spec.ObjectStorage.CACert = []byte("x") }, fail.Invalid, "the CA of caCert holds no PEM certificate"},
		{"plugin", func(l *velerov1.BackupStorageLocation) { l.Spec.Provider = "example.com/tape" }, fail.Unsupported, `no store of provider "example.com/tape"`},
		{"no credentials", func(*velerov1.BackupStorageLocation) {}, fail.Denied, "no credentials for S3"},
	}
	for _, tt := range tests {
		loc := newLocation("aws", "bucket", map[string]string{"region": "eu-north-1"})
		tt.change(loc)
		b, err := location.Open(context.Background(), loc, location.Secrets{})
		if !fail.Is(err, tt.kind) || b != nil || !strings.Contains(err.Error(), tt.text) {
			t.Errorf("%s: %v, %v (%v), want %v with %q", tt.name, b, err, fail.Of(err), tt.kind, tt.text)
		}
	}
}
