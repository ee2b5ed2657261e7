// SPDX-License-Identifier: Apache-2.0

package dr

import (
	"bytes"
	"context"
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
	"net/url"
	"os"
	"path/filepath"
	"time"

	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
	"k8s.io/client-go/tools/clientcmd/api"

	"hozon.dev/hozon/internal/fail"
)

// adminConfigs are the layouts' own, the more powerful one first.
var adminConfigs = []string{"/etc/kubernetes/super-admin.conf", "/etc/kubernetes/admin.conf", "/etc/rancher/k3s/k3s.yaml", "/etc/origin/master/admin.kubeconfig"}

// identity is who the restored API servers take us for.
type identity struct {
	server    string // the URL by which people reach it
	authority []byte // certificates that its own is checked against
	cert, key []byte
}

// apiHost is the first machine with an API server.
func (p *Plan) apiHost() *HostPlan {
	for i := range p.Hosts {
		if p.Hosts[i].API != nil {
			return &p.Hosts[i]
		}
	}
	return nil
}

// identity makes a new administrator by the saved certificate authority; without its key it is the saved one.
func (r *Restorer) identity(h *HostPlan, lifetime time.Duration) (*identity, error) {
	saved := r.Archive.host(h.Name)
	who := &identity{server: "https://" + net.JoinHostPort(saved.Address, portOf(h.API.Address))}
	if saved.Address == "" {
		who.server = "https://" + h.API.Address
	}
	var own *rest.Config
	for _, file := range adminConfigs {
		if text, err := r.Archive.read(h.Name, file); err == nil {
			if own, err = clientcmd.RESTConfigFromKubeConfig(text); err == nil {
				if u, err := url.Parse(own.Host); err != nil || !loopback(u.Hostname()) {
					who.server = own.Host // k3s has one for the machine itself
				}
				who.authority = append(who.authority, own.CAData...)
				break
			}
		}
	}
	ca := flagOf(saved, "kube-apiserver", "client-ca-file")
	for _, file := range []string{ca, flagOf(saved, "kube-apiserver", "tls-cert-file")} { // a certificate can stand for itself
		if text, err := r.Archive.read(h.Name, file); err == nil && !bytes.Contains(who.authority, bytes.TrimSpace(text)) {
			who.authority = append(append(who.authority, text...), '\n')
		}
	}
	pair, err := r.authority(h.Name, ca)
	switch {
	case err == nil:
		who.cert, who.key, err = pair.sign(r.Now(), lifetime)
	case own != nil && len(own.CertData) > 0:
		who.cert, who.key, err = own.CertData, own.KeyData, nil
	}
	return who, err
}

func loopback(host string) bool {
	ip := net.ParseIP(host)
	return host == "localhost" || ip != nil && ip.IsLoopback()
}

func portOf(address string) string {
	_, port, _ := net.SplitHostPort(address)
	return port
}

// authority is a certificate authority with its key.
type authority struct {
	cert *x509.Certificate
	key  any
}

func (r *Restorer) authority(host, ca string) (*authority, error) {
	if ca == "" {
		return nil, fail.Errorf(fail.Unsupported, "the API server of %s knows no client certificates, and the archive holds no admin.conf", host)
	}
	cert, err := r.Archive.read(host, ca)
	if err != nil {
		return nil, err
	}
	key, err := r.Archive.read(host, keyBeside(ca))
	if err != nil {
		return nil, err
	}
	pair, err := tls.X509KeyPair(cert, key)
	if err != nil {
		return nil, fail.Errorf(fail.Corrupt, "%s and %s of %s are no pair: %w", ca, keyBeside(ca), host, err)
	}
	x, err := x509.ParseCertificate(pair.Certificate[0])
	return &authority{x, pair.PrivateKey}, err
}

