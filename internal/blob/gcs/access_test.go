// SPDX-License-Identifier: Apache-2.0

package gcs_test

import (
	"crypto"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"hozon.dev/hozon/internal/blob"
	"hozon.dev/hozon/internal/blob/gcs"
	"hozon.dev/hozon/internal/fail"
	"hozon.dev/hozon/test/gcsserver"
)

func isolate(t *testing.T) {
	t.Helper()
	t.Setenv("GOOGLE_APPLICATION_CREDENTIALS", "")
	t.Setenv("HOME", t.TempDir())
	t.Setenv("GCE_METADATA_HOST", "127.0.0.1:1")
}

func put(t *testing.T, b blob.Bucket, key, content string) {
	t.Helper()
	if _, err := b.Put(t.Context(), key, strings.NewReader(content), blob.PutOptions{}); err != nil {
		t.Fatal(err)
	}
}

// TestSign reads by signed URLs without credentials: signed with the key of the file, and by a service that signs, as for a workload identity. The server
// does not look at signatures, so the test does, as Google's documentation says a server has to.
func TestSign(t *testing.T) {
	server := gcsserver.Start(t)
	isolate(t)
	server.CreateBucket(t, "bucket")
	private, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	service := newSigner(t, private)
	user := []byte(`{"type": "authorized_user", "client_id": "1", "client_secret": "2", "refresh_token": "3"}`)
	tests := []struct {
		name string
		cfg  gcs.Config
		key  *rsa.PublicKey
	}{
		{"key file", gcs.Config{Credentials: server.Key}, server.Public},
		{"service", gcs.Config{Credentials: user, ServiceAccount: gcsserver.Account}, &private.PublicKey},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			writer := open(t, gcs.Config{Bucket: "bucket", Prefix: "p", Endpoint: server.Endpoint, Credentials: server.Key})
			put(t, writer, "a b/ü+&.gz", "content")
			tt.cfg.Bucket, tt.cfg.Prefix, tt.cfg.Endpoint = "bucket", "p", server.Endpoint
			b := open(t, tt.cfg)
			b.SignAt(service.URL + "/")
			if tt.name == "service" {
				gcs.TokenOf(b, "the pod's token")
			}
			signed, err := b.Sign(t.Context(), "a b/ü+&.gz", 10*time.Minute)
			if err != nil {
				t.Fatal(err)
			}
			verify(t, signed, tt.key)
			response, err := http.Get(signed) // a plain client is the point
			if err != nil {
				t.Fatal(err)
			}
			defer response.Body.Close()
			if data, err := io.ReadAll(response.Body); response.StatusCode != http.StatusOK || string(data) != "content" {
				t.Errorf("GET %s: %d %.100q %v", signed, response.StatusCode, data, err)
			}
		})
	}
	none := open(t, gcs.Config{Bucket: "bucket", Endpoint: server.Endpoint, Credentials: user})
	if _, err := none.Sign(t.Context(), "k", time.Minute); !fail.Is(err, fail.Unsupported) || !strings.Contains(err.Error(), "serviceAccount") {
		t.Errorf("without a key: %v", err)
	}
	denied := open(t, gcs.Config{Bucket: "bucket", Endpoint: server.Endpoint, Credentials: user, ServiceAccount: "other@x"})
	denied.SignAt(service.URL + "/")
	gcs.TokenOf(denied, "the pod's token")
	if _, err := denied.Sign(t.Context(), "k", time.Minute); !fail.Is(err, fail.Denied) || !strings.Contains(err.Error(), "iam.serviceAccounts.signBlob") {
		t.Errorf("without the right: %v", err)
	}
}

