// SPDX-License-Identifier: Apache-2.0

package controlplane

import (
	"crypto/rand"
	"encoding/base64"
	"fmt"
	"strings"
	"testing"

	"hozon.dev/hozon/internal/host/hosttest"
	"hozon.dev/hozon/test/daemon"
)

// files are where a layout has what an etcd and an API server need, as these see it.
type files struct {
	data, etcdCA, etcdCert, etcdKey, clientCA, clientCert, clientKey, apiCert, apiKey, account, encryption, prefix string
}

// begin starts a host that has the programs as one, kube, so that only those show in its list of processes that a layout wants to show.
func begin(t testing.TB, name string) *Node {
	t.Helper()
	n := &Node{Host: hosttest.Start(t, name), token: rand.Text()}
	binary, err := daemon.Build(t.Context(), "devcluster/build")
	if err != nil {
		t.Fatal(err)
	}
	n.Etcd, n.API, n.peer = reserve(t), reserve(t), reserve(t)
	n.Sh(t, fmt.Sprintf("for p in kube etcd kube-apiserver kubectl; do ln -s %s /usr/local/bin/$p; done; mkdir -p /srv", binary))
	return n
}

// write writes the certificates and keys; at says where on the host a file lies.
func (f files) write(t testing.TB, n *Node, at func(string) string) {
	t.Helper()
	ca, cert, key := certificates(t)
	for file, content := range map[string]string{
		f.etcdCA: ca, f.etcdCert: cert, f.etcdKey: key, f.clientCA: ca, f.clientCert: cert, f.clientKey: key, f.apiCert: cert, f.apiKey: key, f.account: key,
		f.encryption:      fmt.Sprintf(encryption, base64.StdEncoding.EncodeToString([]byte(rand.Text() + rand.Text())[:32])),
		"/srv/tokens.csv": n.token + `,admin,admin,"system:masters"` + "\n",
	} {
		n.Write(t, at(file), content, "0600")
	}
	n.Sh(t, "mkdir -p "+f.data)
}

func asIs(file string) string { return file }

// etcdConfig is the file that k3s and RKE2 write for etcd.
func (f files) etcdConfig(n *Node, name string) string {
	security := fmt.Sprintf("{cert-file: %s, key-file: %s, client-cert-auth: true, trusted-ca-file: %s}", f.etcdCert, f.etcdKey, f.etcdCA)
	return fmt.Sprintf(`advertise-client-urls: https://127.0.0.1:%[1]d
client-transport-security: %[3]s
data-dir: %[4]s
initial-advertise-peer-urls: https://127.0.0.1:%[2]d
initial-cluster: %[5]s=https://127.0.0.1:%[2]d
listen-client-urls: https://127.0.0.1:%[1]d
listen-peer-urls: https://127.0.0.1:%[2]d
name: %[5]s
peer-transport-security: %[3]s
unsafe-no-fsync: true
`, n.Etcd, n.peer, security, f.data, name)
}

// etcdFlags are the same as flags.
func (f files) etcdFlags(n *Node, name string) string {
	return fmt.Sprintf("--name=%[1]s --data-dir=%[2]s --listen-client-urls=https://127.0.0.1:%[3]d --advertise-client-urls=https://127.0.0.1:%[3]d "+
		"--listen-peer-urls=https://127.0.0.1:%[4]d --initial-advertise-peer-urls=https://127.0.0.1:%[4]d --initial-cluster=%[1]s=https://127.0.0.1:%[4]d "+
		"--cert-file=%[5]s --key-file=%[6]s --client-cert-auth --trusted-ca-file=%[7]s --peer-cert-file=%[5]s --peer-key-file=%[6]s --peer-client-cert-auth "+
		"--peer-trusted-ca-file=%[7]s --unsafe-no-fsync", name, f.data, n.Etcd, n.peer, f.etcdCert, f.etcdKey, f.etcdCA)
}

// apiFlags are those of the API server.
func (f files) apiFlags(n *Node) string {
	flags := []string{
		"--etcd-servers=https://127.0.0.1:" + fmt.Sprint(n.Etcd), "--etcd-cafile=" + f.clientCA, "--etcd-certfile=" + f.clientCert, "--etcd-keyfile=" + f.clientKey,
		"--bind-address=127.0.0.1", "--advertise-address=192.0.2.1", "--secure-port=" + fmt.Sprint(n.API), "--cert-dir=/var/run/kube",
		"--tls-cert-file=" + f.apiCert, "--tls-private-key-file=" + f.apiKey, "--token-auth-file=/srv/tokens.csv", "--authorization-mode=RBAC",
		"--service-cluster-ip-range=10.96.0.0/12", "--service-account-issuer=https://kubernetes.default.svc", "--service-account-key-file=" + f.account,
		"--service-account-signing-key-file=" + f.account, "--disable-admission-plugins=ServiceAccount", "--encryption-provider-config=" + f.encryption,
	}
	if f.prefix != "" {
		flags = append(flags, "--etcd-prefix="+f.prefix)
	}
	return strings.Join(flags, " ")
}

