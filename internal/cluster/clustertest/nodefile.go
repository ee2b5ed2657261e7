// SPDX-License-Identifier: Apache-2.0

package clustertest

import (
	"fmt"
	"path/filepath"
)

// Files of the cluster that only one with a node has, relative to its folder.
const (
	egressFile   = "egress.yaml"
	egressSocket = "egress.sock"
)

const pauseImageName = "hozon.test/pause:1"

// nodeFiles returns what containerd and the kubelet read, by its path in the
// node's folder.
func (c *Cluster) nodeFiles(ca []byte) map[string]string {
	n := c.node
	return map[string]string{
		"kubeconfig":      c.nodeKubeconfig(ca),
		"kubelet.yaml":    n.kubeletConfig(),
		"containerd.toml": n.containerdConfig(),
		"cni/net.conflist": fmt.Sprintf(`{"cniVersion": "1.0.0", "name": "pods", "plugins": [{
  "type": "bridge", "bridge": "cni0", "isDefaultGateway": true,
  "ipam": {"type": "host-local", "dataDir": "/run/cni", "ranges": [[{"subnet": %q}]]}
}]}
`, podRange),
	}
}

// kubeletConfig takes every pod, however full the machine's disk and memory
// are: a test must not depend on that.
func (n *node) kubeletConfig() string {
	return fmt.Sprintf(`apiVersion: kubelet.config.k8s.io/v1beta1
kind: KubeletConfiguration
containerRuntimeEndpoint: unix://%s
cgroupDriver: cgroupfs
cgroupRoot: /%s
failCgroupV1: false
failSwapOn: false
enforceNodeAllocatable: []
evictionHard: {memory.available: 1Mi, nodefs.available: 0%%, nodefs.inodesFree: 0%%, imagefs.available: 0%%, imagefs.inodesFree: 0%%}
imageGCHighThresholdPercent: 100
imageGCLowThresholdPercent: 99
authentication: {anonymous: {enabled: true}, webhook: {enabled: false}}
authorization: {mode: AlwaysAllow}
oomScoreAdj: 0
resolvConf: ""
kubeAPIQPS: 500
kubeAPIBurst: 1000
volumePluginDir: /var/lib/kubelet/volume-plugins
`, filepath.Join(n.dir, "containerd.sock"), n.cgroup)
}

// containerdConfig keeps containerd to the node's folder and its /run. runc
// would die where it may not lower a process's oom_score_adj, hence
// restrict_oom_score_adj. The last two plugins would make folders in the
// machine's /opt and /etc.
func (n *node) containerdConfig() string {
	return fmt.Sprintf(`version = 3
root = %q
state = "/run/containerd"
disabled_plugins = ["io.containerd.internal.v1.opt", "io.containerd.nri.v1.nri"]

[grpc]
address = %q

[plugins."io.containerd.cri.v1.runtime"]
restrict_oom_score_adj = true
[plugins."io.containerd.cri.v1.runtime".containerd.runtimes.runc]
runtime_type = "io.containerd.runc.v2"
runtime_path = %q
[plugins."io.containerd.cri.v1.runtime".containerd.runtimes.runc.options]
BinaryName = %q
[plugins."io.containerd.cri.v1.runtime".cni]
bin_dirs = [%q]
conf_dir = %q

[plugins."io.containerd.cri.v1.images"]
snapshotter = %q
[plugins."io.containerd.cri.v1.images".pinned_images]
sandbox = %q
`, filepath.Join(n.dir, "containerd"), filepath.Join(n.dir, "containerd.sock"), n.programs["containerd-shim-runc-v2"],
		n.programs["runc"], n.programs["cni"], filepath.Join(n.dir, "cni"), snapshotter(n.dir), pauseImageName)
}

// egressConfig sends what the API server has to say to kubelets, pods and
// Services through a socket, behind which serveConnect makes the connection
// inside the node's network.
const egressConfig = `apiVersion: apiserver.k8s.io/v1beta1
kind: EgressSelectorConfiguration
egressSelections:
- name: cluster
  connection:
    proxyProtocol: HTTPConnect
    transport: {uds: {udsName: ` + egressSocket + `}}
`
