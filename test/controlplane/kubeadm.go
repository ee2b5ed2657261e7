// SPDX-License-Identifier: Apache-2.0

// Package controlplane runs control planes on hosts of their own and has the whole program save them.
package controlplane

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/base64"
	"encoding/pem"
	"fmt"
	"math/big"
	"net"
	"path"
	"strings"
	"testing"
	"time"

	"hozon.dev/hozon/internal/host/hosttest"
	"hozon.dev/hozon/test/daemon"
)

// Node is a host with etcd and an API server, laid out as kubeadm does.
type Node struct {
	*hosttest.Host

	Etcd, API int // ports
	peer      int
	token     string
}

// encryption is the API server's configuration: Secrets are encrypted in etcd.
const encryption = `apiVersion: apiserver.config.k8s.io/v1
kind: EncryptionConfiguration
resources:
- resources: [secrets]
  providers:
  - secretbox: {keys: [{name: box, secret: "%s"}]}
  - identity: {}
`

// Start starts a node and waits until its API server is ready.
func Start(t testing.TB, name string) *Node {
	t.Helper()
	n := &Node{Host: hosttest.Start(t, name), token: rand.Text()}
	binary, err := daemon.Build(t.Context(), "devcluster/build")
	if err != nil {
		t.Fatal(err)
	}
	n.Etcd, n.API = reserve(t), reserve(t)
	peer := reserve(t)
	ca, cert, key := certificates(t)
	for file, content := range map[string]string{
		"/etc/kubernetes/pki/ca.crt": ca, "/etc/kubernetes/pki/etcd/ca.crt": ca,
		"/etc/kubernetes/pki/apiserver.crt": cert, "/etc/kubernetes/pki/apiserver.key": key, "/etc/kubernetes/pki/sa.key": key,
		"/etc/kubernetes/pki/etcd/server.crt": cert, "/etc/kubernetes/pki/etcd/server.key": key,
		"/etc/kubernetes/pki/apiserver-etcd-client.crt": cert, "/etc/kubernetes/pki/apiserver-etcd-client.key": key,
		"/etc/kubernetes/manifests/etcd.yaml": "apiVersion: v1\nkind: Pod\nmetadata: {name: etcd}\n",
		"/srv/keys/encryption.yaml":           fmt.Sprintf(encryption, base64.StdEncoding.EncodeToString([]byte(rand.Text() + rand.Text())[:32])),
		"/srv/keys/tokens.csv":                n.token + `,admin,admin,"system:masters"` + "\n",
	} {
		n.Write(t, file, content, "0600")
	}
	n.Sh(t, fmt.Sprintf(`for p in etcd kube-apiserver kubectl; do ln -s %[1]s /usr/local/bin/$p; done
		pki=/etc/kubernetes/pki; mkdir -p /var/lib/etcd
		setsid nohup /usr/local/bin/etcd --name=%[2]s --data-dir=/var/lib/etcd --listen-client-urls=https://127.0.0.1:%[3]d --advertise-client-urls=https://127.0.0.1:%[3]d \
			--listen-peer-urls=https://127.0.0.1:%[5]d --initial-advertise-peer-urls=https://127.0.0.1:%[5]d --initial-cluster=%[2]s=https://127.0.0.1:%[5]d \
			--cert-file=$pki/etcd/server.crt --key-file=$pki/etcd/server.key --client-cert-auth --trusted-ca-file=$pki/etcd/ca.crt \
			--peer-cert-file=$pki/etcd/server.crt --peer-key-file=$pki/etcd/server.key --peer-client-cert-auth --peer-trusted-ca-file=$pki/etcd/ca.crt \
			--unsafe-no-fsync >/var/log/etcd.log 2>&1 </dev/null &
		setsid nohup /usr/local/bin/kube-apiserver --etcd-servers=https://127.0.0.1:%[3]d --etcd-cafile=$pki/etcd/ca.crt --etcd-certfile=$pki/apiserver-etcd-client.crt \
			--etcd-keyfile $pki/apiserver-etcd-client.key --bind-address=127.0.0.1 --advertise-address=192.0.2.1 --secure-port=%[4]d --cert-dir=/var/run/kube \
			--tls-cert-file=$pki/apiserver.crt --tls-private-key-file=$pki/apiserver.key --token-auth-file=/srv/keys/tokens.csv --authorization-mode=RBAC \
			--service-cluster-ip-range=10.96.0.0/12 --service-account-issuer=https://kubernetes.default.svc --service-account-key-file=$pki/sa.key \
			--service-account-signing-key-file=$pki/sa.key --disable-admission-plugins=ServiceAccount \
			--encryption-provider-config=/srv/keys/encryption.yaml >/var/log/api.log 2>&1 </dev/null &
		for i in $(seq 600); do %[6]s get namespace default >/dev/null 2>&1 && exit; sleep .2; done; tail -n 20 /var/log/etcd.log /var/log/api.log >&2; exit 1`,
		binary, name, n.Etcd, n.API, peer, n.kubectl()))
	return n
}

