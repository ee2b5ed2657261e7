// SPDX-License-Identifier: Apache-2.0

package azure_test

import (
	"crypto/x509"
	"encoding/base64"
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

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/Azure/azure-sdk-for-go/sdk/storage/azblob"
	"github.com/Azure/azure-sdk-for-go/sdk/storage/azblob/sas"

	"hozon.dev/hozon/internal/blob"
	"hozon.dev/hozon/internal/blob/azure"
	"hozon.dev/hozon/internal/fail"
	"hozon.dev/hozon/test/azureserver"
)

func put(t *testing.T, b blob.Bucket, key, content string) {
	t.Helper()
	if _, err := b.Put(t.Context(), key, strings.NewReader(content), blob.PutOptions{}); err != nil {
		t.Fatal(err)
	}
}

// wantSigned reads an object by a signed URL, without credentials, and not another one.
func wantSigned(t *testing.T, client *http.Client, b *azure.Bucket) {
	t.Helper()
	put(t, b, "a b/ü+&.gz", "content")
	put(t, b, "other", "content")
	signed, err := b.Sign(t.Context(), "a b/ü+&.gz", 10*time.Minute)
	if err != nil {
		t.Fatal(err)
	}
	another, err := b.Sign(t.Context(), "other", 10*time.Minute)
	if err != nil {
		t.Fatal(err)
	}
	_, query, _ := strings.Cut(signed, "?")
	another, _, _ = strings.Cut(another, "?")
	for u, want := range map[string]int{signed: http.StatusOK, another + "?" + query: http.StatusForbidden} {
		response, err := client.Get(u)
		if err != nil {
			t.Fatal(err)
		}
		data, err := io.ReadAll(response.Body)
		response.Body.Close()
		if response.StatusCode != want || want == http.StatusOK && string(data) != "content" {
			t.Errorf("GET: %d (want %d) %.900q %v, %s", response.StatusCode, want, data, err, u)
		}
	}
}

// TestSign makes URLs with the account's key, which the server checks, and opens a container by such a signature in place of a key.
func TestSign(t *testing.T) {
	server := azureserver.Start(t, azureserver.TLS{})
	isolate(t)
	server.CreateContainer(t, "container")
	cfg := azure.Config{Account: azureserver.Account, Container: "container", Prefix: "p", Endpoint: server.Endpoint, Credentials: []byte("export AZURE_STORAGE_KEY='" + azureserver.Key + "'\n")}
	wantSigned(t, http.DefaultClient, open(t, cfg))

	credential, err := azblob.NewSharedKeyCredential(azureserver.Account, azureserver.Key)
	if err != nil {
		t.Fatal(err)
	}
	query, err := sas.BlobSignatureValues{
		Protocol: sas.ProtocolHTTPSandHTTP, ExpiryTime: time.Now().UTC().Add(time.Hour), ContainerName: "container",
		Permissions: (&sas.ContainerPermissions{Read: true, Write: true, Create: true, Add: true, List: true, Delete: true}).String(),
	}.SignWithSharedKey(credential)
	if err != nil {
		t.Fatal(err)
	}
	cfg.Credentials = []byte("AZURE_STORAGE_SAS_TOKEN=?" + query.Encode() + "\n")
	b := open(t, cfg)
	put(t, b, "by-sas", strings.Repeat("x", 9<<20))
	if info, err := b.Stat(t.Context(), "by-sas"); err != nil || info.Size != 9<<20 {
		t.Errorf("stat: %+v, %v", info, err)
	}
	if _, err := b.Sign(t.Context(), "by-sas", time.Minute); !fail.Is(err, fail.Unsupported) {
		t.Errorf("sign with a SAS: %v", err)
	}
}

