// SPDX-License-Identifier: Apache-2.0

package seed

import (
	"crypto"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"strings"
	"sync/atomic"
	"testing"

	"hozon.dev/hozon/test/gcsserver"
)

// account is the service account of the document's $SERVICE_ACCOUNT_EMAIL. It is that of the key file, too.
const account = gcsserver.Account

// google is what a server that works for a service account meets of Google: the store, the token service for keys, the one that signs, and the metadata server
// of GKE, which gives tokens to the pods of a Kubernetes account with the annotation. Tokens and signatures are looked at here; the store itself
// does not.
type google struct {
	t         *testing.T
	key       *rsa.PrivateKey
	annotated func() string // the account that the annotation of the Kubernetes account names
	store     *httputil.ReverseProxy
	signed    atomic.Int32 // files read by signed URLs
	blobs     atomic.Int32 // signatures made by the service
}

// The tokens that are given for a key and for a Kubernetes account.
const keyToken, podToken = "token-for-a-key", "token-for-a-pod"

func newGoogle(t *testing.T, store *gcsserver.Server, annotated func() string) *google {
	t.Helper()
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	to, err := url.Parse(store.Endpoint)
	if err != nil {
		t.Fatal(err)
	}
	forward := &httputil.ReverseProxy{Rewrite: func(r *httputil.ProxyRequest) { r.SetURL(to) }}
	return &google{t: t, key: key, annotated: annotated, store: forward}
}

// keyFile is what `gcloud iam service-accounts keys create` makes.
func (g *google) keyFile() []byte {
	der, err := x509.MarshalPKCS8PrivateKey(g.key)
	if err != nil {
		g.t.Fatal(err)
	}
	return gcsserver.KeyFile(g.t, der, "https://oauth2.googleapis.com/token")
}

func (g *google) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	token := strings.TrimPrefix(r.Header.Get("Authorization"), "Bearer ")
	known := token == keyToken || token == podToken
	switch {
	case r.Host == "oauth2.googleapis.com" && g.proves(r.PostFormValue("assertion")):
		answer(w, map[string]any{"access_token": keyToken, "token_type": "Bearer", "expires_in": 3600})
	case r.Host == "iamcredentials.googleapis.com" && known && r.URL.Path == "/v1/projects/-/serviceAccounts/"+account+":signBlob":
		g.blobs.Add(1)
		g.signBlob(w, r)
	case r.Host == "storage.googleapis.com" && known:
		g.store.ServeHTTP(w, r)
	case r.Host == "storage.googleapis.com" && g.fits(r):
		g.signed.Add(1)
		g.store.ServeHTTP(w, r)
	default:
		w.WriteHeader(http.StatusForbidden)
		answer(w, map[string]any{"error": map[string]any{"code": 403, "message": "not allowed: " + r.Host + r.URL.Path}})
	}
}

func answer(w http.ResponseWriter, v any) {
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(v)
}

// proves says that an assertion was signed with the key.
func (g *google) proves(assertion string) bool {
	i := strings.LastIndex(assertion, ".")
	if i < 0 {
		return false
	}
	signature, err := base64.RawURLEncoding.DecodeString(assertion[i+1:])
	sum := sha256.Sum256([]byte(assertion[:i]))
	return err == nil && rsa.VerifyPKCS1v15(&g.key.PublicKey, crypto.SHA256, sum[:], signature) == nil
}

func (g *google) signBlob(w http.ResponseWriter, r *http.Request) {
	var request struct{ Payload []byte }
	if err := json.NewDecoder(r.Body).Decode(&request); err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	sum := sha256.Sum256(request.Payload)
	signature, err := rsa.SignPKCS1v15(rand.Reader, g.key, crypto.SHA256, sum[:])
	if err != nil {
		g.t.Error(err)
	}
	answer(w, map[string]any{"keyId": "1", "signedBlob": base64.StdEncoding.EncodeToString(signature)})
}

// fits checks the signature of a URL as Google describes it: version 4, of the host alone.
func (g *google) fits(r *http.Request) bool {
	query := r.URL.Query()
	signature, err := hex.DecodeString(query.Get("X-Goog-Signature"))
	who, scope, _ := strings.Cut(query.Get("X-Goog-Credential"), "/")
	if err != nil || who != account || r.Method != http.MethodGet {
		return false
	}
	parameters, _, _ := strings.Cut(r.URL.RawQuery, "&X-Goog-Signature=")
	request := sha256.Sum256([]byte("GET\n" + r.URL.EscapedPath() + "\n" + parameters + "\nhost:" + r.Host + "\n\nhost\nUNSIGNED-PAYLOAD"))
	sum := sha256.Sum256([]byte("GOOG4-RSA-SHA256\n" + query.Get("X-Goog-Date") + "\n" + scope + "\n" + hex.EncodeToString(request[:])))
	return rsa.VerifyPKCS1v15(&g.key.PublicKey, crypto.SHA256, sum[:], signature) == nil
}

// metadata starts the metadata server of the node.
func (g *google) metadata() *httptest.Server {
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Metadata-Flavor", "Google")
		switch {
		case r.Header.Get("Metadata-Flavor") != "Google":
			http.Error(w, "not asked by a library of Google's", http.StatusForbidden)
		case strings.HasSuffix(r.URL.Path, "/service-accounts/default/token") && g.annotated() == account:
			answer(w, map[string]any{"access_token": podToken, "token_type": "Bearer", "expires_in": 3600})
		case strings.HasSuffix(r.URL.Path, "/project/project-id"):
			fmt.Fprint(w, "project")
		default:
			http.NotFound(w, r)
		}
	}))
	g.t.Cleanup(s.Close)
	return s
}