// run starts a script in the background.
func (n *Node) run(t testing.TB, script string) {
	t.Helper()
	n.Sh(t, "cat >/srv/run-$$.sh <<'END'\n"+script+"\nEND\nsetsid nohup bash /srv/run-$$.sh >>/var/log/run.log 2>&1 </dev/null &")
}

// ready waits for the API server.
func (n *Node) ready(t testing.TB) {
	t.Helper()
	n.Sh(t, fmt.Sprintf("for i in $(seq 600); do %s get namespace default >/dev/null 2>&1 && exit; sleep .2; done; tail -n 30 /var/log/run.log >&2; exit 1", n.kubectl()))
}

// StartK3s starts a node laid out as k3s does: one process, in which etcd and the API server run, and which hides its arguments.
func StartK3s(t testing.TB, name string) *Node {
	t.Helper()
	n := begin(t, name)
	const server = "/var/lib/rancher/k3s/server/"
	f := files{
		data: server + "db/etcd", etcdCA: server + "tls/etcd/server-ca.crt", etcdCert: server + "tls/etcd/server-client.crt", etcdKey: server + "tls/etcd/server-client.key",
		clientCA: server + "tls/etcd/peer-ca.crt", clientCert: server + "tls/etcd/client.crt", clientKey: server + "tls/etcd/client.key",
		apiCert: server + "tls/serving-kube-apiserver.crt", apiKey: server + "tls/serving-kube-apiserver.key", account: server + "tls/service.key",
		encryption: server + "cred/encryption-config.json",
	}
	f.write(t, n, asIs)
	n.Write(t, server+"db/etcd/config", f.etcdConfig(n, name), "0600")
	n.Write(t, server+"token", "K10abc::server:"+rand.Text(), "0600")
	n.Write(t, "/etc/rancher/k3s/config.yaml", "cluster-init: true\nsecrets-encryption: true\n", "0600")
	n.Write(t, "/srv/k3s", "kube etcd --config-file="+server+"db/etcd/config & kube kube-apiserver "+f.apiFlags(n)+" & wait\n", "0700")
	n.run(t, `exec -a "/usr/local/bin/k3s server" bash /srv/k3s`)
	n.ready(t)
	return n
}

// StartRKE2 starts a node laid out as RKE2 does: static pods, etcd with a file of settings.
func StartRKE2(t testing.TB, name string) *Node {
	t.Helper()
	n := begin(t, name)
	const server = "/var/lib/rancher/rke2/server/"
	f := files{
		data: server + "db/etcd", etcdCA: server + "tls/etcd/server-ca.crt", etcdCert: server + "tls/etcd/server-client.crt", etcdKey: server + "tls/etcd/server-client.key",
		clientCA: server + "tls/etcd/peer-ca.crt", clientCert: server + "tls/etcd/client.crt", clientKey: server + "tls/etcd/client.key",
		apiCert: server + "tls/serving-kube-apiserver.crt", apiKey: server + "tls/serving-kube-apiserver.key", account: server + "tls/service.key",
		encryption: server + "cred/encryption-config.json",
	}
	f.write(t, n, asIs)
	n.Write(t, server+"db/etcd/config", f.etcdConfig(n, name), "0600")
	n.Write(t, "/etc/rancher/rke2/config.yaml", "token: "+rand.Text()+"\n", "0600")
	n.Write(t, "/var/lib/rancher/rke2/agent/pod-manifests/etcd.yaml", "apiVersion: v1\nkind: Pod\nmetadata: {name: etcd}\n", "0600")
	n.Write(t, "/srv/rke2", "etcd --config-file="+server+"db/etcd/config & kube-apiserver "+f.apiFlags(n)+" & wait\n", "0700")
	n.run(t, `exec -a "/usr/local/bin/rke2 server" bash /srv/rke2`)
	n.ready(t)
	return n
}

