# SPDX-License-Identifier: Apache-2.0
#
# What `hozon restore cluster` does on a machine: sh -c "$this" sh ID VERB [ARGUMENT…]. Every verb may be repeated, also after it was cut off in the middle.
# Nothing that was there before is removed: it is moved beside its place, or below $base/old.
set -eu
umask 077
id=$1 verb=$2
shift 2
base=/var/lib/hozon-restore/$id
# What an earlier run, whose connection broke, has begun here must end first.
mkdir -p "$base"
exec 9>"$base/lock"
flock -w 300 9

# target is what is moved as one: the folder, or, if that is a file system of its own or /./member follows, the folder in it that etcd makes.
target() {
	case $1 in */./member) echo "${1%/./member}/member"; return ;; esac
	if [ -d "$1" ] && [ "$(stat -c %d -- "$1")" != "$(stat -c %d -- "$1/..")" ]; then echo "$1/member"; else echo "$1"; fi
}

there() { [ -e "$1" ] || [ -L "$1" ]; }

# put copies a file with all its attributes and gives it its place at once; kubelet does not look at names that begin with a dot.
put() {
	tmp=$(dirname "$2")/.hozon-$id.tmp
	rm -rf -- "$tmp"
	cp -a -- "$1" "$tmp"
	mv -fT -- "$tmp" "$2"
}

# own gives what is new its owner: the one of the archive, by name or, where nobody has that name, by number; else that of what was there before, if it still
# is. What is there now may have been made by an etcd that was started anew after the loss.
own() { # new before name number
	for owner in "$3" "$4"; do
		if [ -n "$owner" ] && chown -- "$owner" "$1" 2>/dev/null; then
			chown -R -- "$owner" "$1"
			return
		fi
	done
	if there "$2"; then chown -R --reference="$2" -- "$1"; else chown -R -- 0:0 "$1"; fi
}

# folders makes the folders above a file, those that the archive knows with the owner and mode that it has of them.
folders() {
	[ -d "$1" ] && return
	folders "$(dirname "$1")"
	if [ -d "$base/new$1" ]; then
		mkdir -- "$1"
		chown --reference="$base/new$1" -- "$1"
		chmod --reference="$base/new$1" -- "$1"
	else
		mkdir -m 755 -- "$1"
	fi
}

# runs says whether a program runs, and, if words are given, has them in its command line.
runs() {
	for p in /proc/[0-9]*; do
		line=$(tr '\0' ' ' <"$p/cmdline" 2>/dev/null) || continue
		exe=${line%% *}
		[ "${exe##*/}" = "$1" ] || continue
		case $line in *"${2-}"*) return ;; esac
	done
	return 1
}

case $verb in
ready) # a place to work in, and what is needed for it
	mkdir -p "$base/old" "$base/none" "$base/stopped" "$base/undone"
	for tool in tar cp mv stat flock sha256sum; do command -v "$tool" >/dev/null || { echo "there is no $tool" >&2; exit 1; }; done
	;;
forget) # that it was ever asked, if nothing was begun
	rm -f "$base/lock"
	rmdir "$base/old" "$base/none" "$base/stopped" "$base/undone" "$base" "${base%/*}" 2>/dev/null || :
	;;
stage-data) # folder name number mode: of its owner, its own; the tar of the new folder on standard input
	to=$(target "$1")
	new=$to.hozon-$id.new
	mkdir -p "$(dirname "$to")"
	rm -rf -- "$new"
	mkdir -- "$new"
	if [ "$to" = "$1" ]; then strip=0; else strip=1; fi
	tar -xz --strip-components=$strip -C "$new" -f -
	own "$new" "$to" "$2" "$3"
	if [ "$to" = "$1" ]; then chmod -- "${4:-700}" "$new"; fi
	sync
	;;
tool) # the program here that makes etcd's data, and whether it can raise the revision
	for tool in etcdutl etcdctl; do
		if command -v "$tool" >/dev/null && help=$(ETCDCTL_API=3 "$tool" snapshot restore --help 2>&1) && [ "${help#*--initial-cluster-token}" != "$help" ]; then
			if [ "${help#*--bump-revision}" != "$help" ]; then echo "$tool raises"; else echo "$tool"; fi
			exit
		fi
	done
	echo "there is no etcdutl, and no etcdctl that restores snapshots: install that of its etcd" >&2
	exit 1
	;;
