// SPDX-License-Identifier: Apache-2.0

// Package gcsserver runs fake-gcs-server in memory for tests: the JSON interface of Google Cloud Storage as its clients meet it, without a look at who asks. It comes
// with a token service and a key file for it, so that credentials work as with Google's own.
package gcsserver

import (
	"context"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"testing"
	"time"

	"hozon.dev/hozon/test/daemon"
)

// Account is the service account of every server's key file.
const Account = "backup@project.iam.gserviceaccount.com"

// A Server is a store of one project.
type Server struct {
	Endpoint string // http://127.0.0.1:port
	Key      []byte // a key file that its token service takes
	Public   *rsa.PublicKey
}

// Start starts a server for t alone, which ends when t does; with -short it skips t.
func Start(t testing.TB) *Server {
	t.Helper()
	if testing.Short() {
		t.Skip("starts a server of Google Cloud Storage")
	}
	ctx, cancel := context.WithTimeout(context.Background(), 15*time.Minute)
	defer cancel()
	binary, err := daemon.Build(ctx, "tools/build", "tools/gcs", "github.com/fsouza/fake-gcs-server", "fake-gcs-server")
	if err != nil {
		t.Fatal(err)
	}
	port, err := daemon.ReservePort()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { port.Close() })
	dir, url := t.TempDir(), "http://"+port.Addr()
	process, err := daemon.Start(daemon.Command{
		Name: "fake-gcs-server",
		Path: binary,
		Args: []string{"-scheme", "http", "-host", "127.0.0.1", "-port", strconv.Itoa(port.Number), "-external-url", url, "-public-host", port.Addr(),
			"-backend", "memory", "-data", dir, "-log-level", "error"},
		Dir: dir,
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if t.Failed() {
			t.Logf("--- %s\n%s", process.Name(), process.LogTail(30))
		}
		process.Kill()
	})
	Await(t, process, port.Addr())
	s := &Server{Endpoint: url}
	s.makeKey(t)
	return s
}

// Await returns when something takes connections at addr.
func Await(t testing.TB, process *daemon.Process, addr string) {
	t.Helper()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for deadline := time.Now().Add(time.Minute); ; {
		conn, err := net.Dial("tcp", addr)
		if err == nil {
			conn.Close()
			return
		}
		select {
		case <-process.Done():
			t.Fatalf("%v\n%s", process.Exited(), process.LogTail(30))
		case <-tick.C:
		}
		if time.Now().After(deadline) {
			t.Fatalf("%s does not answer: %v\n%s", process.Name(), err, process.LogTail(30))
		}
	}
}

// makeKey makes a key, and a token service that knows it.
func (s *Server) makeKey(t testing.TB) {
	t.Helper()
	private, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	der, err := x509.MarshalPKCS8PrivateKey(private)
	if err != nil {
		t.Fatal(err)
	}
	tokens := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		fmt.Fprint(w, `{"access_token": "token", "token_type": "Bearer", "expires_in": 3600}`)
	}))
	t.Cleanup(tokens.Close)
	s.Public = &private.PublicKey
	s.Key = KeyFile(t, der, tokens.URL)
}

// KeyFile is the text of a key file for the key in der and the token service at url.
func KeyFile(t testing.TB, der []byte, url string) []byte {
	t.Helper()
	text, err := json.Marshal(map[string]string{
		"type": "service_account", "project_id": "project", "private_key_id": "1", "client_email": Account, "client_id": "1", "token_uri": url,
		"private_key": string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der})),
	})
	if err != nil {
		t.Fatal(err)
	}
	return text
}

// CreateBucket makes a bucket.
func (s *Server) CreateBucket(t testing.TB, name string) {
	t.Helper()
	response, err := http.Post(s.Endpoint+"/storage/v1/b?project=project", "application/json", strings.NewReader(`{"name": "`+name+`"}`))
	if err != nil {
		t.Fatal(err)
	}
	response.Body.Close()
	if response.StatusCode != http.StatusOK {
		t.Fatalf("create bucket %s: %s", name, response.Status)
	}
}
