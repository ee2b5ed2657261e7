// SPDX-License-Identifier: Apache-2.0

package hosttest

import (
	"strings"
	"testing"
)

// TestSite has two hosts that use the same port, see each other and not the machine, and one that is thrown away and made anew.
func TestSite(t *testing.T) {
	s := NewSite(t)
	a, b := s.Start(t, "a", 11, "echo began >/run/first"), s.Start(t, "b", 12, "")
	for _, h := range []*Host{a, b} {
		h.Sh(t, "echo "+h.Spec.Name+" >/root/own; ssh-keyscan -T 5 -p 22 10.77.0.11 10.77.0.12 2>/dev/null | grep -c ed25519 | grep -qx 2")
	}
	if got := a.Sh(t, "hostname; cat /root/own /run/first"); got != "a\na\nbegan\n" {
		t.Errorf("%q", got)
	}
	out, err := s.Command(t.Context(), "ssh", "-i", b.Spec.Key, "-o", "UserKnownHostsFile="+b.Spec.KnownHosts, "root@10.77.0.12", "cat /root/own").CombinedOutput()
	if err != nil || string(out) != "b\n" {
		t.Errorf("%v, %s", err, out)
	}
	if out, err := a.Disk(t.Context(), "cat", "root/own").CombinedOutput(); err != nil || string(out) != "a\n" {
		t.Errorf("%v, %s", err, out)
	}
	a.Remake(t)
	if got := a.Sh(t, "hostname; ls /root"); !strings.HasPrefix(got, "a\n") || strings.Contains(got, "own") {
		t.Errorf("%q", got)
	}
}