make-data) # folder name number mode, then tool name cluster token peers bump: the same by the machine's own program; the snapshot on standard input
	dir=$1 user=$2 number=$3 mode=$4
	shift 4
	to=$(target "$dir")
	new=$to.hozon-$id.new
	mkdir -p "$(dirname "$to")"
	rm -rf -- "$new" "$new.made" "$new.db"
	cat >"$new.db"
	more=
	if [ "$6" != 0 ]; then more="--bump-revision=$6 --mark-compacted"; fi
	ETCDCTL_API=3 "$1" snapshot restore "$new.db" --name="$2" --initial-cluster="$3" --initial-cluster-token="$4" --initial-advertise-peer-urls="$5" --data-dir="$new.made" $more >&2
	rm -f -- "$new.db"
	if [ "$to" = "$dir" ]; then mv -T -- "$new.made" "$new"; else mv -T -- "$new.made/member" "$new"; rm -r -- "$new.made"; fi
	own "$new" "$to" "$user" "$number"
	if [ "$to" = "$dir" ]; then chmod -- "${mode:-700}" "$new"; fi
	sync
	;;
unstage-data)
	rm -rf -- "$(target "$1").hozon-$id.new.made" "$(target "$1").hozon-$id.new.db"
	rm -rf -- "$(target "$1").hozon-$id.new"
	;;
stage-files) # the tar of the files on standard input
	rm -rf -- "$base/new"
	mkdir -- "$base/new"
	umask 022 # for folders that the archive does not know; nobody else gets below $base
	tar -xz --same-owner --same-permissions --numeric-owner --xattrs --xattrs-include='*' --selinux --acls -C "$base/new" -f -
	sync
	;;
unstage-files)
	rm -rf -- "$base/new"
	;;
swap-data)
	to=$(target "$1")
	new=$to.hozon-$id.new old=$to.hozon-$id.old
	if there "$new"; then
		if there "$to" && ! there "$old"; then mv -T -- "$to" "$old"; fi
		if there "$to"; then mv -T -- "$to" "$to.hozon-$id.between"; fi
		if [ "$to" = "$1/member" ]; then # a file system of its own, which may be new
			if ! there "$base/mount"; then
				mkdir -- "$base/mount"
				chown --reference="$1" -- "$base/mount"
			fi
			chown --reference="$new" -- "$1"
		fi
		mv -T -- "$new" "$to"
	fi
	if command -v restorecon >/dev/null; then restorecon -R "$to" || :; fi
	;;
unswap-data)
	to=$(target "$1")
	new=$to.hozon-$id.new old=$to.hozon-$id.old undone=$to.hozon-$id.undone
	if ! there "$new" && there "$to" && ! there "$undone"; then mv -T -- "$to" "$undone"; fi
	if there "$old" && ! there "$to"; then mv -T -- "$old" "$to"; fi
	if there "$base/mount"; then chown --reference="$base/mount" -- "$1"; fi
	;;
aside-data) # folder name number mode: of a member that will be added again, empty
	to=$(target "$1")
	if there "$to" && ! there "$to.hozon-$id.old"; then mv -T -- "$to" "$to.hozon-$id.old"; fi
	if [ "$to" = "$1" ] && ! there "$to"; then
		mkdir -p "$(dirname "$to")"
		mkdir -m "${4:-700}" -- "$to"
		own "$to" "$to.hozon-$id.old" "$2" "$3"
	fi
	;;
swap-files) # the list, each name ended by NUL, on standard input
	tr '\0' '\n' | while IFS= read -r f; do
		if ! there "$base/old$f" && ! there "$base/none$f"; then
			if there "$f"; then
				mkdir -p "$base/old$(dirname "$f")"
				put "$f" "$base/old$f"
			else
				mkdir -p "$base/none$(dirname "$f")"
				: >"$base/none$f"
			fi
		fi
		folders "$(dirname "$f")"
		put "$base/new$f" "$f"
	done
	;;
unswap-files)
	tr '\0' '\n' | while IFS= read -r f; do
		if there "$base/old$f"; then
			put "$base/old$f" "$f"
		elif there "$base/none$f" && there "$f"; then
			mkdir -p "$base/undone$(dirname "$f")"
			put "$f" "$base/undone$f"
			rm -f -- "$f"
		fi
	done
	;;
stop-pod) # manifest
	if there "$1"; then
		mkdir -p "$base/stopped$(dirname "$1")"
		if ! there "$base/stopped$1"; then put "$1" "$base/stopped$1"; fi
		rm -f -- "$1"
	fi
	;;
