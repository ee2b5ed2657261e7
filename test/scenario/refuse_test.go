// SPDX-License-Identifier: Apache-2.0

package scenario

import (
	"context"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"filippo.io/age"

	"hozon.dev/hozon/internal/dr"
	"hozon.dev/hozon/internal/host/hosttest"
	"hozon.dev/hozon/internal/seal"
)

// TestRefuse is what a restore does not begin with: it says why and what to do, and the cluster has not noticed anything.
func TestRefuse(t *testing.T) {
	t.Parallel()
	c := Start(t, Setup{Hosts: 1})
	w := newWorld(t, c)
	s := NewStation(t, c)
	w.note(t)
	archive := s.Backup(t, "prod.tar.gz.age")
	h := c.Hosts[0]
	text, err := os.ReadFile(filepath.Join(s.Dir, archive))
	check(t, err)
	put := func(name string, b []byte) { check(t, os.WriteFile(filepath.Join(s.Dir, name), b, 0o600)) }
	put("cut.age", text[:len(text)/2])
	flipped := append([]byte{}, text...)
	flipped[len(flipped)/2] ^= 1
	put("flipped.age", flipped)
	inventory, err := os.ReadFile(s.inventory)
	check(t, err)
	known, err := os.ReadFile(h.Spec.KnownHosts)
	check(t, err)
	other, err := os.ReadFile(filepath.Join(h.Dir, "authorized_keys"))
	check(t, err)
	changed := filepath.Join(t.TempDir(), "known_hosts")
	check(t, os.WriteFile(changed, []byte(strings.Fields(string(known))[0]+" "+string(other)), 0o600))
	for _, r := range []struct {
		name, want string
		prepare    string // on the host
		repair     string
		args       []string
		inventory  string
		within     []string // a program that runs hozon
	}{
		{name: "cut off", args: []string{"--backup-file", "cut.age"}, want: "cut.age"},
		{name: "a flipped bit", args: []string{"--backup-file", "flipped.age"}, want: "flipped.age"},
		{name: "no archive", args: []string{"--backup-file", "hosts.yaml"}, want: "hosts.yaml"},
		{name: "another cluster's name", args: []string{"-c", "staging"}, want: "of cluster prod, not of staging"},
		{name: "another machine's authority", prepare: "cp -a /etc/kubernetes/pki/ca.crt /root/; cat /etc/kubernetes/pki/etcd/ca.crt >/etc/kubernetes/pki/ca.crt",
			repair: "cp -a /root/ca.crt /etc/kubernetes/pki/ca.crt", want: "is of another cluster"},
		{name: "a machine that is away", inventory: strings.ReplaceAll(string(inventory), "10.77.0.11", "10.77.0.99"), want: "is the machine up"},
		{name: "a machine with another key", inventory: strings.ReplaceAll(string(inventory), h.Spec.KnownHosts, changed), want: "CHANGED"},
		{name: "a machine that is not in the inventory", inventory: strings.ReplaceAll(string(inventory), "cp-1", "cp-9"), want: "not in the inventory: cp-1"},
		{name: "no such machine", args: []string{"--members", "cp-7"}, want: "no control-plane machine cp-7"},
		{name: "no room", prepare: "mkdir -p /var/lib/hozon-restore; mount -t tmpfs -o size=1m tmpfs /var/lib/hozon-restore", repair: "umount /var/lib/hozon-restore", want: "make room there"},
		{name: "not writable", prepare: "mkdir -p /var/lib/hozon-restore; mount -t tmpfs -o ro tmpfs /var/lib/hozon-restore", repair: "umount /var/lib/hozon-restore", want: "Read-only file system"},
		{name: "not enough memory", within: []string{"unshare", "--mount", "sh", "-c", `mount -t tmpfs -o size=64m tmpfs /dev/shm && exec "$@"`, "sh"}, want: "are left: make room, or with --use-disk"},
	} {
		t.Run(r.name, func(t *testing.T) {
			if r.prepare != "" {
				h.Sh(t, r.prepare)
				defer h.Sh(t, r.repair)
			}
			args := s.restore(append([]string{"--backup-file", archive}, r.args...)...)
			if r.inventory != "" {
				file := filepath.Join(t.TempDir(), "hosts.yaml")
				check(t, os.WriteFile(file, []byte(r.inventory), 0o600))
				args = append(args, "--inventory", file)
			}
			cmd := s.Command(t.Context(), args...)
			if len(r.within) > 0 { // behind nsenter and its arguments
				i := slices.Index(cmd.Args, s.program)
				cmd.Args = slices.Insert(cmd.Args, i, r.within...)
			}
			said, err := cmd.CombinedOutput()
			out := string(said)
			if err == nil || !strings.Contains(out, r.want) {
				t.Errorf("%v, want %q in\n%s", err, r.want, out)
			}
			if left, _ := filepath.Glob(filepath.Join(s.Dir, "hozon-workspace/*_restore_*")); len(left) > 0 {
				t.Errorf("something was begun: %v", left)
			}
		})
	}
	t.Run("not confirmed", func(t *testing.T) {
		cmd := s.Command(t.Context(), "restore", "cluster", "-c", "prod", "--inventory", s.inventory, "--backup-file", archive)
		cmd.Stdin = strings.NewReader("yes\n")
		out, err := cmd.CombinedOutput()
		if err == nil || !strings.Contains(string(out), "was not confirmed") || !strings.Contains(string(out), "Type prod") {
			t.Errorf("%v\n%s", err, out)
		}
	})
	h.Sh(t, "[ ! -e /var/lib/hozon-restore ] || { find /var/lib/hozon-restore; exit 1; }")
	t.Run("too old", func(t *testing.T) { s.tooOld(t, archive) })
	t.Run("the disk fills up while data arrives", func(t *testing.T) { s.fills(t, h, archive) })
	w.verify(t)
}

