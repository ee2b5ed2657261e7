// SPDX-License-Identifier: Apache-2.0

package controlplane

import (
	"bytes"
	"context"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"filippo.io/age"

	"hozon.dev/hozon/internal/cli/env"
	"hozon.dev/hozon/internal/dr/hostset"
	"hozon.dev/hozon/internal/host/hosttest"
)

// layOut writes every file of a list, each with an owner and mode of its own, some with an extended attribute or a SELinux context.
func layOut(t *testing.T, h *hosttest.Host, list string) {
	t.Helper()
	h.Sh(t, `cd /; n=0
		while read -r f; do n=$((n+1)); mkdir -p "$(dirname "$f")"; printf '%s of %s: `+marker+`\n' "$f" "$(hostname)" >"$f"
			chown $((1000+n)):$((2000+n)) "$f"; chmod 0$((4+n%3))$((n%8))0 "$f"
			if [ $((n%5)) = 0 ]; then setfattr -n user.number -v $n "$f"; fi
			if [ $((n%3)) = 0 ]; then setfattr -n security.selinux -v "0s$(printf 'system_u:object_r:etc_t:s%d\0' $n | base64)" "$f"; fi
		done <<'END'
`+list+`
END
		chmod 0711 etc/origin; chown 7:8 etc/origin; ln -s ../../etc/origin/node/node-config.yaml etc/sysconfig/link; ln etc/dnsmasq.conf etc/dnsmasq.d/hard`)
}

// look is everything about the files of a list, as the host itself says it.
func look(t *testing.T, h *hosttest.Host, list string) string {
	t.Helper()
	return h.Sh(t, `cd /; while read -r f; do stat -c '%A %u:%g %s %F %n' "$f"; sha256sum "$f"; getfattr --dump --match=- --absolute-names "$f" | grep -v '^#' ||:; done <<'END'
`+list+`
END
		stat -c '%A %u:%g %n %N' etc/origin etc/sysconfig/link; stat -c '%h' etc/dnsmasq.d/hard`)
}

func list(t *testing.T, name string) string {
	t.Helper()
	text := strings.TrimSpace(string(read(t, "testdata/"+name)))
	var files []string
	for f := range strings.Lines(text) {
		if f = strings.TrimSpace(f); f != "packages.txt" {
			files = append(files, f)
		}
	}
	return strings.Join(files, "\n")
}

