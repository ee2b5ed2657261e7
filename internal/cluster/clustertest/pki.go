// SPDX-License-Identifier: Apache-2.0

package clustertest

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"net"
	"time"
)

// serial numbers; a cluster has just these two certificates.
const (
	caSerial = iota + 1
	serverSerial
)

// pki is the cluster's keys and certificates, in PEM.
type pki struct {
	ca, serverCert, serverKey, accountKey []byte
}

// newPKI makes a CA, a server certificate of it for 127.0.0.1 and the names of
// the API server inside a cluster, and the key of the service account tokens.
// The CA's own key is dropped.
func newPKI(now time.Time) (pki, error) {
	caKey, err := newKey()
	if err != nil {
		return pki{}, err
	}
	ca := certificate("hozon dev cluster", caSerial, now)
	ca.IsCA = true
	ca.BasicConstraintsValid = true
	ca.KeyUsage = x509.KeyUsageCertSign
	caDER, err := x509.CreateCertificate(rand.Reader, ca, ca, caKey.Public(), caKey)
	if err != nil {
		return pki{}, err
	}
	serverKey, err := newKey()
	if err != nil {
		return pki{}, err
	}
	server := certificate("kube-apiserver", serverSerial, now)
	server.KeyUsage = x509.KeyUsageDigitalSignature
	server.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}
	server.IPAddresses = []net.IP{net.IPv4(127, 0, 0, 1), net.IPv4(10, 96, 0, 1)}
	server.DNSNames = []string{"localhost", "kubernetes", "kubernetes.default", "kubernetes.default.svc", "kubernetes.default.svc.cluster.local"}
	serverDER, err := x509.CreateCertificate(rand.Reader, server, ca, serverKey.Public(), caKey)
	if err != nil {
		return pki{}, err
	}
	accountKey, err := newKey()
	if err != nil {
		return pki{}, err
	}
	p := pki{ca: encode("CERTIFICATE", caDER), serverCert: encode("CERTIFICATE", serverDER)}
	if p.serverKey, err = encodeKey(serverKey); err != nil {
		return pki{}, err
	}
	p.accountKey, err = encodeKey(accountKey)
	return p, err
}

func newKey() (*ecdsa.PrivateKey, error) {
	return ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
}

// certificate returns a template that is valid for a year; an hour is allowed
// for clocks that disagree.
func certificate(name string, serial int64, now time.Time) *x509.Certificate {
	return &x509.Certificate{
		SerialNumber: big.NewInt(serial),
		Subject:      pkix.Name{CommonName: name},
		NotBefore:    now.Add(-time.Hour),
		NotAfter:     now.AddDate(1, 0, 0),
	}
}

// encodeKey uses the form (SEC 1) that both kube-apiserver and
// kube-controller-manager take for service account keys.
func encodeKey(key *ecdsa.PrivateKey) ([]byte, error) {
	der, err := x509.MarshalECPrivateKey(key)
	if err != nil {
		return nil, err
	}
	return encode("EC PRIVATE KEY", der), nil
}

func encode(kind string, der []byte) []byte {
	return pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der})
}
