#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# The first process of a node, in mount, process, network, host name and IPC
# namespaces of its own. When it ends, for whatever reason, the kernel ends all
# that runs in the node, and what the node mounted and every network device
# that it made are gone with the namespaces.
#
# The working folder is the node's; KUBE, CONTAINERD, IP, NODE_NAME, NODE_IP,
# SERVICE_IP, SERVICE_RANGE and CGROUP come from node.go.
set -euo pipefail
export PATH=$PATH:/usr/sbin:/sbin

mount --make-rprivate /
# Shared among the node's own, as on any node: pods may ask for mounts that come later.
mount --make-rshared /
mount -t proc proc /proc
mkdir -p lib/kubelet log/pods sysctl
mount -t tmpfs -o mode=755 tmpfs /run
mount --bind log /var/log
mount --bind lib /var/lib
mount --bind /var/lib/kubelet /var/lib/kubelet

# The kubelet insists on these, and would change them for the whole machine.
while read -r file value; do
	echo "$value" >"sysctl/${file##*/}"
	mount --bind "sysctl/${file##*/}" "/proc/sys/$file"
done <<-END
	vm/overcommit_memory 1
	vm/panic_on_oom 0
	kernel/panic 10
	kernel/panic_on_oops 1
	kernel/keys/root_maxkeys 1000000
	kernel/keys/root_maxbytes 25000000
END

hostname "$NODE_NAME"
"$IP" link set lo up
"$IP" address add "$NODE_IP/32" dev lo
# There is no kube-proxy. The API server answers at its Service's address, and a
# call to any other Service fails at once instead of after a minute.
"$IP" address add "$SERVICE_IP/32" dev lo
"$IP" route add unreachable "$SERVICE_RANGE"

if [ -e /sys/fs/cgroup/cgroup.procs ]; then
	mkdir "/sys/fs/cgroup/$CGROUP"
else
	for hierarchy in /sys/fs/cgroup/*/; do
		mkdir "$hierarchy$CGROUP"
	done
fi
# In the cpuset hierarchy a group without processors and memory takes nobody.
if [ -d "/sys/fs/cgroup/cpuset/$CGROUP" ]; then
	for file in cpuset.cpus cpuset.mems; do
		cat "/sys/fs/cgroup/cpuset/$file" >"/sys/fs/cgroup/cpuset/$CGROUP/$file"
	done
fi

"$CONTAINERD" --config containerd.toml >>containerd.log 2>&1 &
# The kubelet gives up when containerd is not there yet, and may when it only just is.
(
	until [ -S containerd.sock ]; do
		sleep 0.05
	done
	for _ in 1 2 3 4 5; do
		"$KUBE" kubelet --config=kubelet.yaml --kubeconfig=kubeconfig --hostname-override="$NODE_NAME" \
			--node-ip="$NODE_IP" --root-dir=/var/lib/kubelet || sleep 1
	done
) >>kubelet.log 2>&1 &
wait -n || true
echo "a program of the node has ended:"
tail -n 20 containerd.log kubelet.log
exit 1
