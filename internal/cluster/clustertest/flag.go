// SPDX-License-Identifier: Apache-2.0

package clustertest

// The components run in the cluster's folder, so that all paths are relative;
// this also keeps the names of etcd's sockets below the 108 bytes that a socket
// may have.

// etcdFlags puts etcd on unix sockets: no port, and no access for other users.
func (c *Cluster) etcdFlags() []string {
	flags := []string{
		"--name=dev",
		"--data-dir=etcd",
		"--listen-client-urls=unix://etcd.sock",
		"--advertise-client-urls=unix://etcd.sock:0",
		"--listen-peer-urls=unix://peer.sock:0",
		"--initial-advertise-peer-urls=unix://peer.sock:0",
		"--initial-cluster=dev=unix://peer.sock:0",
		// Alone, it can elect itself at once.
		"--heartbeat-interval=10",
		"--election-timeout=100",
		"--log-level=warn",
	}
	if c.opts.UnsafeNoFsync {
		flags = append(flags, "--unsafe-no-fsync")
	}
	return flags
}

func (c *Cluster) apiServerFlags() []string {
	flags := []string{
		"--etcd-servers=unix://etcd.sock",
		"--bind-address=127.0.0.1",
		// For the endpoints of the Service "kubernetes" only, which must
		// not be loopback. It is of the range for documentation: nothing
		// listens there.
		"--advertise-address=192.0.2.1",
		"--secure-port=" + c.portNumber(),
		"--cert-dir=pki",
		"--tls-cert-file=" + serverCertFile,
		"--tls-private-key-file=" + serverKeyFile,
		"--token-auth-file=" + tokenFile,
		"--authorization-mode=Node,RBAC",
		"--service-cluster-ip-range=10.96.0.0/12",
		"--service-account-issuer=https://kubernetes.default.svc",
		"--service-account-key-file=" + accountKeyFile,
		"--service-account-signing-key-file=" + accountKeyFile,
		"--allow-privileged=true",
	}
	if c.opts.Node {
		flags = append(flags, "--kubelet-preferred-address-types=InternalIP", "--egress-selector-config-file="+egressFile)
	}
	if !c.opts.Controllers {
		flags = append(flags, "--disable-admission-plugins=ServiceAccount")
	}
	return append(flags, c.opts.APIServerFlags...)
}

func (c *Cluster) controllerManagerFlags() []string {
	return []string{
		"--kubeconfig=kubeconfig",
		"--secure-port=0",
		"--leader-elect=false",
		// The default, 20 a second, would be what tests wait for.
		"--kube-api-qps=500",
		"--kube-api-burst=1000",
		"--root-ca-file=" + caFile,
		"--service-account-private-key-file=" + accountKeyFile,
	}
}

func (c *Cluster) schedulerFlags() []string {
	return []string{
		"--kubeconfig=kubeconfig",
		"--secure-port=0",
		"--leader-elect=false",
		"--kube-api-qps=500",
		"--kube-api-burst=1000",
	}
}
