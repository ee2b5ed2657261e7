// SPDX-License-Identifier: Apache-2.0

package controlplane

import (
	"encoding/json"
	"strings"
	"testing"

	"hozon.dev/hozon/internal/cli/env"
	"hozon.dev/hozon/internal/dr"
	"hozon.dev/hozon/internal/host"
	"hozon.dev/hozon/internal/host/hosttest"
)

// checked runs the command and returns its findings by machine and question.
func checked(t *testing.T, want int, hosts ...host.Spec) map[string]dr.Finding {
	t.Helper()
	out, talk, code := hozon(t, "check", "cluster", "-c", "prod", "--inventory", inventory(t, hosts...), "-o", "json")
	if code != want {
		t.Errorf("exit code %d, want %d\n%s%s", code, want, out, talk)
	}
	var r struct{ Findings []dr.Finding }
	if err := json.Unmarshal([]byte(out), &r); err != nil {
		t.Fatalf("%v\n%s%s", err, out, talk)
	}
	by := map[string]dr.Finding{}
	for _, f := range r.Findings {
		by[strings.TrimSpace(f.Host+" "+f.Check)] = f
	}
	return by
}

// TestCheckCluster asks a cluster that is well, then breaks one thing after the other.
func TestCheckCluster(t *testing.T) {
	t.Parallel()
	node := Start(t, "cp-1")
	node.Kubectl(t, "create secret generic key --from-literal=k=v")
	all := checked(t, env.ExitOK, node.Spec)
	for _, check := range []string{"cp-1 reachable", "cp-1 tar", "cp-1 clock", "cp-1 layout", "cp-1 certificates", "cp-1 etcd answers", "cp-1 encryption keys", "etcd members", "etcd agrees", "etcd healthy"} {
		if all[check].Level != dr.OK {
			t.Errorf("%s: %+v", check, all[check])
		}
	}
	if all["cp-1 layout"].Text != dr.LayoutKubeadm {
		t.Errorf("layout: %+v", all["cp-1 layout"])
	}
	if out := must(t, "check", "cluster", "-c", "prod", "--inventory", inventory(t, node.Spec)); !strings.Contains(out, "HOST") || !strings.Contains(out, "encryption keys") {
		t.Errorf("%s", out)
	}
	away := node.Spec
	away.Name, away.Port = "away", 1
	worker := hosttest.Start(t, "worker-1")
	all = checked(t, env.ExitFailed, node.Spec, worker.Spec, away)
	if all["away reachable"].Level != dr.Failed || all["worker-1 layout"].Text != dr.LayoutNone || all["cp-1 etcd answers"].Level != dr.OK {
		t.Errorf("%+v", all)
	}
	node.Sh(t, "sed -i 's/secret: \"..../secret: \"AAAA/' /srv/keys/encryption.yaml; echo nothing >/etc/kubernetes/pki/apiserver.crt")
	all = checked(t, env.ExitFailed, node.Spec)
	if f := all["cp-1 encryption keys"]; f.Level != dr.Failed || !strings.Contains(f.Text, "not the one") {
		t.Errorf("other keys: %+v", f)
	}
	if f := all["cp-1 certificates"]; f.Level != dr.Failed || !strings.Contains(f.Text, "apiserver.crt") {
		t.Errorf("a file without certificate: %+v", f)
	}
	node.Sh(t, "kill -9 $(pidof etcd)")
	all = checked(t, env.ExitFailed, node.Spec)
	if f := all["etcd"]; f.Level != dr.Failed {
		t.Errorf("without etcd: %+v", all)
	}
}
