// SPDX-License-Identifier: Apache-2.0

// Package scenario loses control planes and brings them back: three hosts with a network of their own, etcd with TLS and API servers on each, and the real program.
package scenario

import (
	"archive/tar"
	"bytes"
	"context"
	"crypto/rand"
	"crypto/x509/pkix"
	"encoding/base64"
	"fmt"
	"maps"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	_ "embed"

	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"

	"hozon.dev/hozon/internal/host/hosttest"
	"hozon.dev/hozon/test/daemon"
)

//go:embed first.sh
var first string

// Cluster is a control plane on several hosts.
type Cluster struct {
	*hosttest.Site
	Hosts []*hosttest.Host

	ca     *authority
	etcdCA *authority
	cert   string // of an administrator
	key    string
	marker string // of the certificate authority's key: a line that nobody else has
	kube   string
	setup  Setup
}

// Setup says what a control plane consists of; the zero value of all but Hosts is kubeadm's.
type Setup struct {
	Hosts int
	Units bool     // etcd is a service of systemd, with a user of its own
	Etcd  string   // its program; "": the dev cluster's. With it there are no API servers
	Flags []string // more of etcd's

	Layout string // of dr; "": kubeadm's

	Site  *hosttest.Site // that there is already
	First int            // is added to the numbers of the hosts
}

const encryption = `apiVersion: apiserver.config.k8s.io/v1
kind: EncryptionConfiguration
resources:
- resources: [secrets]
  providers:
  - secretbox: {keys: [{name: box, secret: "%s"}]}
  - identity: {}
`

// Start starts a control plane.
func Start(t testing.TB, setup Setup) *Cluster {
	t.Helper()
	c := &Cluster{Site: setup.Site, setup: setup}
	if c.Site == nil {
		c.Site = hosttest.NewSite(t)
	}
	var err error
	c.kube, err = daemon.Build(t.Context(), "devcluster/build")
	check(t, err)
	ca, caKey := newAuthority(t, "kubernetes")
	etcdCA, etcdKey := newAuthority(t, "etcd-ca")
	_, accounts := newKey(t)
	c.ca, c.etcdCA = ca, etcdCA
	c.marker = strings.Split(caKey, "\n")[1]
	c.cert, c.key = ca.sign(t, pkix.Name{CommonName: "admin", Organization: []string{"system:masters"}}, nil, "127.0.0.1")
	at := c.places()
	shared := map[string]string{
		at.ca + ".crt": ca.text, at.ca + ".key": caKey, at.etcdCA + ".crt": etcdCA.text, at.etcdCA + ".key": etcdKey, at.accounts: accounts,
		at.encryption: fmt.Sprintf(encryption, base64.StdEncoding.EncodeToString([]byte(rand.Text() + rand.Text())[:32])),
	}
	for i := range setup.Hosts {
		name, number := fmt.Sprintf("cp-%d", i+1), 11+setup.First+i
		h := c.Site.Start(t, name, number, "export KUBE="+c.kube+" ETCD="+setup.Etcd+" PODS="+at.pods+"\n"+first)
		c.Hosts = append(c.Hosts, h)
		files := maps.Clone(shared)
		for file, by := range map[string]*authority{at.api: ca, at.apiClient: etcdCA, at.server: etcdCA, at.peer: etcdCA} {
			cert, key := by.sign(t, pkix.Name{CommonName: name}, []string{"kubernetes", name, "localhost"}, h.Spec.Address)
			files[file+".crt"], files[file+".key"] = cert, key
		}
		c.write(t, h, files)
	}
	for _, h := range c.Hosts {
		c.lay(t, h)
	}
	if setup.Etcd == "" {
		c.Await(t)
	}
	return c
}

// write writes files with mode 0600, as one stream.
func (c *Cluster) write(t testing.TB, h *hosttest.Host, files map[string]string) {
	t.Helper()
	var b bytes.Buffer
	w := tar.NewWriter(&b)
	for name, text := range files {
		check(t, w.WriteHeader(&tar.Header{Typeflag: tar.TypeReg, Name: filepath.Clean(name)[1:], Mode: 0o600, Size: int64(len(text))}))
		_, err := w.Write([]byte(text))
		check(t, err)
	}
	check(t, w.Close())
	cmd := h.Inside(context.WithoutCancel(t.Context()), "tar", "-xf", "-", "-C", "/")
	cmd.Stdin = &b
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("write files: %v\n%s", err, out)
	}
}

// Await waits until every API server is ready.
func (c *Cluster) Await(t testing.TB) {
	t.Helper()
	for _, h := range c.Hosts {
		c.AwaitHost(t, h)
	}
}

// AwaitHost waits until a host's API server is ready.
func (c *Cluster) AwaitHost(t testing.TB, h *hosttest.Host) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 4*time.Minute)
	defer cancel()
	client := c.Client(t, h)
	for {
		err := client.RESTClient().Get().AbsPath("/readyz").Do(ctx).Error()
		if err == nil {
			return
		}
		select {
		case <-ctx.Done():
			t.Fatalf("the API server of %s does not come up: %v\n%s", h.Spec.Name, err, h.Sh(t, "tail -n 8 /var/log/pods/*.log /var/log/etcd.log 2>/dev/null; :"))
		case <-time.After(200 * time.Millisecond):
		}
	}
}

// Config is how the API server of a host is reached.
func (c *Cluster) Config(h *hosttest.Host) *rest.Config {
	r := &rest.Config{Host: "https://" + h.Spec.Address + ":6443", QPS: 1000, Burst: 1000, Timeout: 0}
	r.TLSClientConfig = rest.TLSClientConfig{CAData: []byte(c.ca.text), CertData: []byte(c.cert), KeyData: []byte(c.key)}
	r.Dial = func(ctx context.Context, network, address string) (net.Conn, error) {
		return c.Site.Dial(ctx, network, address)
	}
	return r
}

// patient is Config for a client whose connections wait until somebody listens: what begins anew by itself waits longer and longer, up to a minute, after
// each attempt that was refused.
func (c *Cluster) patient(t testing.TB, h *hosttest.Host) *rest.Config {
	r, end := c.Config(h), t.Context()
	r.Dial = func(ctx context.Context, network, address string) (net.Conn, error) {
		for {
			conn, err := c.Site.Dial(ctx, network, address)
			if err == nil || ctx.Err() != nil || end.Err() != nil {
				return conn, err
			}
			select {
			case <-ctx.Done():
			case <-end.Done():
			case <-time.After(200 * time.Millisecond): // a port tells nobody that it is listened to
			}
		}
	}
	return r
}

// Client speaks to the API server of a host.
func (c *Cluster) Client(t testing.TB, h *hosttest.Host) *kubernetes.Clientset {
	t.Helper()
	client, err := kubernetes.NewForConfig(c.Config(h))
	check(t, err)
	return client
}

// Inventory writes the inventory of all hosts.
func (c *Cluster) Inventory(t testing.TB) string {
	t.Helper()
	var b strings.Builder
	b.WriteString("hosts:\n")
	for _, h := range c.Hosts {
		fmt.Fprintf(&b, "- {name: %s, address: %s, key: %s, knownHosts: %s}\n", h.Spec.Name, h.Spec.Address, h.Spec.Key, h.Spec.KnownHosts)
	}
	name := filepath.Join(t.TempDir(), "hosts.yaml")
	check(t, os.WriteFile(name, []byte(b.String()), 0o600))
	return name
}
