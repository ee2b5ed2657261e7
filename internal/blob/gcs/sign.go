// SPDX-License-Identifier: Apache-2.0

package gcs

import (
	"cmp"
	"context"
	"crypto"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/hex"
	"encoding/pem"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"google.golang.org/api/iamcredentials/v1"
	"google.golang.org/api/option"

	"hozon.dev/hozon/internal/fail"
)

// longest is Google's limit for the life of a signed URL.
const longest = 7 * 24 * time.Hour

// Sign implements blob.Signer: with the key of the credentials file, or else with that of the service account that the settings name, which then signs at Google's.
func (b *Bucket) Sign(ctx context.Context, key string, ttl time.Duration) (string, error) {
	name, err := b.name(ctx, key)
	if err != nil {
		return "", fmt.Errorf("sign a URL of %s: %w", key, err)
	}
	if ttl < time.Second || ttl > longest {
		return "", fail.Errorf(fail.Invalid, "sign a URL of %s: it can live for a second to seven days, not for %s", key, ttl)
	}
	u, err := b.sign(ctx, name, ttl)
	if err != nil {
		return "", b.explain("sign a URL of", key, err)
	}
	return u, nil
}

// sign follows Google's "V4 signing process with your own program".
func (b *Bucket) sign(ctx context.Context, name string, ttl time.Duration) (string, error) {
	account, sign, err := b.signer.by(ctx)
	if err != nil {
		return "", err
	}
	host := strings.TrimPrefix(strings.TrimPrefix(b.endpoint, "https://"), "http://")
	now := time.Now().UTC()
	stamp, scope := now.Format("20060102T150405Z"), now.Format("20060102")+"/auto/storage/goog4_request"
	query := url.Values{
		"X-Goog-Algorithm":     {"GOOG4-RSA-SHA256"},
		"X-Goog-Credential":    {account + "/" + scope},
		"X-Goog-Date":          {stamp},
		"X-Goog-Expires":       {strconv.Itoa(int(ttl / time.Second))},
		"X-Goog-SignedHeaders": {"host"},
	}
	path := "/" + b.bucket + "/" + escape(name)
	parameters := strings.ReplaceAll(query.Encode(), "+", "%20") // in order of their names
	request := strings.Join([]string{http.MethodGet, path, parameters, "host:" + host + "\n", "host", "UNSIGNED-PAYLOAD"}, "\n")
	sum := sha256.Sum256([]byte(request))
	signature, err := sign([]byte(strings.Join([]string{"GOOG4-RSA-SHA256", stamp, scope, hex.EncodeToString(sum[:])}, "\n")))
	if err != nil {
		return "", err
	}
	return b.endpoint + path + "?" + parameters + "&X-Goog-Signature=" + hex.EncodeToString(signature), nil
}

// escape writes a name as it stands in a path: only letters, digits and "-._~/" as they are.
func escape(name string) string {
	var out strings.Builder
	for _, c := range []byte(name) {
		if c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || strings.IndexByte("-._~/", c) >= 0 {
			out.WriteByte(c)
		} else {
			fmt.Fprintf(&out, "%%%02X", c)
		}
	}
	return out.String()
}

// signer signs with a key of ours or of Google's.
type signer struct {
	account  string // asked to sign where there is no key
	identity *identity
	client   *http.Client
	service  string // "https://iamcredentials.googleapis.com/"
}

func (cfg *Config) signService() string {
	return "https://iamcredentials." + cmp.Or(cfg.Universe, "googleapis.com") + "/"
}

// by returns who signs, and how.
func (s *signer) by(ctx context.Context) (account string, sign func([]byte) ([]byte, error), err error) {
	k, err := s.identity.signs()
	if err != nil {
		return "", nil, err
	}
	if k.PrivateKey != "" && k.Email != "" {
		return k.Email, func(text []byte) ([]byte, error) { return k.sign(text) }, nil
	}
	if s.account == "" {
		return "", nil, fail.Errorf(fail.Unsupported, "%s has no key to sign with: name a service account that signs (serviceAccount)", s.identity.source)
	}
	return s.account, func(text []byte) ([]byte, error) { return s.remote(ctx, text) }, nil
}

func (k key) sign(text []byte) ([]byte, error) {
	block, _ := pem.Decode([]byte(k.PrivateKey))
	if block == nil {
		return nil, fail.Errorf(fail.Denied, "the private key of %s is no PEM", k.Email)
	}
	parsed, err := x509.ParsePKCS8PrivateKey(block.Bytes)
	if err != nil {
		if parsed, err = x509.ParsePKCS1PrivateKey(block.Bytes); err != nil {
			return nil, fail.Errorf(fail.Denied, "the private key of %s cannot be read", k.Email)
		}
	}
	private, ok := parsed.(*rsa.PrivateKey)
	if !ok {
		return nil, fail.Errorf(fail.Denied, "the private key of %s is not of RSA", k.Email)
	}
	sum := sha256.Sum256(text)
	return rsa.SignPKCS1v15(rand.Reader, private, crypto.SHA256, sum[:])
}

func (s *signer) remote(ctx context.Context, text []byte) ([]byte, error) {
	service, err := iamcredentials.NewService(ctx, option.WithHTTPClient(s.client), option.WithEndpoint(s.service))
	if err != nil {
		return nil, err
	}
	request := &iamcredentials.SignBlobRequest{Payload: base64.StdEncoding.EncodeToString(text)}
	response, err := service.Projects.ServiceAccounts.SignBlob("projects/-/serviceAccounts/"+s.account, request).Context(ctx).Do()
	switch {
	case status(err) == http.StatusForbidden:
		return nil, fail.Errorf(fail.Denied, "%s may not sign as %s: it needs iam.serviceAccounts.signBlob on that account (%w)", s.identity.source, s.account, err)
	case status(err) == http.StatusNotFound:
		return nil, fail.Errorf(fail.Denied, "there is no service account %s to sign with", s.account)
	case err != nil:
		return nil, err
	}
	return base64.StdEncoding.DecodeString(response.SignedBlob)
}
