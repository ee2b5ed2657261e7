// SPDX-License-Identifier: Apache-2.0

package clustertest

import (
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"syscall"
	"time"

	"hozon.dev/hozon/test/daemon"
)

// Files of a cluster, relative to its folder.
const (
	caFile         = "pki/ca.crt"
	serverCertFile = "pki/apiserver.crt"
	serverKeyFile  = "pki/apiserver.key"
	accountKeyFile = "pki/service-account.key"
	tokenFile      = "pki/tokens.csv"
	lockFile       = "lock"
)

// writeFiles chooses the port and the token and writes what the components and
// clients read.
func (c *Cluster) writeFiles() error {
	var err error
	if c.port, err = daemon.ReservePort(); err != nil {
		return err
	}
	c.URL = "https://" + c.port.Addr()
	c.token = rand.Text()
	keys, err := newPKI(time.Now())
	if err != nil {
		return fmt.Errorf("make certificates: %w", err)
	}
	c.client = newClient(keys.ca, c.token)
	for _, dir := range []string{"pki", "bin"} {
		if err := os.Mkdir(filepath.Join(c.Dir, dir), 0o700); err != nil {
			return err
		}
	}
	files := map[string][]byte{
		caFile:         keys.ca,
		serverCertFile: keys.serverCert,
		serverKeyFile:  keys.serverKey,
		accountKeyFile: keys.accountKey,
		tokenFile:      fmt.Appendf(nil, "%s,dev-admin,dev-admin,\"system:masters\"\n", c.token),
		"kubeconfig":   c.kubeconfig(keys.ca),
	}
	for name, content := range files {
		if err := os.WriteFile(filepath.Join(c.Dir, name), content, 0o600); err != nil {
			return err
		}
	}
	return os.Symlink(c.binary, c.KubectlPath())
}

func (c *Cluster) portNumber() string { return strconv.Itoa(c.port.Number) }

func (c *Cluster) kubeconfig(ca []byte) []byte {
	return fmt.Appendf(nil, `apiVersion: v1
kind: Config
current-context: dev
clusters:
- name: dev
  cluster:
    server: %s
    certificate-authority-data: %s
users:
- name: dev-admin
  user:
    token: %s
contexts:
- name: dev
  context:
    cluster: dev
    user: dev-admin
`, c.URL, base64.StdEncoding.EncodeToString(ca), c.token)
}

// bearer adds the token to every request.
type bearer struct {
	token string
	next  http.RoundTripper
}

func (b bearer) RoundTrip(req *http.Request) (*http.Response, error) {
	req = req.Clone(req.Context())
	req.Header.Set("Authorization", "Bearer "+b.token)
	return b.next.RoundTrip(req)
}

// CloseIdleConnections is what http.Client looks for to pass its own on.
func (b bearer) CloseIdleConnections() {
	if next, ok := b.next.(interface{ CloseIdleConnections() }); ok {
		next.CloseIdleConnections()
	}
}

func newClient(ca []byte, token string) *http.Client {
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(ca)
	return &http.Client{Transport: bearer{token: token, next: &http.Transport{
		TLSClientConfig:   &tls.Config{RootCAs: roots, MinVersion: tls.VersionTLS12},
		ForceAttemptHTTP2: true,
	}}}
}

// lockDir takes the lock that tells a folder in use from one whose owner died;
// the kernel gives it up with the process.
func lockDir(dir string) (*os.File, error) {
	f, err := os.OpenFile(filepath.Join(dir, lockFile), os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, err
	}
	if err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		f.Close()
		return nil, fmt.Errorf("folder %s is in use: %w", dir, err)
	}
	return f, nil
}
