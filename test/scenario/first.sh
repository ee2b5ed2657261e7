# SPDX-License-Identifier: Apache-2.0
#
# What a host of the scenario has running from its beginning. It stands in for two programs that cannot run in a chroot: a kubelet, as far as static
# pods go (the command of every manifest runs for as long as the manifest is there, and again when it ends or changes), and systemctl (start, stop, is-active).
# The programs that it runs are real.
set -u
mkdir -p /etc/kubernetes/manifests /run/units /var/log/pods /var/lib/kubelet
# Not a link: not every user gets to where it lies.
: >/usr/local/bin/kube
mount --bind "$KUBE" /usr/local/bin/kube
for p in etcd kube-apiserver kubectl; do ln -sf kube /usr/local/bin/$p; done
if [ -n "$ETCD" ]; then
	rm /usr/local/bin/etcd
	: >/usr/local/bin/etcd
	mount --bind "$ETCD" /usr/local/bin/etcd
fi

cat >/usr/local/bin/systemctl <<'END'
#!/bin/bash
set -u
verb=$1
shift
while [[ "${1:-}" == --* ]]; do shift; done
unit=${1:-} file=/etc/systemd/system/${1:-}.service pid=$(cat "/run/units/${1:-}" 2>/dev/null)
active() { [ -n "$pid" ] && [ -n "$(tr -d '\0' <"/proc/$pid/cmdline" 2>/dev/null)" ]; }
case $verb in
daemon-reload | enable) ;;
cat) cat "$file" ;;
is-active) active ;;
start)
	active && exit 0
	[ -e "$file" ] || { echo "Unit $unit.service not found." >&2; exit 5; }
	user=$(sed -n 's/^User=//p' "$file")
	env=$(sed -n 's/^EnvironmentFile=//p' "$file")
	setsid setpriv --reuid="${user:-root}" --regid="${user:-root}" --clear-groups bash -c 'if [ -n "$1" ]; then set -a; . "$1"; set +a; fi; exec $2' sh "$env" "$(sed -n 's/^ExecStart=//p' "$file")" \
		>>/var/log/$unit.log 2>&1 </dev/null &
	echo $! >/run/units/$unit
	;;
stop)
	active || exit 0
	kill "$pid"
	for _ in $(seq 200); do active || exit 0; sleep 0.1; done
	kill -9 "$pid"
	;;
restart) "$0" stop "$unit" && "$0" start "$unit" ;;
*) exit 1 ;;
esac
END
chmod 755 /usr/local/bin/systemctl

declare -A pid seen
alive() { [ -n "$(tr -d '\0' <"/proc/$1/cmdline" 2>/dev/null)" ]; }
cd /etc/kubernetes/manifests
while sleep 0.2; do
	for name in "${!pid[@]}"; do
		if [ ! -e "$name" ] || [ "$(sha256sum <"$name")" != "${seen[$name]}" ]; then
			kill "${pid[$name]}" 2>/dev/null
			for _ in $(seq 50); do alive "${pid[$name]}" || break; sleep 0.1; done
			kill -9 "${pid[$name]}" 2>/dev/null
			unset "pid[$name]"
		elif ! alive "${pid[$name]}"; then
			unset "pid[$name]"
		fi
	done
	for name in *.yaml; do
		[ -e "$name" ] && [ -z "${pid[$name]:-}" ] || continue
		seen[$name]=$(sha256sum <"$name")
		mapfile -t command < <(sed -n 's/^    - //p' "$name")
		setsid "/usr/local/bin/${command[0]}" "${command[@]:1}" >>"/var/log/pods/${command[0]}.log" 2>&1 </dev/null &
		pid[$name]=$!
	done
done