start-pod) # manifest: the saved one if there is one
	if there "$base/new$1"; then from=$base/new$1; else from=$base/stopped$1; fi
	folders "$(dirname "$1")"
	put "$from" "$1"
	;;
join-pod | join-unit) # file manifest|unit bytes: the text on standard input is what the file says as long as its etcd joins others
	if [ "$verb" = join-pod ] && [ "$1" = "$2" ]; then
		if there "$base/new$1"; then from=$base/new$1; else from=$base/stopped$1; fi
	else
		from=$1
		if ! there "$base/joined$1"; then
			mkdir -p "$base/joined$(dirname "$1")"
			put "$1" "$base/joined$1"
		fi
	fi
	tmp=$base/joins
	rm -f -- "$tmp"
	cp -a -- "$from" "$tmp"
	cat >"$tmp"
	if [ "$(wc -c <"$tmp")" != "$3" ]; then # whoever sent it is gone
		echo "$1 did not arrive whole" >&2
		exit 1
	fi
	put "$tmp" "$1"
	rm -f -- "$tmp"
	if [ "$verb" = join-unit ]; then
		systemctl daemon-reload 9>&-
		systemctl enable "$2" 9>&- || :
		systemctl start --no-block "$2" 9>&-
	elif [ "$1" != "$2" ]; then
		if there "$base/new$2"; then put "$base/new$2" "$2"; else put "$base/stopped$2" "$2"; fi
	fi
	;;
joined) # file: what it was before
	if there "$base/joined$1"; then put "$base/joined$1" "$1"; fi
	;;
unstart-pod) # manifest that start-pod has put there
	rm -f -- "$1"
	;;
resume-pod) # manifest: what stop-pod stopped
	if there "$base/stopped$1"; then put "$base/stopped$1" "$1"; fi
	;;
stop-unit)
	if systemctl is-active --quiet "$1"; then
		: >"$base/stopped/$1"
		systemctl stop "$1" 9>&-
	fi
	;;
start-unit) # etcd is ready only when the other members are: nobody waits here
	systemctl daemon-reload 9>&-
	systemctl enable "$1" 9>&- || :
	systemctl start --no-block "$1" 9>&-
	;;
unstart-unit)
	if systemctl is-active --quiet "$1"; then systemctl stop "$1" 9>&-; fi
	;;
resume-unit) # what stop-unit stopped
	systemctl daemon-reload 9>&-
	if there "$base/stopped/$1"; then systemctl start --no-block "$1" 9>&-; fi
	;;
restart-unit)
	if command -v systemctl >/dev/null && systemctl is-active --quiet "$1"; then systemctl restart --no-block "$1" 9>&-; fi
	;;
await-gone) # seconds program [words]
	end=$(($(date +%s) + $1))
	while runs "$2" "${3-}"; do
		[ "$(date +%s)" -lt "$end" ] || { echo "$2 ${3-} still runs after $1 seconds; does what should stop it (kubelet, systemd) run?" >&2; exit 1; }
		sleep 0.3
	done
	;;
room) # folder: free KiB of what would hold it, then whether it can be written to
	at=$1
	while ! [ -d "$at" ]; do at=$(dirname "$at"); done
	df -Pk -- "$at" | awk 'NR == 2 { print $4 }'
	probe=$at/.hozon-$id.probe
	mkdir -- "$probe"
	rmdir -- "$probe"
	;;
states) # of each of the names on standard input: type and mode, owner, then what it holds
	xargs -0 sh -c 'for f do
		if [ -L "$f" ]; then printf "%s\0link\0%s\0" "$f" "$(readlink -- "$f")"
		elif [ -f "$f" ]; then printf "%s\0%s\0%s\0" "$f" "$(stat -c "%a %u %g" -- "$f")" "$(sha256sum <"$f")"
		elif [ -e "$f" ]; then printf "%s\0other\0\0" "$f"
		fi
	done' sh
	;;
attributes) # of each of the names on standard input, without their slash: a tar of those that are there, in whose headers they are
	cd /
	xargs -0 sh -c 'for f do if [ -L "$f" ] || [ -f "$f" ]; then printf "%s\0" "$f"; fi; done' sh |
		tar --create --file=- --format=posix --numeric-owner --xattrs --selinux --acls --no-recursion --ignore-failed-read --null --files-from=- || [ $? -le 1 ] # 1: one has changed meanwhile
	;;
*)
	echo "no verb $verb" >&2
	exit 2
	;;
esac
