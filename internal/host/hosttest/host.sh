#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# The first process of a host: its root is the machine's own below a layer of its own, so that what the host writes is seen by nobody else; its
# processes are its own, too. The working folder is the host's; SSHD, PORT and HOST_NAME come from hosttest.go; NETWORK, if the host has a network of its own, and
# FIRST, a program that runs on the host from the beginning, from site.go.
set -euo pipefail
export PATH=$PATH:/usr/sbin:/sbin
listen=127.0.0.1
if [ -n "${NETWORK:-}" ]; then
	listen=${NETWORK%/*}
	ip link set lo up
	until ip link show eth0 >/dev/null 2>&1; do sleep 0.05; done # site.go plugs the cable in
	ip address add "$NETWORK" dev eth0
	ip link set eth0 up
fi
mount --make-rprivate /
mkdir -p layer root
mount -t tmpfs tmpfs layer
mkdir layer/upper layer/work
mount -t overlay overlay -o lowerdir=/,upperdir=layer/upper,workdir=layer/work root
mount --rbind /dev root/dev
mount -t proc proc root/proc
mount -t tmpfs -o mode=755 tmpfs root/run
mkdir -p root/run/sshd root/root/.ssh
cp authorized_keys root/root/.ssh/
chmod 700 root/root/.ssh
chmod 600 root/root/.ssh/authorized_keys
chown -R 0:0 root/root/.ssh
hostname "$HOST_NAME"
chroot root useradd --create-home --password '*' operator-1
cp -r root/root/.ssh root/home/operator-1/
chroot root chown -R operator-1 /home/operator-1
echo 'operator-1 ALL=(ALL) NOPASSWD: ALL' >root/etc/sudoers.d/operator-1
chroot root useradd --create-home --password '*' nobody-1
cp -r root/root/.ssh root/home/nobody-1/
chroot root chown -R nobody-1 /home/nobody-1
if [ -n "${FIRST:-}" ]; then
	cp first root/usr/local/sbin/first
	chroot root /bin/bash /usr/local/sbin/first &
fi
exec chroot root "$SSHD" -D -e -f /dev/null -p "$PORT" -h "$PWD/host_key" -o ListenAddress="$listen" \
	-o PermitRootLogin=yes -o StrictModes=no -o UsePAM=no -o PasswordAuthentication=no