// newSigner answers as Google's service does that signs with the key of a service account.
func newSigner(t *testing.T, private *rsa.PrivateKey) *httptest.Server {
	t.Helper()
	service := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		var request struct{ Payload []byte }
		w.Header().Set("Content-Type", "application/json")
		if r.URL.Path != "/v1/projects/-/serviceAccounts/"+gcsserver.Account+":signBlob" || r.Header.Get("Authorization") != "Bearer the pod's token" ||
			json.NewDecoder(r.Body).Decode(&request) != nil {
			w.WriteHeader(http.StatusForbidden)
			fmt.Fprint(w, `{"error": {"code": 403, "message": "Permission 'iam.serviceAccounts.signBlob' denied"}}`)
			return
		}
		sum := sha256.Sum256(request.Payload)
		signature, err := rsa.SignPKCS1v15(rand.Reader, private, crypto.SHA256, sum[:])
		if err != nil {
			t.Error(err)
		}
		fmt.Fprintf(w, `{"keyId": "1", "signedBlob": %q}`, base64.StdEncoding.EncodeToString(signature))
	}))
	t.Cleanup(service.Close)
	return service
}

// verify checks a signature of version 4.
func verify(t *testing.T, signed string, key *rsa.PublicKey) {
	t.Helper()
	u, err := url.Parse(signed)
	if err != nil {
		t.Fatal(err)
	}
	query := u.Query()
	signature, err := hex.DecodeString(query.Get("X-Goog-Signature"))
	if err != nil {
		t.Fatal(err)
	}
	account, scope, _ := strings.Cut(query.Get("X-Goog-Credential"), "/")
	if account != gcsserver.Account || query.Get("X-Goog-Expires") != "600" || query.Get("X-Goog-SignedHeaders") != "host" {
		t.Errorf("%s: what is signed is wrong", signed)
	}
	parameters, _, _ := strings.Cut(u.RawQuery, "&X-Goog-Signature=")
	request := "GET\n" + u.EscapedPath() + "\n" + parameters + "\nhost:" + u.Host + "\n\nhost\nUNSIGNED-PAYLOAD"
	hash := sha256.Sum256([]byte(request))
	text := "GOOG4-RSA-SHA256\n" + query.Get("X-Goog-Date") + "\n" + scope + "\n" + hex.EncodeToString(hash[:])
	sum := sha256.Sum256([]byte(text))
	if err := rsa.VerifyPKCS1v15(key, crypto.SHA256, sum[:], signature); err != nil {
		t.Errorf("%s: %v", signed, err)
	}
}

// TestWrongAccess is what a user meets who gets one thing wrong. Google's token service refuses in the test's own words, taken from its documentation.
func TestWrongAccess(t *testing.T) {
	server := gcsserver.Start(t)
	isolate(t)
	server.CreateBucket(t, "bucket")
	refusing := func(description string) []byte {
		service := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "application/json")
			w.WriteHeader(http.StatusBadRequest)
			fmt.Fprintf(w, `{"error": "invalid_grant", "error_description": %q}`, description)
		}))
		t.Cleanup(service.Close)
		return keyAt(t, service.URL)
	}
	tests := []struct {
		name string
		cfg  gcs.Config
		kind fail.Kind
		text string
	}{
		{"bucket", gcs.Config{Bucket: "other", Credentials: server.Key}, fail.NotFound, `there is no bucket "other"`},
		{"key", gcs.Config{Bucket: "bucket", Credentials: refusing("Invalid JWT Signature.")}, fail.Denied, "does not take the key from the credentials given"},
		{"clock", gcs.Config{Bucket: "bucket", Credentials: refusing("Invalid JWT: Token must be a short-lived token (60 minutes) and in a reasonable timeframe. Check your iat and exp values in the JWT claim.")},
			fail.Denied, "the clock of this machine and Google's differ"},
		{"no JSON", gcs.Config{Bucket: "bucket", Credentials: []byte("[default]\ntopsecret=x")}, fail.Denied, "not in the form of a Google credentials file"},
		{"type", gcs.Config{Bucket: "bucket", Credentials: []byte(`{"type": "other", "x": "topsecret"}`)}, fail.Denied, "cannot be used"},
		{"file", gcs.Config{Bucket: "bucket", CredentialsFile: "/not/there"}, fail.Denied, "/not/there"},
		{"endpoint", gcs.Config{Bucket: "bucket", Credentials: server.Key, Endpoint: "https://x/path"}, fail.Invalid, "https://host"},
		{"TLS", gcs.Config{Bucket: "bucket", Credentials: server.Key, Endpoint: strings.Replace(server.Endpoint, "http:", "https:", 1)}, fail.Invalid, "write http://"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if tt.cfg.Endpoint == "" {
				tt.cfg.Endpoint = server.Endpoint
			}
			b, err := gcs.Open(t.Context(), tt.cfg)
			if err == nil {
				_, err = b.Put(t.Context(), "k", strings.NewReader("x"), blob.PutOptions{})
			}
			if !fail.Is(err, tt.kind) || !strings.Contains(err.Error(), tt.text) || strings.Contains(err.Error(), "topsecret") {
				t.Errorf("%v (%v), want %v with %q", err, fail.Of(err), tt.kind, tt.text)
			}
		})
	}
}

