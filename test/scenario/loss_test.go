// SPDX-License-Identifier: Apache-2.0

package scenario

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// whole says whether the long form of the scenario is wanted.
func whole() bool { return os.Getenv("HOZON_SCENARIO") != "" }

// losses are ways to lose a control plane of three machines.
var losses = []struct {
	name string
	lose func(*testing.T, *world)
}{
	{"everything at once", func(t *testing.T, w *world) {
		w.Hosts[0].Sh(t, "rm -rf /var/lib/etcd/member; kill -9 $(pidof etcd)")
		w.Hosts[0].Sh(t, "setfattr -n security.selinux -v system_u:object_r:tmp_t:s0 /etc/kubernetes/pki/ca.crt; setfattr -n security.hozon -v other /etc/kubernetes/pki/ca.key")
		w.Hosts[1].Sh(t, "rm -rf /etc/kubernetes/pki; rm /etc/kubernetes/manifests/kube-apiserver.yaml")
		w.Hosts[2].Remake(t)
	}},
	{"nothing, only wrong objects", func(*testing.T, *world) {}},
	{"one member's data", func(t *testing.T, w *world) { w.Hosts[1].Sh(t, "kill -9 $(pidof etcd); rm -rf /var/lib/etcd") }},
	{"two members' data", func(t *testing.T, w *world) {
		for _, h := range w.Hosts[1:] {
			h.Sh(t, "kill -9 $(pidof etcd); rm -rf /var/lib/etcd")
		}
	}},
	{"all data", func(t *testing.T, w *world) {
		for _, h := range w.Hosts {
			h.Sh(t, "kill -9 $(pidof etcd); rm -rf /var/lib/etcd")
		}
	}},
	{"all certificates and keys", func(t *testing.T, w *world) {
		for _, h := range w.Hosts {
			h.Sh(t, "rm -rf /etc/kubernetes/pki /etc/kubernetes/enc")
		}
	}},
	{"every machine", func(t *testing.T, w *world) {
		for _, h := range w.Hosts {
			h.Remake(t)
		}
	}},
}

// TestLoss loses a control plane of three machines in the worst way, and brings it back: every object is as it was, nothing newer is to be seen, an informer that
// runs all the time notices, tokens and Secrets work, files have their owners, and nothing secret was on a disk in between. With HOZON_SCENARIO=1 it loses it in
// every way, one after the other.
func TestLoss(t *testing.T) {
	t.Parallel()
	c := Start(t, Setup{Hosts: 3})
	w := newWorld(t, c)
	for _, h := range w.Hosts {
		h.Sh(t, "chown 123:456 /etc/kubernetes/pki/sa.key; chmod 640 /etc/kubernetes/pki/sa.key; ln -s sa.key /etc/kubernetes/pki/sa.link")
		h.Sh(t, "setfattr -n security.selinux -v 0s$(printf 'system_u:object_r:cert_t:s0\\0' | base64) /etc/kubernetes/pki/ca.crt; setfattr -n security.hozon -v saved /etc/kubernetes/pki/ca.key")
	}
	const look = "stat -c '%a %u:%g' /etc/kubernetes/pki/sa.key /var/lib/etcd; readlink /etc/kubernetes/pki/sa.link; " +
		"getfattr --absolute-names --only-values -n security.selinux /etc/kubernetes/pki/ca.crt | tr -d '\\0'; getfattr --absolute-names --only-values -n security.hozon /etc/kubernetes/pki/ca.key"
	want := c.Hosts[0].Sh(t, look)
	if !strings.HasPrefix(want, "640 123:456\n700 ") || !strings.HasSuffix(want, "sa.key\nsystem_u:object_r:cert_t:s0saved") {
		t.Fatalf("%q", want)
	}
	s := NewStation(t, c)
	w.note(t)
	stop := w.watchDisks(t, s)
	archive := s.Backup(t, "prod.tar.gz.age")
	stop()
	all := losses
	if !whole() {
		all = losses[:1]
	}
	for _, l := range all {
		t.Run(l.name, func(t *testing.T) {
			for _, h := range c.Hosts {
				c.AwaitHost(t, h)
			}
			w.change(t)
			l.lose(t, w)
			if out := s.Must(t, s.restore("--backup-file", archive, "--dry-run")...); !strings.Contains(out, "etcdutl snapshot restore") {
				t.Errorf("the run-book:\n%s", out)
			}
			stop := w.watchDisks(t, s)
			out := s.Must(t, s.restore("--backup-file", archive)...)
			stop()
			t.Log(out)
			w.verify(t)
			for _, h := range w.Hosts {
				if got := h.Sh(t, look); got != want {
					t.Errorf("%s: %q, was %q", h.Spec.Name, got, want)
				}
			}
			s.kubectl(t)
			s.nothingInMemory(t)
		})
	}
}

// kubectl uses the kubeconfig that the restore has written.
func (s *Station) kubectl(t *testing.T) {
	t.Helper()
	config := filepath.Join(s.Dir, "hozon-workspace/prod/prod-kubeconfig")
	info, err := os.Stat(config)
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Fatalf("the new kubeconfig: %v", err)
	}
	out, err := s.cluster.Command(t.Context(), s.cluster.kube, "kubectl", "--kubeconfig", config, "get", "configmap", "-n", "shop", "settings-2", "-o", "jsonpath={.data.colour}").CombinedOutput()
	if err != nil || string(out) != "blue" {
		t.Errorf("kubectl with the new kubeconfig: %v\n%s", err, out)
	}
}
