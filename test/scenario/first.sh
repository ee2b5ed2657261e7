# SPDX-License-Identifier: Apache-2.0
#
# What a host of the scenario has running from its beginning. It stands in for two programs that cannot run in a chroot: a kubelet, as far as static
# pods go (the command of every manifest runs for as long as the manifest is there, and again when it ends or changes), and systemctl (start, stop, is-active).
# The programs that it runs are real.
set -u
mkdir -p "$PODS" /run/units /var/log/pods /var/lib/kubelet
# Not a link: not every user gets to where it lies.
: >/usr/local/bin/kube
mount --bind "$KUBE" /usr/local/bin/kube
for p in etcd kube-apiserver kubectl; do ln -sf kube /usr/local/bin/$p; done
if [ -n "$ETCD" ]; then
	rm /usr/local/bin/etcd
	: >/usr/local/bin/etcd
	mount --bind "$ETCD" /usr/local/bin/etcd
fi

# k3s is one process; its etcd and API server run inside of it, and end with it. OpenShift 3.11 has API server and controllers in one program.
cat >/usr/local/bin/k3s <<'END'
#!/bin/bash
exec -a "/usr/local/bin/k3s server" bash /usr/local/lib/k3s
END
cat >/usr/local/lib/k3s <<'END'
mapfile -t flags </etc/rancher/k3s/stand-in.flags
setpriv --pdeathsig KILL kube etcd --config-file=/var/lib/rancher/k3s/server/db/etcd/config & etcd=$!
setpriv --pdeathsig KILL bash -c 'while sleep 0.3; do setpriv --pdeathsig KILL kube kube-apiserver "$@"; done' sh "${flags[@]}" & api=$!
trap 'kill -9 $api; kill $etcd; wait; exit' TERM
# It ends when one of them does, and is started again.
wait -n
END
cat >/usr/local/bin/openshift <<'END'
#!/bin/bash
cd /usr/local/lib/origin
exec -a openshift bash "$@"
END
mkdir -p /usr/local/lib/origin
cat >/usr/local/lib/origin/start <<'END'
mapfile -t flags </etc/origin/master/stand-in.flags
if [ "$2" = api ]; then setpriv --pdeathsig KILL kube kube-apiserver "${flags[@]}" & else setpriv --pdeathsig KILL sleep infinity & fi
trap 'kill -9 $!; exit' TERM
wait
END
cat >/usr/local/bin/origin-etcd <<'END'
#!/bin/bash
set -a
. /etc/etcd/etcd.conf
exec /usr/local/bin/etcd
END
chmod 755 /usr/local/bin/k3s /usr/local/bin/openshift /usr/local/bin/origin-etcd

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

: >/run/systemctl-is-there

declare -A pid seen
alive() { [ -n "$(tr -d '\0' <"/proc/$1/cmdline" 2>/dev/null)" ]; }
cd "$PODS"
while sleep 0.2; do
	for name in "${!pid[@]}"; do
		if [ ! -e "$name" ] || [ "$(sha256sum <"$name")" != "${seen[$name]}" ]; then
			kill "${pid[$name]}" 2>/dev/null
			# An API server waits for those who watch it, for a minute; nothing is gained by that here.
			case $name in *etcd*) patience=50 ;; *) patience=5 ;; esac
			for _ in $(seq $patience); do alive "${pid[$name]}" || break; sleep 0.1; done
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