// TestWrongAccess is what a user meets who gets one thing wrong, at a real server.
func TestWrongAccess(t *testing.T) {
	server := azureserver.Start(t, azureserver.TLS{})
	isolate(t)
	server.CreateContainer(t, "container")
	target, err := url.Parse(server.Endpoint)
	if err != nil {
		t.Fatal(err)
	}
	forward := httputil.NewSingleHostReverseProxy(&url.URL{Scheme: target.Scheme, Host: target.Host})
	tls := httptest.NewTLSServer(forward)
	t.Cleanup(tls.Close)
	clock := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("x-ms-error-code", "AuthenticationFailed")
		w.WriteHeader(http.StatusForbidden)
		fmt.Fprint(w, "<?xml version=\"1.0\" encoding=\"utf-8\"?><Error><Code>AuthenticationFailed</Code><Message>Server failed to authenticate the request.</Message>"+
			"<AuthenticationErrorDetail>Request date header too old: 'Sat, 21 Nov 2026 10:00:00 GMT'</AuthenticationErrorDetail></Error>")
	}))
	t.Cleanup(clock.Close)
	key := "AZURE_STORAGE_KEY=" + azureserver.Key
	other := "AZURE_STORAGE_KEY=" + base64.StdEncoding.EncodeToString([]byte("another key"))
	tests := []struct {
		name, container, endpoint, credentials string
		kind                                   fail.Kind
		text                                   string
	}{
		{"container", "other", server.Endpoint, key, fail.NotFound, `there is no container "other"`},
		{"key", "container", server.Endpoint, other, fail.Denied, "a key that is not this account's"},
		{"SAS", "container", server.Endpoint, "AZURE_STORAGE_SAS_TOKEN=sv=2024-11-04&sr=c&sp=racwdl&se=2020-01-01T00%3A00%3A00Z&sig=dG9wc2VjcmV0", fail.Denied, "the SAS from the credentials given"},
		{"clock", "container", clock.URL + "/" + azureserver.Account, key, fail.Denied, "the clock of this machine and that of " + clock.URL},
		{"TLS", "container", strings.Replace(server.Endpoint, "http:", "https:", 1), key, fail.Invalid, "write http://"},
		{"CA", "container", tls.URL + "/" + azureserver.Account, key, fail.Invalid, "name its CA with ca=FILE"},
		{"token without TLS", "container", server.Endpoint, "AZURE_TENANT_ID=tenant\nAZURE_CLIENT_ID=client\nAZURE_CLIENT_SECRET=topsecret", fail.Invalid, "has to start with https://"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			b := open(t, azure.Config{Account: azureserver.Account, Container: tt.container, Endpoint: tt.endpoint, Credentials: []byte(tt.credentials)})
			_, err := b.Put(t.Context(), "k", strings.NewReader("x"), blob.PutOptions{})
			if !fail.Is(err, tt.kind) || !strings.Contains(err.Error(), tt.text) || strings.Contains(err.Error(), "topsecret") || strings.Contains(err.Error(), "dG9wc2VjcmV0") {
				t.Errorf("%v (%v), want %v with %q", err, fail.Of(err), tt.kind, tt.text)
			}
		})
	}
}