// sign makes a client certificate of the group that may do everything.
func (a *authority) sign(now time.Time, lifetime time.Duration) (cert, key []byte, err error) {
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, nil, err
	}
	serial, err := rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 120))
	if err != nil {
		return nil, nil, err
	}
	end := now.Add(lifetime)
	if end.After(a.cert.NotAfter) {
		end = a.cert.NotAfter
	}
	der, err := x509.CreateCertificate(rand.Reader, &x509.Certificate{
		SerialNumber: serial, Subject: pkix.Name{CommonName: "hozon-restore", Organization: []string{"system:masters"}},
		NotBefore: now.Add(-5 * time.Minute), NotAfter: end, KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth},
	}, a.cert, private.Public(), a.key)
	if err != nil {
		return nil, nil, err
	}
	secret, err := x509.MarshalECPrivateKey(private)
	if err != nil {
		return nil, nil, err
	}
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), pem.EncodeToMemory(&pem.Block{Type: "EC PRIVATE KEY", Bytes: secret}), nil
}

// writeKubeconfig writes one with mode 0600; what is there is kept beside it.
func (r *Restorer) writeKubeconfig(p *Plan, name string) (string, error) {
	who, err := r.identity(p.apiHost(), lifetime)
	if err != nil {
		return "", err
	}
	c := api.NewConfig()
	c.Clusters[p.Cluster] = &api.Cluster{Server: who.server, CertificateAuthorityData: who.authority}
	c.AuthInfos["admin"] = &api.AuthInfo{ClientCertificateData: who.cert, ClientKeyData: who.key}
	c.Contexts[p.Cluster] = &api.Context{Cluster: p.Cluster, AuthInfo: "admin"}
	c.CurrentContext = p.Cluster
	text, err := clientcmd.Write(*c)
	if err != nil {
		return "", err
	}
	if err := os.MkdirAll(filepath.Dir(name), 0o700); err != nil {
		return "", err
	}
	if err := keep(name, name+".before-"+p.ID); err != nil {
		return "", err
	}
	return name, os.WriteFile(name, text, 0o600)
}

// keep sets a file aside, once.
func keep(name, aside string) error {
	if _, err := os.Lstat(aside); err == nil {
		return nil
	}
	if err := os.Rename(name, aside); err != nil && !os.IsNotExist(err) {
		return err
	}
	return nil
}

// dialConfig is how a machine's API server is spoken to through SSH.
func (r *Restorer) dialConfig(h *HostPlan, who *identity) *rest.Config {
	c := &rest.Config{Host: "https://" + h.API.Address, Timeout: askTimeout}
	c.TLSClientConfig = rest.TLSClientConfig{ServerName: h.API.Name, CAData: who.authority, CertData: who.cert, KeyData: who.key}
	c.Dial = func(ctx context.Context, network, _ string) (net.Conn, error) {
		return r.hosts[h.Name].Dial(ctx, network, h.API.Address)
	}
	c.Proxy = func(*http.Request) (*url.URL, error) { return nil, nil }
	return c
}

// awaitAPI waits until an API server says that it is ready; one that does not know us at least answers.
func (r *Restorer) awaitAPI(ctx context.Context, h *HostPlan) error {
	who, err := r.identity(h, time.Hour)
	if err != nil && who == nil {
		return err
	}
	client, err := rest.HTTPClientFor(r.dialConfig(h, who))
	if err != nil {
		return err
	}
	defer client.CloseIdleConnections()
	return poll(ctx, readyTimeout, func(ctx context.Context) error {
		req, err := http.NewRequestWithContext(ctx, http.MethodGet, "https://"+h.API.Address+"/readyz", nil)
		if err != nil {
			return err
		}
		resp, err := client.Do(req)
		if err != nil {
			return err
		}
		resp.Body.Close()
		switch {
		case resp.StatusCode == http.StatusOK:
			return nil
		case len(who.cert) == 0 && (resp.StatusCode == http.StatusUnauthorized || resp.StatusCode == http.StatusForbidden):
			return nil
		}
		return fail.Errorf(fail.Transient, "its API server answers /readyz with %s", fmt.Sprint(resp.StatusCode))
	})
}