// tooOld opens an archive in two years: nobody can wait for that from outside.
func (s *Station) tooOld(t *testing.T, archive string) {
	f, err := os.Open(filepath.Join(s.Dir, archive))
	check(t, err)
	defer f.Close()
	info, err := f.Stat()
	check(t, err)
	text, err := os.ReadFile(s.identity)
	check(t, err)
	key, err := age.ParseX25519Identity(string(text))
	check(t, err)
	opened, err := seal.Open(f, info.Size(), seal.Identities{key})
	check(t, err)
	a, err := dr.Load(context.Background(), archive, opened, opened.Size)
	check(t, err)
	for _, c := range []struct {
		insist []string
		level  dr.Level
	}{{nil, dr.Failed}, {[]string{dr.InsistExpired}, dr.Warning}} {
		r := &dr.Restorer{Cluster: "prod", Archive: a, Insist: c.insist, Now: func() time.Time { return time.Now().AddDate(2, 0, 0) }}
		_, found, err := r.Prepare(t.Context(), nil)
		if err == nil || len(found) == 0 || found[0].Level != c.level || !strings.Contains(found[0].Text, "expired on") {
			t.Errorf("%v, %+v", err, found)
		}
	}
}

// fills lets a machine run out of places for files, which df does not show, while data is brought to it: the cluster runs on, and the restore goes on when there is room.
func (s *Station) fills(t *testing.T, h *hosttest.Host, archive string) {
	h.Sh(t, "mkdir -p /var/lib/hozon-restore; mount -t tmpfs -o size=1g,nr_inodes=12 tmpfs /var/lib/hozon-restore; chown 9:9 /etc/kubernetes/pki/*")
	out, err := s.Try(t, s.restore("--backup-file", archive)...)
	if err == nil || !strings.Contains(out, "No space left on device") || !strings.Contains(out, "host cp-1") || !strings.Contains(out, "--resume") {
		t.Fatalf("%v\n%s", err, out)
	}
	h.Sh(t, "pidof etcd kube-apiserver")
	s.Must(t, s.restore("--rollback")...)
	h.Sh(t, "pidof etcd kube-apiserver; umount /var/lib/hozon-restore; chown 0:0 /etc/kubernetes/pki/*")
}