// tenant is where identities log in: it gives tokens as Microsoft Entra does to who shows the secret or the pod's token, and the resource manager's answer for an
// account's keys. There is no such service to run on one's own machine; the store that the tokens are for is the emulator.
func tenant(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Content-Type", "application/json")
	base := "https://" + r.Host + "/tenant"
	switch {
	case strings.HasSuffix(r.URL.Path, "/openid-configuration"):
		fmt.Fprintf(w, `{"issuer": %q, "authorization_endpoint": %q, "token_endpoint": %q}`, base+"/v2.0", base+"/authorize", base+"/token")
	case strings.HasSuffix(r.URL.Path, "/token") && (r.FormValue("client_secret") == "topsecret" || r.FormValue("client_assertion") == "the pod's token"):
		now := time.Now().Unix()
		part := func(v any) string {
			text, _ := json.Marshal(v)
			return base64.RawURLEncoding.EncodeToString(text)
		}
		token := part(map[string]string{"typ": "JWT", "alg": "RS256"}) + "." + part(map[string]any{
			"aud": "https://storage.azure.com", "iss": "https://sts.windows.net/ab1f708d-50f6-404c-a006-d71b2ac7a606/", "iat": now, "nbf": now - 60, "exp": now + 3600,
			"oid": "23657296-5cd5-45b0-a809-d972a7f4dfe1", "tid": "ab1f708d-50f6-404c-a006-d71b2ac7a606",
		}) + ".c2ln"
		fmt.Fprintf(w, `{"token_type": "Bearer", "expires_in": 3600, "access_token": %q}`, token)
	case strings.HasSuffix(r.URL.Path, "/token"):
		w.WriteHeader(http.StatusUnauthorized)
		fmt.Fprint(w, `{"error": "invalid_client", "error_description": "AADSTS7000215: Invalid client secret provided."}`)
	default:
		w.WriteHeader(http.StatusNotFound)
	}
}

// TestIdentity uses a client's secret and a pod's token in place of a key, over TLS.
func TestIdentity(t *testing.T) {
	login := httptest.NewTLSServer(http.HandlerFunc(tenant))
	t.Cleanup(login.Close)
	pair := login.TLS.Certificates[0]
	der, err := x509.MarshalPKCS8PrivateKey(pair.PrivateKey)
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	files := azureserver.TLS{CertFile: filepath.Join(dir, "cert.pem"), KeyFile: filepath.Join(dir, "key.pem")}
	ca := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: pair.Certificate[0]})
	token := filepath.Join(dir, "token")
	for name, data := range map[string][]byte{files.CertFile: ca, files.KeyFile: pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}), token: []byte("the pod's token")} {
		if err := os.WriteFile(name, data, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	server := azureserver.Start(t, files)
	isolate(t)
	credential, err := azblob.NewSharedKeyCredential(azureserver.Account, azureserver.Key)
	if err != nil {
		t.Fatal(err)
	}
	client, err := azblob.NewClientWithSharedKeyCredential(server.Endpoint, credential, &azblob.ClientOptions{ClientOptions: azcore.ClientOptions{Transport: login.Client()}})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := client.CreateContainer(t.Context(), "container", nil); err != nil {
		t.Fatal(err)
	}
	const who = "AZURE_TENANT_ID=tenant\nAZURE_CLIENT_ID=client\n"
	cfg := azure.Config{Account: azureserver.Account, Container: "container", Endpoint: server.Endpoint, CA: ca, Authority: login.URL + "/"}
	for name, credentials := range map[string]string{"secret": "AZURE_CLIENT_SECRET=topsecret\n", "pod": "AZURE_FEDERATED_TOKEN_FILE=" + token + "\n"} {
		t.Run(name, func(t *testing.T) {
			cfg := cfg
			cfg.Credentials = []byte(who + credentials)
			b := open(t, cfg)
			put(t, b, name, strings.Repeat("x", 9<<20))
			if info, err := b.Stat(t.Context(), name); err != nil || info.Size != 9<<20 {
				t.Errorf("stat: %+v, %v", info, err)
			}
			// At 127.0.0.1 the name of the account does not stand in the address.
			if signed, err := b.Sign(t.Context(), name, time.Minute); !fail.Is(err, fail.Unsupported) {
				t.Errorf("sign: %q, %v", signed, err)
			}
		})
	}
	cfg.Credentials = []byte(who + "AZURE_CLIENT_SECRET=expired\n")
	_, err = open(t, cfg).Stat(t.Context(), "k")
	if !fail.Is(err, fail.Denied) || !strings.Contains(err.Error(), "no token for the client secret") || !strings.Contains(err.Error(), "AADSTS7000215") {
		t.Errorf("a wrong secret: %v (%v)", err, fail.Of(err))
	}
}