// TestHostProfiles lays out every file of OpenShift's lists for masters and nodes, saves the hosts, destroys them, and brings all of it back.
func TestHostProfiles(t *testing.T) {
	t.Parallel()
	master, node, spare := hosttest.Start(t, "master-0"), hosttest.Start(t, "app-node-0"), hosttest.Start(t, "master-3")
	ofMaster, ofNode := list(t, "openshift-master.txt"), list(t, "openshift-node.txt")
	layOut(t, master, ofMaster)
	layOut(t, node, ofNode)
	before, beforeNode := look(t, master, ofMaster), look(t, node, ofNode)
	// The tar of RHEL 7, which OpenShift 3.11 runs on, lacks what came after its version, 1.26.
	WriteFile(t, master, "/usr/local/bin/tar", `#!/bin/sh
for a do case $a in --sort*|--verbatim-files-from) echo "tar: unrecognized option '$a'" >&2; exit 64 ;; --) break ;; esac; done
exec /usr/bin/tar "$@"
`, "0755")
	operator := node.Spec // by way of sudo
	operator.User, operator.Sudo = "operator-1", true
	hosts := inventory(t, master.Spec, operator)
	key, identity := newKey(t)
	store := t.TempDir()
	with := []string{"--inventory", hosts, "--store", store, "--identity", identity}
	run := func(args ...string) []string { return append(append([]string{"host"}, args...), with...) }

	notes := file(t, "notes.txt", "Monitoring was installed by hand.\n")
	out := must(t, "host", "backup", "before-upgrade", "--inventory", hosts, "--store", store, "--recipient", key.Recipient().String(), "--notes", notes, "-o", "json")
	var r hostset.Record
	decodeJSON(t, out, &r)
	if len(r.Hosts) != 2 || r.Hosts[0].Profiles[1] != "etcd" || r.Hosts[0].Packages < 10 || !r.Sealed || r.Failed() != 0 {
		t.Errorf("%s", out)
	}
	noMarker(t, store)
	if out := must(t, "host", "get", "--store", store); !strings.Contains(out, "before-upgrade") || !strings.Contains(out, "master-0,app-node-0") {
		t.Errorf("%s", out)
	}
	if out := must(t, run("diff", "before-upgrade")...); !strings.Contains(out, "0 differ, 0 differences of packages") {
		t.Errorf("%s", out)
	}

	master.Sh(t, `rm -rf /etc/origin/master /etc/etcd; chmod 0777 /etc/dnsmasq.conf; chown 0:0 /etc/origin; echo other >/etc/sysconfig/iptables
		rm -r /etc/docker; echo file >/etc/docker; rm /etc/cni/net.d/*; mkdir /etc/cni/net.d/80-openshift-network.conf; echo x >/etc/cni/net.d/80-openshift-network.conf/y
		echo new >/etc/sysconfig/new; sed -i '/^Package: sudo$/,/^$/s/^Version: .*/Version: 99/' /var/lib/dpkg/status
		setfattr -n security.selinux -v system_u:object_r:tmp_t:s0 /etc/pki/ca-trust/source/anchors/registry-ca.crt`)
	out, talk, code := hozon(t, run("diff", "before-upgrade", "-o", "json")...)
	var ds []hostset.Difference
	decodeJSON(t, out, &ds)
	changes := map[string]string{}
	for _, c := range append(ds[0].Files, ds[0].Packages...) {
		changes[c.Path] = c.What + " " + strings.Join(c.Parts, ",")
	}
	for path, want := range map[string]string{
		"/etc/origin/master/ca.serial.txt": "removed ", "/etc/etcd/ca/ca.key": "removed ", "/etc/sysconfig/new": "added ", "/etc/sysconfig/iptables": "changed content",
		"/etc/origin": "changed owner", "/etc/dnsmasq.conf": "changed mode", "/etc/docker": "changed type", "sudo 99": "added ",
		"/etc/pki/ca-trust/source/anchors/registry-ca.crt": "changed context",
	} {
		if changes[path] != want {
			t.Errorf("%s: %q, want %q", path, changes[path], want)
		}
	}
	if code != 1 || !ds[1].Equal() || strings.Contains(out+talk, marker) {
		t.Errorf("exit code %d: %s%s", code, out, talk)
	}

	destroyed := look(t, master, "etc/sysconfig/iptables")
	if out := must(t, run("restore", "before-upgrade", "--dry-run")...); !strings.Contains(out, `+ "/etc/origin/master/ca.serial.txt"`) || !strings.Contains(out, `~ "/etc/dnsmasq.conf" (mode)`) {
		t.Errorf("%s", out)
	}
	if look(t, master, "etc/sysconfig/iptables") != destroyed {
		t.Error("a dry run has changed something")
	}
	out = must(t, run("restore", "before-upgrade", "--yes")...)
	for _, want := range []string{`stays: "/etc/sysconfig/new"`, "package sudo 99: not there when it was saved", "master-restart api", "Monitoring was installed by hand."} {
		if !strings.Contains(out, want) {
			t.Errorf("%q is not said: %s", want, out)
		}
	}
	if after := look(t, master, ofMaster); after != before {
		t.Errorf("the master is not as it was:\n%s\nwas\n%s", after, before)
	}
	if after := look(t, node, ofNode); after != beforeNode {
		t.Error("the node is not as it was")
	}
	kept := master.Sh(t, `cd /var/lib/hozon/replaced/*/old; cat etc/sysconfig/iptables etc/docker etc/cni/net.d/80-openshift-network.conf/y; stat -c %a etc/dnsmasq.conf . ..; ls ..`)
	if kept != "other\nfile\nx\n777\n700\n700\nold\n" {
		t.Errorf("kept: %s", kept)
	}
	if out := must(t, run("restore", "before-upgrade", "--yes")...); !strings.Contains(out, "0 was created, 0 was replaced") {
		t.Errorf("a second time: %s", out)
	}

	hosts = inventory(t, master.Spec, spare.Spec)
	must(t, "host", "restore", "before-upgrade", "--from", "master-0", "--to", "master-3", "--yes", "--inventory", hosts, "--store", store, "--identity", identity)
	if after := look(t, spare, ofMaster); after != before {
		t.Error("another host did not get all of it")
	}
}

func decodeJSON(t *testing.T, text string, into any) {
	t.Helper()
	if err := json.Unmarshal([]byte(text), into); err != nil {
		t.Fatalf("%v\n%s", err, text)
	}
}

func newKey(t *testing.T) (*age.X25519Identity, string) {
	t.Helper()
	key, err := age.GenerateX25519Identity()
	if err != nil {
		t.Fatal(err)
	}
	return key, file(t, "key.txt", key.String())
}

// watch looks for the marker again and again, in the working folder, in a folder for temporary files and in others, until stop is called.
func watch(t *testing.T, dirs ...string) (stop func()) {
	t.Helper()
	temporary := t.TempDir()
	t.Setenv("TMPDIR", temporary)
	here, err := os.Getwd()
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan map[string]bool)
	go func() {
		found := map[string]bool{}
		for again := true; again; {
			again = ctx.Err() == nil
			for _, dir := range append(dirs, here, temporary) {
				_ = filepath.WalkDir(dir, func(name string, d os.DirEntry, err error) error {
					if text, _ := os.ReadFile(name); err == nil && d.Type().IsRegular() && bytes.Contains(text, []byte(marker)) {
						found[name] = true
					}
					return nil // it may be gone again
				})
			}
			select {
			case <-ctx.Done():
			case <-time.After(50 * time.Millisecond):
			}
		}
		done <- found
	}()
	return func() {
		t.Helper()
		cancel()
		for name := range <-done {
			t.Errorf("%s held a secret in the clear", name)
		}
	}
}