// keyAt is a key file that sends its user to the token service at url.
func keyAt(t *testing.T, url string) []byte {
	t.Helper()
	private, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	der, err := x509.MarshalPKCS8PrivateKey(private)
	if err != nil {
		t.Fatal(err)
	}
	return gcsserver.KeyFile(t, der, url)
}

// TestProxy looks at what goes over a TLS link with a CA of its own: the key of the KMS, the condition, and what happens when an answer is lost.
func TestProxy(t *testing.T) {
	server := gcsserver.Start(t)
	isolate(t)
	server.CreateBucket(t, "bucket")
	target, err := url.Parse(server.Endpoint)
	if err != nil {
		t.Fatal(err)
	}
	var kms, lose string
	forward := &httputil.ReverseProxy{
		Rewrite: func(r *httputil.ProxyRequest) { r.SetURL(target) },
		ModifyResponse: func(r *http.Response) error {
			if r.Request.Method == http.MethodPost && lose != "" {
				return http.ErrAbortHandler
			}
			return nil
		},
		ErrorHandler: func(http.ResponseWriter, *http.Request, error) { panic(http.ErrAbortHandler) },
	}
	p := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method == http.MethodPost {
			kms = r.URL.Query().Get("kmsKeyName")
		}
		forward.ServeHTTP(w, r)
	}))
	t.Cleanup(p.Close)
	cfg := gcs.Config{Bucket: "bucket", Endpoint: p.URL, KMSKey: "projects/p/locations/l/keyRings/r/cryptoKeys/k"}
	cfg.CredentialsFile = filepath.Join(t.TempDir(), "key.json")
	if err := os.WriteFile(cfg.CredentialsFile, server.Key, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := open(t, cfg).Stat(t.Context(), "k"); !fail.Is(err, fail.Invalid) || !strings.Contains(err.Error(), "ca=FILE") {
		t.Errorf("unknown authority: %v", err)
	}
	cfg.CA = pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: p.Certificate().Raw})
	b := open(t, cfg)
	put(t, b, "k", "x")
	if kms != cfg.KMSKey {
		t.Errorf("the server was told the KMS key %q", kms)
	}
	lose = "answers"
	if _, err := b.Put(t.Context(), "lost", strings.NewReader("x"), blob.PutOptions{IfAbsent: true}); err != nil {
		t.Errorf("a Put whose answer is lost: %v", err)
	}
	if _, err := b.Put(t.Context(), "lost", strings.NewReader("y"), blob.PutOptions{IfAbsent: true}); err == nil {
		t.Error("it was written twice")
	}
	lose = ""
	// The key file is exchanged under the open bucket: no JSON any more.
	if err := os.WriteFile(cfg.CredentialsFile, []byte("gone"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := b.Stat(t.Context(), "k"); !fail.Is(err, fail.Denied) || !strings.Contains(err.Error(), cfg.CredentialsFile) {
		t.Errorf("a changed key file: %v", err)
	}
}