func (n *Node) kubectl() string {
	return fmt.Sprintf("kubectl --server=https://127.0.0.1:%d --insecure-skip-tls-verify --token=%s", n.API, n.token)
}

// Kubectl runs kubectl on the node.
func (n *Node) Kubectl(t testing.TB, args string) string {
	t.Helper()
	return n.Sh(t, n.kubectl()+" "+args)
}

// Write writes a file on the node.
func (n *Node) Write(t testing.TB, file, content, mode string) {
	t.Helper()
	WriteFile(t, n.Host, file, content, mode)
}

// WriteFile writes a file on a host.
func WriteFile(t testing.TB, h *hosttest.Host, file, content, mode string) {
	t.Helper()
	script := `mkdir -p "$1"; cat >"$2"; chmod "$3" "$2"`
	c := h.Connect(t)
	if err := c.Stream(context.WithoutCancel(t.Context()), strings.NewReader(content), nil, "sh", "-euc", script, "sh", path.Dir(file), file, mode); err != nil {
		t.Fatal(err)
	}
}

func reserve(t testing.TB) int {
	t.Helper()
	p, err := daemon.ReservePort()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { p.Close() })
	return p.Number
}

// certificates are a CA and one certificate of it that serves as all of a control plane's.
func certificates(t testing.TB) (ca, cert, key string) {
	t.Helper()
	return certificatesOf(t, time.Time{}, time.Date(2100, 1, 1, 0, 0, 0, 0, time.UTC))
}

// certificatesOf are some that are good for a time.
func certificatesOf(t testing.TB, begin, end time.Time) (ca, cert, key string) {
	t.Helper()
	private := func() *ecdsa.PrivateKey {
		k, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
		if err != nil {
			t.Fatal(err)
		}
		return k
	}
	root := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "etcd-ca"}, NotBefore: begin, NotAfter: end, IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign}
	leaf := &x509.Certificate{
		SerialNumber: big.NewInt(2), Subject: pkix.Name{CommonName: "cp"}, NotBefore: begin, NotAfter: end, IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
		KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
	}
	rootKey, leafKey := private(), private()
	sign := func(c *x509.Certificate, public any) []byte {
		der, err := x509.CreateCertificate(rand.Reader, c, root, public, rootKey)
		if err != nil {
			t.Fatal(err)
		}
		return der
	}
	der, err := x509.MarshalECPrivateKey(leafKey)
	if err != nil {
		t.Fatal(err)
	}
	text := func(kind string, der []byte) string {
		var b bytes.Buffer
		if err := pem.Encode(&b, &pem.Block{Type: kind, Bytes: der}); err != nil {
			t.Fatal(err)
		}
		return b.String()
	}
	return text("CERTIFICATE", sign(root, rootKey.Public())), text("CERTIFICATE", sign(leaf, leafKey.Public())), text("EC PRIVATE KEY", der)
}
