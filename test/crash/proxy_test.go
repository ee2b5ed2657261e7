// SPDX-License-Identifier: Apache-2.0

package crash

import (
	"bytes"
	"crypto/sha256"
	"encoding/base64"
	"encoding/pem"
	"fmt"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"path/filepath"
	"strconv"
	"sync"
	"testing"
	"time"

	"hozon.dev/hozon/internal/cluster/clustertest"
)

// proxy stands between hozon and the API server and answers in its place when it likes. It speaks TLS and HTTP/2, as the API server does.
type proxy struct {
	kubeconfig string
	// judge is asked about every request, from several goroutines; nil: all pass.
	judge func(r *http.Request) verdict

	mu       sync.Mutex
	requests int
	calm     map[string]time.Time // request that was put off → when it may come again
	hasty    []string             // requests that came again too early
}

// verdict says what becomes of a request; the zero value passes it on.
type verdict struct {
	status int
	after  int  // seconds of Retry-After, with 429
	done   bool // the API server gets it all the same: only its answer is lost
}

func newProxy(t *testing.T, c *clustertest.Cluster) *proxy {
	t.Helper()
	target, err := url.Parse(c.URL)
	if err != nil {
		t.Fatal(err)
	}
	p := &proxy{calm: map[string]time.Time{}}
	forward := &httputil.ReverseProxy{
		Rewrite:       func(r *httputil.ProxyRequest) { r.SetURL(target) },
		Transport:     c.Client().Transport,
		FlushInterval: -1, // watches
		ErrorLog:      log.New(io.Discard, "", 0),
	}
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { p.serve(w, r, forward) }))
	server.EnableHTTP2 = true
	server.Config.ErrorLog = log.New(io.Discard, "", 0)
	server.StartTLS()
	t.Cleanup(server.Close)
	ca := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: server.Certificate().Raw})
	p.kubeconfig = filepath.Join(t.TempDir(), "kubeconfig")
	config := fmt.Sprintf(`{"apiVersion":"v1","kind":"Config","current-context":"p","clusters":[{"name":"p","cluster":{"server":%q,"certificate-authority-data":%q}}],`+
		`"users":[{"name":"p","user":{}}],"contexts":[{"name":"p","context":{"cluster":"p","user":"p"}}]}`, server.URL, base64.StdEncoding.EncodeToString(ca))
	if err := os.WriteFile(p.kubeconfig, []byte(config), 0o600); err != nil {
		t.Fatal(err)
	}
	return p
}

func (p *proxy) serve(w http.ResponseWriter, r *http.Request, forward http.Handler) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return
	}
	r.Body = io.NopCloser(bytes.NewReader(body))
	id := fmt.Sprintf("%s %s %x", r.Method, r.URL, sha256.Sum256(body))
	p.count(id)
	var v verdict
	if p.judge != nil {
		v = p.judge(r)
	}
	if v.status == 0 {
		forward.ServeHTTP(w, r)
		return
	}
	if v.done {
		forward.ServeHTTP(httptest.NewRecorder(), r)
	}
	if v.after > 0 {
		p.putOff(id, time.Duration(v.after)*time.Second)
		w.Header().Set("Retry-After", strconv.Itoa(v.after))
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(v.status)
	fmt.Fprintf(w, `{"kind":"Status","apiVersion":"v1","status":"Failure","message":"the test's fault","code":%d}`, v.status)
}

func (p *proxy) count(id string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.requests++
	if early := time.Until(p.calm[id]); early > 50*time.Millisecond {
		p.hasty = append(p.hasty, fmt.Sprintf("%s came again %s too early", id, early))
	}
}

func (p *proxy) putOff(id string, d time.Duration) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.calm[id] = time.Now().Add(d)
}

func (p *proxy) total() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.requests
}
