// SPDX-License-Identifier: Apache-2.0

package gcs

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"os"
	"sync"
	"time"

	"golang.org/x/oauth2"
	"golang.org/x/oauth2/google"

	"hozon.dev/hozon/internal/fail"
)

const (
	scopeStorage = "https://www.googleapis.com/auth/devstorage.read_write"
	scopeAll     = "https://www.googleapis.com/auth/cloud-platform" // to sign with the key of a service account, too
	maxKeyFile   = 1 << 20
)

// identity is who we are at Google: it gives tokens, and signs with its key if it has one.
type identity struct {
	ctx    context.Context // for requests of tokens, which outlive the call that opened the bucket; holds nothing but their client
	file   string          // read again when it has changed; empty: of and tokens never change
	scope  string
	source string // for messages

	mu     sync.Mutex
	seen   os.FileInfo
	tokens oauth2.TokenSource
	key    key
}

// key is what a service account's key file says.
type key struct {
	Type       string `json:"type"`
	Email      string `json:"client_email"`
	PrivateKey string `json:"private_key"`
}

// find returns the identity that cfg names, or the one that Google's tools would use here.
func find(ctx context.Context, cfg Config, transport http.RoundTripper) (*identity, error) {
	client := &http.Client{Transport: transport, Timeout: 30 * time.Second}
	id := &identity{
		ctx: context.WithValue(context.WithoutCancel(ctx), oauth2.HTTPClient, client), scope: scopeStorage,
		file: cmp.Or(cfg.CredentialsFile, os.Getenv("GOOGLE_APPLICATION_CREDENTIALS")),
	}
	if cfg.ServiceAccount != "" {
		id.scope = scopeAll
	}
	switch {
	case len(cfg.Credentials) > 0:
		id.file, id.source = "", cfg.Words.Source()
		return id, id.load(cfg.Credentials)
	case id.file != "":
		id.source = "the credentials file " + id.file
		return id, id.renew()
	}
	found, err := google.FindDefaultCredentials(id.ctx, id.scope)
	if err != nil {
		return nil, fail.Errorf(fail.Denied, "no credentials for Google Cloud Storage: name a key file in GOOGLE_APPLICATION_CREDENTIALS, or run where there is an identity (%w)", err)
	}
	id.source, id.tokens = "the identity of this pod or machine", found.TokenSource
	return id, nil
}

// load takes the text of a credentials file.
func (id *identity) load(text []byte) error {
	var k key
	if err := json.Unmarshal(text, &k); err != nil || k.Type == "" {
		return fail.Errorf(fail.Denied, "%s is not in the form of a Google credentials file: a JSON object with a type", id.source)
	}
	found, err := google.CredentialsFromJSONWithType(id.ctx, text, google.CredentialsType(k.Type), id.scope)
	if err != nil {
		return fail.Errorf(fail.Denied, "%s cannot be used: %w", id.source, err)
	}
	if k.Type != string(google.ServiceAccount) {
		k = key{Type: k.Type}
	}
	id.key, id.tokens = k, found.TokenSource
	return nil
}

// renew reads the file if it is not the one that was read.
func (id *identity) renew() error {
	if id.file == "" {
		return nil
	}
	info, err := os.Stat(id.file)
	if err != nil {
		return fail.Errorf(fail.Denied, "get credentials: %w", err)
	}
	if id.seen != nil && os.SameFile(info, id.seen) && info.ModTime().Equal(id.seen.ModTime()) && info.Size() == id.seen.Size() {
		return nil
	}
	if info.Size() > maxKeyFile {
		return fail.Errorf(fail.Invalid, "%s has %d bytes: that is no credentials file", id.file, info.Size())
	}
	text, err := os.ReadFile(id.file)
	if err != nil {
		return fail.Errorf(fail.Denied, "get credentials: %w", err)
	}
	if err := id.load(text); err != nil {
		return err
	}
	id.seen = info
	return nil
}

// Token implements oauth2.TokenSource.
func (id *identity) Token() (*oauth2.Token, error) {
	id.mu.Lock()
	err := id.renew()
	tokens := id.tokens
	id.mu.Unlock()
	if err != nil {
		return nil, err
	}
	token, err := tokens.Token()
	var refusal *oauth2.RetrieveError
	if err != nil && !errors.As(err, &refusal) {
		return nil, fail.Errorf(fail.Transient, "get a token for %s: %w", id.source, err)
	}
	return token, err
}

// signs returns the key to sign with.
func (id *identity) signs() (key, error) {
	id.mu.Lock()
	defer id.mu.Unlock()
	err := id.renew()
	return id.key, err
}
