// SPDX-License-Identifier: Apache-2.0

package scenario

import (
	"encoding/base64"
	"fmt"
	"strings"
	"testing"

	"hozon.dev/hozon/internal/dr"
	"hozon.dev/hozon/internal/host/hosttest"
)

// places are where a layout has its files; those of certificates are without .crt and .key.
type places struct {
	pods                                     string // folder of the static pods
	data                                     string // etcd's
	ca, etcdCA, api, apiClient, server, peer string
	accounts, encryption                     string
}

const (
	k3s    = "/var/lib/rancher/k3s/server/"
	origin = "/etc/origin/master/"
)

func (c *Cluster) places() places {
	switch c.setup.Layout {
	case dr.LayoutK3s:
		return places{
			pods: "/run/no-pods", data: k3s + "db/etcd", ca: k3s + "tls/client-ca", etcdCA: k3s + "tls/etcd/server-ca", api: k3s + "tls/serving-kube-apiserver",
			apiClient: k3s + "tls/etcd/client", server: k3s + "tls/etcd/server-client", peer: k3s + "tls/etcd/peer-server-client",
			accounts: k3s + "tls/service.key", encryption: k3s + "cred/encryption-config.json",
		}
	case dr.LayoutOpenShift3:
		return places{
			pods: "/etc/origin/node/pods", data: "/var/lib/etcd", ca: origin + "ca", etcdCA: "/etc/etcd/ca", api: origin + "master.server",
			apiClient: origin + "master.etcd-client", server: "/etc/etcd/server", peer: "/etc/etcd/peer",
			accounts: origin + "serviceaccounts.private.key", encryption: origin + "encryption-config.yaml",
		}
	}
	const pki = "/etc/kubernetes/pki/"
	return places{
		pods: "/etc/kubernetes/manifests", data: "/var/lib/etcd", ca: pki + "ca", etcdCA: pki + "etcd/ca", api: pki + "apiserver",
		apiClient: pki + "apiserver-etcd-client", server: pki + "etcd/server", peer: pki + "etcd/peer", accounts: pki + "sa.key", encryption: "/etc/kubernetes/enc/encryption.yaml",
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

// etcdFlags are those of a host's member.
func (c *Cluster) etcdFlags(h *hosttest.Host) []string {
	var members []string
	for _, m := range c.Hosts {
		members = append(members, fmt.Sprintf("%s=https://%s:2380", m.Spec.Name, m.Spec.Address))
	}
	at := c.places()
	flags := []string{
		"--name=" + h.Spec.Name, "--data-dir=" + at.data, "--initial-cluster=" + strings.Join(members, ","),
		"--listen-client-urls=https://127.0.0.1:2379,https://" + h.Spec.Address + ":2379", "--advertise-client-urls=https://" + h.Spec.Address + ":2379",
		"--listen-peer-urls=https://" + h.Spec.Address + ":2380", "--initial-advertise-peer-urls=https://" + h.Spec.Address + ":2380",
		"--cert-file=" + at.server + ".crt", "--key-file=" + at.server + ".key", "--client-cert-auth=true", "--trusted-ca-file=" + at.etcdCA + ".crt",
		"--peer-cert-file=" + at.peer + ".crt", "--peer-key-file=" + at.peer + ".key", "--peer-client-cert-auth=true", "--peer-trusted-ca-file=" + at.etcdCA + ".crt",
		"--unsafe-no-fsync=true",
	}
	if len(c.Hosts) > 1 { // the machine is busy, and a leader shall not be lost for that; one that is alone cannot be lost
		flags = append(flags, "--heartbeat-interval=500", "--election-timeout=5000")
	}
	return append(flags, c.setup.Flags...)
}

// apiFlags are those of a host's API server.
func (c *Cluster) apiFlags(h *hosttest.Host) []string {
	at := c.places()
	flags := []string{
		"--etcd-servers=https://127.0.0.1:2379", "--etcd-cafile=" + at.etcdCA + ".crt", "--etcd-certfile=" + at.apiClient + ".crt", "--etcd-keyfile=" + at.apiClient + ".key",
		"--advertise-address=" + h.Spec.Address, "--secure-port=6443", "--client-ca-file=" + at.ca + ".crt", "--authorization-mode=RBAC",
		"--tls-cert-file=" + at.api + ".crt", "--tls-private-key-file=" + at.api + ".key", "--service-cluster-ip-range=10.96.0.0/12",
		"--service-account-issuer=https://kubernetes.default.svc", "--service-account-key-file=" + at.accounts, "--service-account-signing-key-file=" + at.accounts,
		"--disable-admission-plugins=ServiceAccount", "--encryption-provider-config=" + at.encryption,
	}
	if c.setup.Layout == dr.LayoutOpenShift3 {
		flags = append(flags, "--etcd-prefix=/kubernetes.io")
	}
	return flags
}

func pod(name string, command ...string) string {
	return fmt.Sprintf(manifest, name, strings.Join(command, "\n    - "))
}

// variables writes flags of etcd as variables.
func variables(flags []string) string {
	var b strings.Builder
	for _, f := range flags {
		name, value, _ := strings.Cut(strings.TrimPrefix(f, "--"), "=")
		fmt.Fprintf(&b, "ETCD_%s=%s\n", strings.ToUpper(strings.ReplaceAll(name, "-", "_")), value)
	}
	return b.String()
}

// lay sets etcd and the API server up on a host and lets them start.
func (c *Cluster) lay(t testing.TB, h *hosttest.Host) {
	t.Helper()
	h.Sh(t, "until [ -e /run/systemctl-is-there ]; do sleep 0.05; done")
	switch c.setup.Layout {
	case dr.LayoutK3s:
		c.layK3s(t, h)
		return
	case dr.LayoutOpenShift3:
		c.layOpenShift(t, h)
		return
	}
	files := map[string]string{}
	if c.setup.Etcd == "" {
		files["/etc/kubernetes/manifests/kube-apiserver.yaml"] = pod("kube-apiserver", append([]string{"kube-apiserver"}, c.apiFlags(h)...)...)
	}
	if !c.setup.Units {
		files["/etc/kubernetes/manifests/etcd.yaml"] = pod("etcd", append([]string{"etcd"}, c.etcdFlags(h)...)...)
		c.write(t, h, files)
		return
	}
	files["/etc/etcd/etcd.conf"] = variables(c.etcdFlags(h))
	files["/etc/systemd/system/etcd.service"] = "[Service]\nUser=etcd\nEnvironmentFile=/etc/etcd/etcd.conf\nExecStart=/usr/local/bin/etcd\n"
	c.write(t, h, files)
	h.Sh(t, `id etcd >/dev/null 2>&1 || useradd --system --no-create-home etcd
		install -d -o etcd -g etcd -m 700 /var/lib/etcd; chown -R etcd /etc/kubernetes/pki/etcd /etc/etcd; chmod 711 /etc/kubernetes /etc/kubernetes/pki
		systemctl start etcd`)
}

// layK3s is one service, in whose process etcd and the API server run: etcd takes its settings from a file that k3s writes into its data's folder.
func (c *Cluster) layK3s(t testing.TB, h *hosttest.Host) {
	t.Helper()
	var config, tls, peer strings.Builder
	for _, f := range c.etcdFlags(h) {
		name, value, _ := strings.Cut(strings.TrimPrefix(f, "--"), "=")
		own, ofPeers := strings.CutPrefix(name, "peer-")
		switch {
		case !strings.Contains(name, "cert") && !strings.Contains(name, "key-file") && !strings.Contains(name, "trusted"):
			fmt.Fprintf(&config, "%s: %s\n", name, value)
		case ofPeers:
			fmt.Fprintf(&peer, "  %s: %s\n", own, value)
		default:
			fmt.Fprintf(&tls, "  %s: %s\n", name, value)
		}
	}
	ca := c.ca.text
	c.write(t, h, map[string]string{
		k3s + "db/etcd/config":         config.String() + "client-transport-security:\n" + tls.String() + "peer-transport-security:\n" + peer.String(),
		k3s + "db/etcd/name":           h.Spec.Name + "\n",
		k3s + "tls/server-ca.crt":      ca,
		k3s + "token":                  "K10abc::server:" + c.marker + "\n",
		k3s + "agent-token":            "K10abc::server:agents\n",
		k3s + "node-token":             "K10abc::server:nodes\n",
		k3s + "manifests/coredns.yaml": "kind: List\n",
		"/var/lib/rancher/k3s/agent/etc/containerd/config.toml": "version = 2\n",
		"/etc/rancher/node/password":                            "of the node\n",
		"/etc/rancher/k3s/config.yaml":                          "cluster-init: true\nsecrets-encryption: true\n",
		"/etc/rancher/k3s/registries.yaml":                      "mirrors: {}\n",
		"/etc/rancher/k3s/stand-in.flags":                       strings.Join(c.apiFlags(h), "\n") + "\n",
		"/etc/rancher/k3s/k3s.yaml":                             c.kubeconfig("https://127.0.0.1:6443"),
		"/etc/systemd/system/k3s.service":                       "[Service]\nExecStart=/usr/local/bin/k3s server\n",
		"/etc/systemd/system/k3s.service.env":                   "K3S_DEBUG=false\n",
	})
	h.Sh(t, "systemctl start k3s")
}

// layOpenShift is static pods, of which etcd's takes its settings from variables and the others, one program, theirs from a file.
func (c *Cluster) layOpenShift(t testing.TB, h *hosttest.Host) {
	t.Helper()
	c.write(t, h, map[string]string{
		"/etc/etcd/etcd.conf": variables(c.etcdFlags(h)),
		origin + "master-config.yaml": `apiVersion: master.config.openshift.io/v1
kind: MasterConfig
etcdClientInfo: {ca: /etc/etcd/ca.crt, certFile: master.etcd-client.crt, keyFile: master.etcd-client.key, urls: ["https://127.0.0.1:2379"]}
etcdStorageConfig: {kubernetesStoragePrefix: kubernetes.io, kubernetesStorageVersion: v1, openShiftStoragePrefix: openshift.io, openShiftStorageVersion: v1}
kubernetesMasterConfig:
  apiServerArguments: {experimental-encryption-provider-config: [` + origin + `encryption-config.yaml]}
serviceAccountConfig: {privateKeyFile: serviceaccounts.private.key, publicKeyFiles: [serviceaccounts.private.key]}
servingInfo: {bindAddress: "0.0.0.0:6443", certFile: master.server.crt, keyFile: master.server.key, clientCA: ca.crt}
`,
		origin + "stand-in.flags":               strings.Join(c.apiFlags(h), "\n") + "\n",
		origin + "admin.kubeconfig":             c.kubeconfig("https://" + h.Spec.Address + ":6443"),
		"/etc/origin/node/pods/apiserver.yaml":  pod("master-api", "openshift", "start", "master", "api", "--config="+origin+"master-config.yaml"),
		"/etc/origin/node/pods/controller.yaml": pod("master-controllers", "openshift", "start", "master", "controllers", "--config="+origin+"master-config.yaml"),
		"/etc/origin/node/pods/etcd.yaml":       pod("master-etcd", "origin-etcd"),
	})
}

// kubeconfig is an administrator's.
func (c *Cluster) kubeconfig(server string) string {
	return fmt.Sprintf(`{"apiVersion": "v1", "kind": "Config", "current-context": "a", "contexts": [{"name": "a", "context": {"cluster": "a", "user": "a"}}],
		"clusters": [{"name": "a", "cluster": {"server": %q, "certificate-authority-data": %q}}], "users": [{"name": "a", "user": {"client-certificate-data": %q, "client-key-data": %q}}]}`,
		server, inBase64(c.ca.text), inBase64(c.cert), inBase64(c.key))
}

func inBase64(text string) string { return base64.StdEncoding.EncodeToString([]byte(text)) }
