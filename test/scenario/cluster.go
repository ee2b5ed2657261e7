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
	c := &Cluster{Site: hosttest.NewSite(t), setup: setup}
	var err error
	c.kube, err = daemon.Build(t.Context(), "devcluster/build")
	check(t, err)
	ca, caKey := newAuthority(t, "kubernetes")
	etcdCA, etcdKey := newAuthority(t, "etcd-ca")
	_, accounts := newKey(t)
	c.ca, c.etcdCA = ca, etcdCA
	c.marker = strings.Split(caKey, "\n")[1]
	c.cert, c.key = ca.sign(t, pkix.Name{CommonName: "admin", Organization: []string{"system:masters"}}, nil, "127.0.0.1")
	shared := map[string]string{
		"ca.crt": ca.text, "ca.key": caKey, "etcd/ca.crt": etcdCA.text, "etcd/ca.key": etcdKey, "sa.key": accounts,
		"../enc/encryption.yaml": fmt.Sprintf(encryption, base64.StdEncoding.EncodeToString([]byte(rand.Text() + rand.Text())[:32])),
	}
	for i := range setup.Hosts {
		name, number := fmt.Sprintf("cp-%d", i+1), 11+i
		h := c.Site.Start(t, name, number, "export KUBE="+c.kube+" ETCD="+setup.Etcd+"\n"+first)
		c.Hosts = append(c.Hosts, h)
		files := map[string]string{}
		for file, text := range shared {
			files["/etc/kubernetes/pki/"+file] = text
		}
		for file, by := range map[string]*authority{"apiserver": ca, "apiserver-etcd-client": etcdCA, "etcd/server": etcdCA, "etcd/peer": etcdCA} {
			cert, key := by.sign(t, pkix.Name{CommonName: name}, []string{"kubernetes", name, "localhost"}, h.Spec.Address)
			files["/etc/kubernetes/pki/"+file+".crt"], files["/etc/kubernetes/pki/"+file+".key"] = cert, key
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

const manifest = `apiVersion: v1
kind: Pod
metadata: {name: %s, namespace: kube-system}
spec:
  hostNetwork: true
  containers:
  - name: main
    image: registry.k8s.io/%[1]s
    command:
    - %[2]s
`

// lay sets etcd and the API server up on a host and lets them start.
func (c *Cluster) lay(t testing.TB, h *hosttest.Host) {
	t.Helper()
	var members []string
	for _, m := range c.Hosts {
		members = append(members, fmt.Sprintf("%s=https://%s:2380", m.Spec.Name, m.Spec.Address))
	}
	const pki = "/etc/kubernetes/pki"
	etcd := []string{
		"etcd", "--name=" + h.Spec.Name, "--data-dir=/var/lib/etcd", "--initial-cluster=" + strings.Join(members, ","),
		"--listen-client-urls=https://127.0.0.1:2379,https://" + h.Spec.Address + ":2379", "--advertise-client-urls=https://" + h.Spec.Address + ":2379",
		"--listen-peer-urls=https://" + h.Spec.Address + ":2380", "--initial-advertise-peer-urls=https://" + h.Spec.Address + ":2380",
		"--cert-file=" + pki + "/etcd/server.crt", "--key-file=" + pki + "/etcd/server.key", "--client-cert-auth=true", "--trusted-ca-file=" + pki + "/etcd/ca.crt",
		"--peer-cert-file=" + pki + "/etcd/peer.crt", "--peer-key-file=" + pki + "/etcd/peer.key", "--peer-client-cert-auth=true", "--peer-trusted-ca-file=" + pki + "/etcd/ca.crt",
		"--unsafe-no-fsync=true", "--heartbeat-interval=500", "--election-timeout=5000", // the machine is busy
	}
	etcd = append(etcd, c.setup.Flags...)
	api := []string{
		"kube-apiserver", "--etcd-servers=https://127.0.0.1:2379", "--etcd-cafile=" + pki + "/etcd/ca.crt",
		"--etcd-certfile=" + pki + "/apiserver-etcd-client.crt", "--etcd-keyfile=" + pki + "/apiserver-etcd-client.key",
		"--advertise-address=" + h.Spec.Address, "--secure-port=6443", "--client-ca-file=" + pki + "/ca.crt", "--authorization-mode=RBAC",
		"--tls-cert-file=" + pki + "/apiserver.crt", "--tls-private-key-file=" + pki + "/apiserver.key", "--service-cluster-ip-range=10.96.0.0/12",
		"--service-account-issuer=https://kubernetes.default.svc", "--service-account-key-file=" + pki + "/sa.key", "--service-account-signing-key-file=" + pki + "/sa.key",
		"--disable-admission-plugins=ServiceAccount", "--encryption-provider-config=/etc/kubernetes/enc/encryption.yaml",
	}
	files := map[string]string{}
	if c.setup.Etcd == "" {
		files["/etc/kubernetes/manifests/kube-apiserver.yaml"] = fmt.Sprintf(manifest, "kube-apiserver", strings.Join(api, "\n    - "))
	}
	if !c.setup.Units {
		files["/etc/kubernetes/manifests/etcd.yaml"] = fmt.Sprintf(manifest, "etcd", strings.Join(etcd, "\n    - "))
		c.write(t, h, files)
		return
	}
	var env strings.Builder
	for _, f := range etcd[1:] {
		name, value, _ := strings.Cut(strings.TrimPrefix(f, "--"), "=")
		fmt.Fprintf(&env, "ETCD_%s=%s\n", strings.ToUpper(strings.ReplaceAll(name, "-", "_")), value)
	}
	files["/etc/etcd/etcd.conf"] = env.String()
	files["/etc/systemd/system/etcd.service"] = "[Service]\nUser=etcd\nEnvironmentFile=/etc/etcd/etcd.conf\nExecStart=/usr/local/bin/etcd\n"
	c.write(t, h, files)
	h.Sh(t, `id etcd >/dev/null 2>&1 || useradd --system --no-create-home etcd
		install -d -o etcd -g etcd -m 700 /var/lib/etcd; chown -R etcd /etc/kubernetes/pki/etcd /etc/etcd; chmod 711 /etc/kubernetes /etc/kubernetes/pki
		systemctl start etcd`)
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
