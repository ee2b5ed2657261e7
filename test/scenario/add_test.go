// SPDX-License-Identifier: Apache-2.0

package scenario

import (
	"strings"
	"syscall"
	"testing"

	"hozon.dev/hozon/internal/dr"
)

// TestAddMembers restores one machine's etcd, which the others join; one of them had lost everything, the run is killed while members are added, and goes on. With
// HOZON_SCENARIO=1 there are three machines, also with etcd under systemd and as OpenShift 3.11 lays it out; else two.
func TestAddMembers(t *testing.T) {
	t.Parallel()
	n, setups := 2, map[string]Setup{"kubeadm": {}}
	if whole() {
		n, setups = 3, map[string]Setup{"kubeadm": {}, "systemd": {Units: true}, dr.LayoutOpenShift3: {Layout: dr.LayoutOpenShift3}}
	}
	for name, setup := range setups {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			setup.Hosts = n
			c := Start(t, setup)
			w := newWorld(t, c)
			s := NewStation(t, c)
			at := c.places()
			const before = "cat /etc/kubernetes/manifests/etcd.yaml /etc/etcd/etcd.conf /etc/origin/node/pods/etcd.yaml 2>/dev/null | sha256sum"
			settings := c.Hosts[0].Sh(t, before)
			w.note(t)
			archive := s.Backup(t, "prod.tar.gz.age")
			w.change(t)
			if !setup.Units { // whose user and service would have to be set up first
				c.Hosts[0].Remake(t)
			}
			args := s.restore("--backup-file", archive, "--members", "cp-2,cp-1,cp-3", "--add-members")
			if n == 2 {
				args = s.restore("--backup-file", archive, "--members", "cp-2,cp-1", "--add-members")
			}
			if out := s.Must(t, append(args, "--dry-run")...); !strings.Contains(out, "add       etcd member cp-1") || !strings.Contains(out, "etcdctl member add cp-1 --learner") {
				t.Errorf("%s", out)
			}
			if done, said := s.interruptWhen(t, syscall.SIGKILL, s.reached("start etcd, which joins cp-2"), args...); done {
				t.Fatalf("it was not killed:\n%s", said)
			}
			s.Must(t, s.restore("--resume")...)
			w.verify(t)
			if got := c.Hosts[0].Sh(t, before); got != settings {
				t.Error("etcd has not got its own settings again")
			}
			for _, h := range c.Hosts {
				list, err := c.etcd(t, h).MemberList(t.Context())
				check(t, err)
				if len(list.Members) != n {
					t.Errorf("%d members", len(list.Members))
				}
				for _, m := range list.Members {
					if m.IsLearner || m.Name == "" {
						t.Errorf("%+v", m)
					}
				}
				h.Sh(t, "test -d "+at.data+"/member")
			}
			s.Must(t, s.restore("--rollback")...)
			for _, h := range c.Hosts[1:] {
				h.Sh(t, "test -d "+at.data+"/member && ! test -e "+at.data+".hozon-*.old")
			}
		})
	}
}
