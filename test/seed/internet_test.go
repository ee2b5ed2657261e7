// SPDX-License-Identifier: Apache-2.0

package seed

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"math/big"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"
)

// internet is what pods and users see of the world: a proxy (HTTPS_PROXY) behind which the hosts of the clouds answer, with certificates of an authority of its own.
// So nothing in a location says that these are not the real ones.
type internet struct {
	t     *testing.T
	proxy *httptest.Server
	hosts map[string]http.Handler // by the end of their names

	authority *x509.Certificate
	key       *ecdsa.PrivateKey
}

func newInternet(t *testing.T, hosts map[string]http.Handler) *internet {
	t.Helper()
	n := &internet{t: t, hosts: hosts}
	var err error
	if n.key, err = ecdsa.GenerateKey(elliptic.P256(), rand.Reader); err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "the test's internet"}, IsCA: true, BasicConstraintsValid: true,
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(24 * time.Hour), KeyUsage: x509.KeyUsageCertSign,
	}
	if n.authority, err = n.sign(template, template); err != nil {
		t.Fatal(err)
	}
	n.proxy = httptest.NewServer(http.HandlerFunc(n.connect))
	t.Cleanup(n.proxy.Close)
	return n
}

func (n *internet) sign(template, parent *x509.Certificate) (*x509.Certificate, error) {
	der, err := x509.CreateCertificate(rand.Reader, template, parent, n.key.Public(), n.key)
	if err != nil {
		return nil, err
	}
	return x509.ParseCertificate(der)
}

// ca is the authority as those who trust it have it.
func (n *internet) ca() string {
	return string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: n.authority.Raw}))
}

// certificate is one for the host that is asked for.
func (n *internet) certificate(hello *tls.ClientHelloInfo) (*tls.Certificate, error) {
	c, err := n.sign(&x509.Certificate{
		SerialNumber: big.NewInt(time.Now().UnixNano()), DNSNames: []string{hello.ServerName},
		NotBefore: n.authority.NotBefore, NotAfter: n.authority.NotAfter, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	}, n.authority)
	if err != nil {
		return nil, err
	}
	return &tls.Certificate{Certificate: [][]byte{c.Raw}, PrivateKey: n.key}, nil
}

// connect is the proxy: it speaks TLS in the place of the host that is wanted.
func (n *internet) connect(w http.ResponseWriter, r *http.Request) {
	name, _, _ := net.SplitHostPort(r.Host)
	host := n.host(name)
	if r.Method != http.MethodConnect || host == nil {
		n.t.Errorf("somebody wants %s %s", r.Method, r.Host)
		http.Error(w, "there is no such host here", http.StatusBadGateway)
		return
	}
	conn, _, err := http.NewResponseController(w).Hijack()
	if err != nil {
		n.t.Error(err)
		return
	}
	fmt.Fprint(conn, "HTTP/1.1 200 OK\r\n\r\n")
	one := &listener{conn: make(chan net.Conn, 1)}
	one.conn <- &closing{tls.Server(conn, &tls.Config{GetCertificate: n.certificate}), one}
	_ = (&http.Server{Handler: host, ReadHeaderTimeout: time.Minute}).Serve(one) // returns when the connection is closed
}

func (n *internet) host(name string) http.Handler {
	for end, h := range n.hosts {
		if strings.HasSuffix("."+name, "."+end) {
			return h
		}
	}
	return nil
}

// listener has one connection.
type listener struct {
	conn chan net.Conn
	once sync.Once
}

func (l *listener) Accept() (net.Conn, error) {
	c, ok := <-l.conn
	if !ok {
		return nil, net.ErrClosed
	}
	return c, nil
}

func (l *listener) Close() error   { return nil }
func (l *listener) Addr() net.Addr { return &net.TCPAddr{} }

// closing ends its listener.
type closing struct {
	net.Conn
	of *listener
}

func (c *closing) Close() error {
	c.of.once.Do(func() { close(c.of.conn) })
	return c.Conn.Close()
}