// StartOpenShift3 starts a master laid out as OpenShift 3.11 does: etcd takes its settings from variables, the API server from master-config.yaml.
func StartOpenShift3(t testing.TB, name string) *Node {
	t.Helper()
	n := begin(t, name)
	const master = "/etc/origin/master/"
	f := files{
		data: "/var/lib/etcd", etcdCA: "/etc/etcd/ca.crt", etcdCert: "/etc/etcd/server.crt", etcdKey: "/etc/etcd/server.key",
		clientCA: master + "master.etcd-ca.crt", clientCert: master + "master.etcd-client.crt", clientKey: master + "master.etcd-client.key",
		apiCert: master + "master.server.crt", apiKey: master + "master.server.key", account: master + "serviceaccounts.private.key",
		encryption: master + "encryption-config.yaml", prefix: "/kubernetes.io",
	}
	f.write(t, n, asIs)
	settings := fmt.Sprintf("ETCD_NAME=%[1]s\nETCD_DATA_DIR=/var/lib/etcd/\nETCD_LISTEN_CLIENT_URLS=https://127.0.0.1:%[2]d\nETCD_ADVERTISE_CLIENT_URLS=https://127.0.0.1:%[2]d\n"+
		"ETCD_LISTEN_PEER_URLS=https://127.0.0.1:%[3]d\nETCD_INITIAL_ADVERTISE_PEER_URLS=https://127.0.0.1:%[3]d\nETCD_INITIAL_CLUSTER=%[1]s=https://127.0.0.1:%[3]d\n"+
		"ETCD_CERT_FILE=/etc/etcd/server.crt\nETCD_KEY_FILE=/etc/etcd/server.key\nETCD_TRUSTED_CA_FILE=/etc/etcd/ca.crt\nETCD_CLIENT_CERT_AUTH=true\n"+
		"ETCD_PEER_CERT_FILE=/etc/etcd/server.crt\nETCD_PEER_KEY_FILE=/etc/etcd/server.key\nETCD_PEER_TRUSTED_CA_FILE=/etc/etcd/ca.crt\nETCD_UNSAFE_NO_FSYNC=true\n",
		name, n.Etcd, n.peer)
	n.Write(t, "/etc/etcd/etcd.conf", settings, "0600")
	n.Write(t, master+"master-config.yaml", fmt.Sprintf(`apiVersion: master.config.openshift.io/v1
kind: MasterConfig
etcdClientInfo: {ca: master.etcd-ca.crt, certFile: master.etcd-client.crt, keyFile: master.etcd-client.key, urls: ["https://127.0.0.1:%d"]}
etcdStorageConfig: {kubernetesStoragePrefix: kubernetes.io, kubernetesStorageVersion: v1, openShiftStoragePrefix: openshift.io, openShiftStorageVersion: v1}
kubernetesMasterConfig:
  apiServerArguments: {experimental-encryption-provider-config: [%sencryption-config.yaml]}
serviceAccountConfig: {privateKeyFile: serviceaccounts.private.key, publicKeyFiles: [serviceaccounts.private.key]}
servingInfo: {bindAddress: "127.0.0.1:%d", certFile: master.server.crt, keyFile: master.server.key, clientCA: ""}
`, n.Etcd, master, n.API), "0600")
	n.Write(t, "/etc/origin/node/pods/etcd.yaml", "apiVersion: v1\nkind: Pod\nmetadata: {name: master-etcd, namespace: kube-system}\n", "0600")
	n.Write(t, "/etc/origin/node/pods/apiserver.yaml", "apiVersion: v1\nkind: Pod\nmetadata: {name: master-api, namespace: kube-system}\n", "0600")
	n.Write(t, "/srv/start", "kube kube-apiserver "+f.apiFlags(n)+" & wait\n", "0700")
	n.run(t, "set -a; . /etc/etcd/etcd.conf; exec etcd")
	n.run(t, "cd /srv; exec -a openshift bash start master api --config="+master+"master-config.yaml --loglevel=2")
	n.ready(t)
	return n
}

// StartOpenShift4 starts a node laid out as OpenShift 4 does: in the containers of the static pods, files have other paths than on the machine.
func StartOpenShift4(t testing.TB, name string) *Node {
	t.Helper()
	n := begin(t, name)
	const resources, certs = "/etc/kubernetes/static-pod-resources/", "/etc/kubernetes/static-pod-certs/"
	f := files{
		data: "/var/lib/etcd", etcdCA: certs + "configmaps/etcd-serving-ca/ca-bundle.crt",
		etcdCert: certs + "secrets/etcd-all-certs/etcd-serving-cp.crt", etcdKey: certs + "secrets/etcd-all-certs/etcd-serving-cp.key",
		clientCA: resources + "configmaps/etcd-serving-ca/ca-bundle.crt", clientCert: resources + "secrets/etcd-client/tls.crt", clientKey: resources + "secrets/etcd-client/tls.key",
		apiCert: resources + "secrets/serving/tls.crt", apiKey: resources + "secrets/serving/tls.key", account: resources + "secrets/bound-service-account-signing-key/service-account.key",
		encryption: resources + "secrets/encryption-config/encryption-config",
	}
	f.write(t, n, strings.NewReplacer(certs, resources+"etcd-certs/", resources, resources+"kube-apiserver-pod-7/").Replace)
	n.Write(t, "/etc/kubernetes/manifests/etcd-pod.yaml", "apiVersion: v1\nkind: Pod\nmetadata: {name: etcd}\n", "0600")
	n.Sh(t, "mkdir -p "+certs)
	container := "exec unshare --mount bash -ec 'mount --bind /etc/kubernetes/static-pod-resources/%s /etc/kubernetes/static-pod-%s; exec %s'"
	n.run(t, fmt.Sprintf(container, "etcd-certs", "certs", "etcd "+f.etcdFlags(n, name)))
	n.run(t, fmt.Sprintf(container, "kube-apiserver-pod-7", "resources", "kube-apiserver "+f.apiFlags(n)))
	n.ready(t)
	return n
}
