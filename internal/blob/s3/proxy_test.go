// SPDX-License-Identifier: Apache-2.0

package s3_test

import (
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"slices"
	"sync"
	"testing"
)

// proxy stands between the driver and a real server, and does what links and servers do when they are ill.
type proxy struct {
	*httptest.Server
	before func(http.ResponseWriter, *http.Request) bool // true: it has answered
	lose   func(*http.Request) bool                      // the server acts, but its answer gets lost

	mu    sync.Mutex
	calls []string
}

// newProxy returns a proxy that is not started, so that the caller chooses between HTTP and TLS.
func newProxy(t *testing.T, target string) *proxy {
	t.Helper()
	to, err := url.Parse(target)
	if err != nil {
		t.Fatal(err)
	}
	p := &proxy{}
	forward := &httputil.ReverseProxy{
		Rewrite: func(r *httputil.ProxyRequest) {
			r.SetURL(to)
			r.Out.Host = r.In.Host // it is signed
		},
		ModifyResponse: func(r *http.Response) error {
			if p.lose != nil && p.lose(r.Request) {
				return http.ErrAbortHandler
			}
			return nil
		},
		ErrorHandler: func(http.ResponseWriter, *http.Request, error) { panic(http.ErrAbortHandler) },
	}
	p.Server = httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		p.record(r)
		if p.before == nil || !p.before(w, r) {
			forward.ServeHTTP(w, r)
		}
	}))
	t.Cleanup(p.Close)
	return p
}

func (p *proxy) record(r *http.Request) {
	names := []string{}
	for name := range r.URL.Query() {
		names = append(names, name)
	}
	slices.Sort(names)
	call := r.Method
	for _, name := range names {
		call += " " + name
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.calls = append(p.calls, call)
}

// kinds returns the sorted kinds of calls so far: method and the names of the parameters.
func (p *proxy) kinds() []string {
	p.mu.Lock()
	defer p.mu.Unlock()
	kinds := slices.Clone(p.calls)
	slices.Sort(kinds)
	return slices.Compact(kinds)
}

func (p *proxy) count(call string) (n int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, c := range p.calls {
		if c == call {
			n++
		}
	}
	return n
}

// once returns a function that is true for the n-th request of that kind only.
func once(n int, is func(*http.Request) bool) func(*http.Request) bool {
	var mu sync.Mutex
	return func(r *http.Request) bool {
		mu.Lock()
		defer mu.Unlock()
		if !is(r) {
			return false
		}
		n--
		return n == 0
	}
}

func isPlainPut(r *http.Request) bool { return r.Method == http.MethodPut && r.URL.RawQuery == "" }

func isComplete(r *http.Request) bool {
	return r.Method == http.MethodPost && r.URL.Query().Has("uploadId")
}
