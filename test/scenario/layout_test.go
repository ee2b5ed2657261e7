// SPDX-License-Identifier: Apache-2.0

package scenario

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"hozon.dev/hozon/internal/dr"
	"hozon.dev/hozon/internal/host/hosttest"
	"hozon.dev/hozon/test/daemon"
)

// layouts are those besides kubeadm's whose restore is carried out.
var layouts = []string{dr.LayoutK3s, dr.LayoutOpenShift3}

// TestLayouts loses control planes that are laid out as k3s and OpenShift 3.11 are, and brings them back, with every file of OpenShift's lists and of k3s' profile. With
// HOZON_SCENARIO=1 there are three machines: one loses etcd's data, one its certificates, one everything.
func TestLayouts(t *testing.T) {
	t.Parallel()
	n := 1
	if whole() {
		n = 3
	}
	for _, layout := range layouts {
		t.Run(layout, func(t *testing.T) {
			t.Parallel()
			c := Start(t, Setup{Hosts: n, Layout: layout})
			w := newWorld(t, c)
			s := NewStation(t, c)
			var before []string
			for _, h := range c.Hosts {
				c.own(t, h)
				before = append(before, c.look(t, h))
			}
			if files := strings.Count(before[0], "\n"); files < 30 {
				t.Fatalf("only %d files:\n%s", files, before[0])
			}
			w.note(t)
			archive := s.Backup(t, "prod.tar.gz.age")
			w.change(t)
			lost := c.Hosts[n-1]
			lost.Remake(t)
			c.prepare(t, lost)
			if n == 3 {
				c.Hosts[0].Sh(t, "kill -9 $(pidof etcd) $(pgrep -f '^kube etcd') || :; rm -rf "+c.places().data+"/member")
				c.Hosts[1].Sh(t, "rm -rf /etc/etcd/*.crt /etc/origin/master "+k3s+"tls "+k3s+"cred")
			}
			if out := s.Must(t, s.restore("--backup-file", archive, "--dry-run")...); !strings.Contains(out, "etcdutl snapshot restore") {
				t.Errorf("the run-book:\n%s", out)
			}
			stop := w.watchDisks(t, s)
			out := s.Must(t, s.restore("--backup-file", archive)...)
			stop()
			t.Log(out)
			w.verify(t)
			for i, h := range c.Hosts {
				if got := c.look(t, h); got != before[i] {
					t.Errorf("%s: files are\n%s\nwere\n%s", h.Spec.Name, got, before[i])
				}
			}
			s.kubectl(t)
			if layout == dr.LayoutK3s && !strings.Contains(out, "restart k3s-agent") {
				t.Errorf("nothing is said of agents:\n%s", out)
			}
		})
	}
}

// prepare installs on a machine that was set up anew what its program comes with.
func (c *Cluster) prepare(t *testing.T, h *hosttest.Host) {
	t.Helper()
	if c.setup.Layout == dr.LayoutK3s {
		c.write(t, h, map[string]string{"/etc/systemd/system/k3s.service": "[Service]\nExecStart=/usr/local/bin/k3s server\n"})
	}
}

// own makes every file of the lists, where it is not there yet, and gives each an owner and mode of its own.
func (c *Cluster) own(t *testing.T, h *hosttest.Host) {
	t.Helper()
	h.Sh(t, `n=0; for f in `+c.list(t)+`; do n=$((n+1)); mkdir -p "$(dirname "$f")"; [ -e "$f" ] || echo "$f of $(hostname)" >"$f"
		chown $((1000+n)):$((2000+n)) "$f"; chmod 0$((4+n%3))$((n%8))0 "$f"; done`)
}

// look is everything about the files of the lists.
func (c *Cluster) look(t *testing.T, h *hosttest.Host) string {
	t.Helper()
	return h.Sh(t, `for f in `+c.list(t)+`; do stat -c '%A %u:%g %n' "$f"; sha256sum <"$f"; done 2>&1`)
}

// list is a shell's list of the files that have to come back.
func (c *Cluster) list(t *testing.T) string {
	t.Helper()
	if c.setup.Layout == dr.LayoutK3s {
		return `$(find /etc/rancher /var/lib/rancher/k3s/agent/etc /etc/systemd/system/k3s.service* ` + k3s + ` -name 'member*' -prune -o -type f -print | sort)`
	}
	root, err := daemon.Root()
	check(t, err)
	text, err := os.ReadFile(filepath.Join(root, "test/controlplane/testdata/openshift-master.txt"))
	check(t, err)
	var files []string
	for f := range strings.Lines(string(text)) {
		if f = strings.TrimSpace(f); f != "" && f != "packages.txt" {
			files = append(files, "/"+f)
		}
	}
	return strings.Join(files, " ") + " /etc/etcd/etcd.conf /etc/origin/node/pods/etcd.yaml /etc/origin/node/pods/apiserver.yaml"
}
