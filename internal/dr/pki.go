// SPDX-License-Identifier: Apache-2.0

package dr

import (
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"net"
	"net/url"
	"path"
	"slices"
	"strings"

	"hozon.dev/hozon/internal/dr/bundle"
)

// flagOf is a flag of a program that ran on a machine of the archive.
func flagOf(h *bundle.Host, program, flag string) string {
	for _, p := range processesOf(*h) {
		if p.name == program {
			return p.flag(flag)
		}
	}
	return ""
}

// certificates wants the saved certificates of etcd and the API server to fit their keys, to be good now, and etcd's to name the address of its member.
func (r *Restorer) certificates(hp *HostPlan) []error {
	h := r.Archive.host(hp.Name)
	var bad []error
	for _, pair := range [][3]string{
		{"etcd", "peer-cert-file", "peer-key-file"}, {"etcd", "cert-file", "key-file"},
		{"kube-apiserver", "tls-cert-file", "tls-private-key-file"}, {"kube-apiserver", "etcd-certfile", "etcd-keyfile"},
	} {
		cert, key := flagOf(h, pair[0], pair[1]), flagOf(h, pair[0], pair[2])
		if cert == "" || key == "" {
			continue
		}
		x, err := r.Archive.pair(h.Name, cert, key)
		switch {
		case err != nil:
			bad = append(bad, err)
			continue
		case r.Now().After(x.NotAfter):
			r.checker.add(h.Name, "certificates", Warning, "%s of the archive ended on %s; what the machine has is kept if it is good", cert, x.NotAfter.Format("2006-01-02"))
		}
		if pair[1] == "peer-cert-file" && hp.Member != nil {
			bad = append(bad, covers(x, cert, hp.Member.PeerURLs)...)
		}
	}
	return bad
}

// pair reads a certificate and its key out of the archive.
func (a *Archive) pair(host, cert, key string) (*x509.Certificate, error) {
	c, err := a.read(host, cert)
	if err != nil {
		return nil, err
	}
	k, err := a.read(host, key)
	if err != nil {
		return nil, err
	}
	pair, err := tls.X509KeyPair(c, k)
	if err != nil {
		return nil, fmt.Errorf("%s and %s are no pair: %w", cert, key, err)
	}
	return x509.ParseCertificate(pair.Certificate[0])
}

// covers says for which addresses a certificate is not good.
func covers(x *x509.Certificate, file string, urls []string) []error {
	var bad []error
	for _, text := range urls {
		u, err := url.Parse(text)
		if err == nil {
			err = x.VerifyHostname(u.Hostname())
		}
		if err != nil {
			bad = append(bad, fmt.Errorf("%s does not fit the address of its member: %w. Machines with new addresses are not supported yet", file, err))
		}
	}
	return bad
}

// planAPI says how the API server of a machine will be reached; nil if it has none.
func (r *Restorer) planAPI(h bundle.Host) *APIPlan {
	if !slices.ContainsFunc(h.Processes, func(p bundle.Process) bool { return p.Name == "kube-apiserver" }) {
		return nil
	}
	port := flagOf(&h, "kube-apiserver", "secure-port")
	if port == "" {
		port = "6443"
	}
	ip := net.ParseIP(flagOf(&h, "kube-apiserver", "bind-address"))
	if ip == nil || ip.IsUnspecified() {
		ip = net.IPv4(127, 0, 0, 1)
	}
	a := &APIPlan{Address: net.JoinHostPort(ip.String(), port)}
	if text, err := r.Archive.read(h.Name, flagOf(&h, "kube-apiserver", "tls-cert-file")); err == nil {
		if block, _ := pem.Decode(text); block != nil {
			if x, err := x509.ParseCertificate(block.Bytes); err == nil {
				a.Name = firstName(x)
			}
		}
	}
	return a
}

func firstName(x *x509.Certificate) string {
	for _, n := range x.DNSNames {
		if !strings.HasPrefix(n, "*") {
			return n
		}
	}
	if len(x.IPAddresses) > 0 {
		return x.IPAddresses[0].String()
	}
	return ""
}

// keyBeside is where the key of a certificate authority lies: beside its certificate.
func keyBeside(cert string) string { return strings.TrimSuffix(cert, path.Ext(cert)) + ".key" }
