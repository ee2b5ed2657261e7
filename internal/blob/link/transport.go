// SPDX-License-Identifier: Apache-2.0

// Package link is the way to the server of a store: connections with the store's own CA, limits of time, and what it means when there is no answer. It
// knows no protocol above HTTP.
package link

import (
	"bytes"
	"cmp"
	"crypto/tls"
	"crypto/x509"
	"io"
	"net"
	"net/http"
	"os"
	"sync"
	"time"

	"hozon.dev/hozon/internal/fail"
)

// TLS says whom to trust, and what the settings for that are called where the user has written them.
type TLS struct {
	CAFile     string // PEM, besides the system's
	CA         []byte // PEM, besides the system's
	SkipVerify bool
	Setting    string // "ca=FILE"
	Place      string // "the store's URL"
}

// Transport returns a way to the server. A body that it has been given is not read any more once RoundTrip has returned.
func (c TLS) Transport() (http.RoundTripper, error) {
	t := &http.Transport{
		Proxy:                 http.ProxyFromEnvironment,
		DialContext:           (&net.Dialer{Timeout: 10 * time.Second, KeepAlive: 30 * time.Second}).DialContext,
		MaxIdleConnsPerHost:   32,
		IdleConnTimeout:       time.Minute,
		TLSHandshakeTimeout:   10 * time.Second,
		ResponseHeaderTimeout: 5 * time.Minute, // some servers copy all parts before they answer to a completed upload
		ExpectContinueTimeout: 5 * time.Second,
		DisableCompression:    true, // our objects are gzip files; they must arrive as such
		WriteBufferSize:       64 << 10,
		ReadBufferSize:        64 << 10,
		TLSClientConfig:       &tls.Config{MinVersion: tls.VersionTLS12, InsecureSkipVerify: c.SkipVerify},
	}
	pem := c.CA
	if c.CAFile != "" {
		data, err := os.ReadFile(c.CAFile)
		if err != nil {
			return nil, fail.Errorf(fail.Invalid, "read the CA file: %w", err)
		}
		pem = append(bytes.Clone(pem), data...)
	}
	if len(pem) == 0 {
		return leashing{t}, nil
	}
	roots, err := x509.SystemCertPool()
	if err != nil {
		roots = x509.NewCertPool()
	}
	if !roots.AppendCertsFromPEM(pem) {
		return nil, fail.Errorf(fail.Invalid, "the CA of %s holds no PEM certificate", cmp.Or(c.CAFile, c.Setting))
	}
	t.TLSClientConfig.RootCAs = roots
	return leashing{t}, nil
}

// leashing takes a request's body back when the request ends. Without that, http.Transport may go on reading it for a
// while after a failure, when a repetition of the request reads it too, or its memory serves another Put.
type leashing struct{ next http.RoundTripper }

func (t leashing) RoundTrip(r *http.Request) (*http.Response, error) {
	if r.Body == nil || r.Body == http.NoBody {
		return t.next.RoundTrip(r)
	}
	body := &leash{rc: r.Body}
	defer body.release()
	again := *r
	again.Body = body
	return t.next.RoundTrip(&again)
}

type leash struct {
	mu   sync.Mutex
	rc   io.ReadCloser
	gone bool
}

func (l *leash) release() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.gone = true
}

func (l *leash) Read(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.gone {
		return 0, io.EOF // to a body that is not complete yet, that is an error
	}
	return l.rc.Read(p)
}

func (l *leash) Close() error { return l.rc.Close() }