// noMarker looks for the marker in everything below a folder.
func noMarker(t *testing.T, dir string) {
	t.Helper()
	err := filepath.WalkDir(dir, func(name string, d os.DirEntry, err error) error {
		if err == nil && !d.IsDir() && strings.Contains(string(read(t, name)), marker) {
			t.Errorf("%s holds a secret in the clear", name)
		}
		return err
	})
	if err != nil {
		t.Error(err)
	}
}

// TestHostTrouble are machines that cannot be saved or brought back.
func TestHostTrouble(t *testing.T) {
	t.Parallel()
	h := hosttest.Start(t, "worker-1")
	WriteFile(t, h, "/etc/app/conf", "a", "0600")
	own := file(t, "own.yaml", "name: app\nabout: mine\nlooks: [/etc/app]\nfiles: [{path: /etc/app}]\n")
	away := h.Spec
	away.Name, away.Port = "away", 1
	store := t.TempDir()
	both := inventory(t, h.Spec, away)
	out, talk, code := hozon(t, "host", "backup", "a", "--inventory", both, "--store", store, "--profile-file", own)
	if code != env.ExitPartial || !strings.Contains(talk, "Host away was NOT saved") || !strings.Contains(talk, "not encrypted") {
		t.Errorf("exit code %d: %s%s", code, out, talk)
	}
	one := inventory(t, h.Spec)
	nobody := h.Spec
	nobody.User = "nobody-1"
	for name, c := range map[string]struct {
		args []string
		want string
		code int
	}{
		"exists":           {[]string{"backup", "a", "--inventory", one, "--profile-file", own}, "give another name", env.ExitFailed},
		"no profile fits":  {[]string{"backup", "b", "--inventory", one, "--profile", "k3s"}, "none of the files of k3s", env.ExitFailed},
		"unknown profile":  {[]string{"backup", "b", "--inventory", one, "--profile", "x"}, "no profile", env.ExitFailed},
		"away":             {[]string{"backup", "b", "--inventory", inventory(t, away)}, "none of the 1 hosts", env.ExitFailed},
		"may not read":     {[]string{"backup", "b", "--inventory", inventory(t, nobody), "--profile-file", own}, "Permission denied", env.ExitFailed},
		"no such backup":   {[]string{"restore", "b", "--inventory", one}, "there is none", env.ExitFailed},
		"not in inventory": {[]string{"restore", "a", "--inventory", inventory(t, away)}, "has none of the machines", env.ExitUsage},
		"not saved":        {[]string{"restore", "a", "--inventory", both, "--host", "away"}, "nothing of host away", env.ExitFailed},
		"half a pair":      {[]string{"restore", "a", "--inventory", one, "--from", "a"}, "both", env.ExitUsage},
		"bad profile":      {[]string{"profiles", "--profile-file", file(t, "bad.yaml", "name: x\nfiles: [{path: etc}]")}, "absolute", env.ExitUsage},
	} {
		out, talk, code := hozon(t, append(append([]string{"host"}, c.args...), "--store", store)...)
		if code != c.code || !strings.Contains(out+talk, c.want) {
			t.Errorf("%s: exit code %d, want %d with %q\n%s%s", name, code, c.code, c.want, out, talk)
		}
	}
	if files, err := filepath.Glob(store + "/metadata/hozon/hosts/*"); err != nil || len(files) != 1 {
		t.Errorf("left behind: %v %v", files, err)
	}
	if out := must(t, "host", "profiles", "k3s"); !strings.Contains(out, "/var/lib/rancher/k3s/server/token") {
		t.Errorf("%s", out)
	}

	// A disk that is full: nothing has changed.
	h.Sh(t, "echo b >/etc/app/conf; mkdir -p /var/lib/hozon; mount -t tmpfs -o size=8k tmpfs /var/lib/hozon")
	h.Sh(t, "dd if=/dev/zero of=/var/lib/hozon/full bs=1k count=9 2>/dev/null ||:")
	out, talk, code = hozon(t, "host", "restore", "a", "--inventory", one, "--store", store, "--yes", "-o", "json")
	if code != env.ExitFailed || !strings.Contains(out+talk, "No space left") || !strings.Contains(out, "nothing was changed") || h.Sh(t, "cat /etc/app/conf; find /var/lib/hozon -type f") != "b\n/var/lib/hozon/full\n" {
		t.Errorf("a full disk: exit code %d: %s%s%s", code, out, talk, h.Sh(t, "cat /etc/app/conf; find /var/lib/hozon"))
	}
	damage(t, store+"/metadata/hozon/hosts/a/worker-1.tar.gz")
	if out, talk, code := hozon(t, "host", "restore", "a", "--inventory", one, "--store", store, "--yes"); code != env.ExitFailed || h.Sh(t, "cat /etc/app/conf") != "b\n" {
		t.Errorf("a damaged archive: exit code %d: %s%s", code, out, talk)
	}
}

func damage(t *testing.T, name string) {
	t.Helper()
	b := read(t, name)
	b[len(b)/3] ^= 1
	if err := os.WriteFile(name, b, 0o600); err != nil {
		t.Fatal(err)
	}
}
