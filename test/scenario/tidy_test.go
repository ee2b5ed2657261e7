// SPDX-License-Identifier: Apache-2.0

package scenario

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

const stale = `{"apiVersion": "v1", "kind": "List", "items": [
	{"apiVersion": "v1", "kind": "Node", "metadata": {"name": "gone-1"}},
	{"apiVersion": "coordination.k8s.io/v1", "kind": "Lease", "metadata": {"name": "nobodys", "namespace": "shop"}, "spec": {"holderIdentity": "x", "leaseDurationSeconds": 15, "renewTime": "2026-01-01T00:00:00.000000Z"}},
	{"apiVersion": "coordination.k8s.io/v1", "kind": "Lease", "metadata": {"name": "held", "namespace": "shop"}, "spec": {"holderIdentity": "x", "leaseDurationSeconds": 999999999, "renewTime": "2026-01-01T00:00:00.000000Z"}},
	{"apiVersion": "apps/v1", "kind": "DaemonSet", "metadata": {"name": "network", "namespace": "kube-system"},
	 "spec": {"selector": {"matchLabels": {"a": "b"}}, "template": {"metadata": {"labels": {"a": "b"}}, "spec": {"containers": [{"name": "c", "image": "i"}]}}}}]}`

// TestTidy restores a cluster with a node that does not exist any more, leases, a signing request and a network: what nobody holds is removed, the rest is told with the command for it.
func TestTidy(t *testing.T) {
	t.Parallel()
	c := Start(t, Setup{Hosts: 1})
	w := newWorld(t, c)
	s := NewStation(t, c)
	config := filepath.Join(s.Dir, "admin.conf")
	check(t, os.WriteFile(config, []byte(c.kubeconfig("https://"+c.Hosts[0].Spec.Address+":6443")), 0o600))
	kubectl := func(in string, args ...string) string {
		t.Helper()
		cmd := c.Command(t.Context(), c.kube, append([]string{"kubectl", "--kubeconfig", config}, args...)...)
		cmd.Stdin = strings.NewReader(in)
		out, err := cmd.CombinedOutput()
		if err != nil {
			t.Fatalf("%v: %v\n%s", args, err, out)
		}
		return string(out)
	}
	kubectl(stale, "apply", "-f", "-")
	request := c.Command(t.Context(), "bash", "-ec", "openssl req -new -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -keyout /dev/null -subj /CN=somebody 2>/dev/null | base64 -w 0")
	text, err := request.Output()
	check(t, err)
	kubectl(`{"apiVersion": "certificates.k8s.io/v1", "kind": "CertificateSigningRequest", "metadata": {"name": "waits"}, "spec": {"request": "`+string(text)+`", "signerName": "kubernetes.io/kube-apiserver-client", "usages": ["client auth"]}}`,
		"create", "-f", "-")
	w.note(t)
	archive := s.Backup(t, "prod.tar.gz.age")
	w.change(t)
	out := s.Must(t, s.restore("--backup-file", archive)...)
	for _, want := range []string{
		"Done: removed the stale lease shop/nobodys", "To do: node gone-1 has not reported", "kubectl delete node gone-1", "kubectl certificate approve waits", "kubectl -n kube-system rollout restart daemonset/network",
	} {
		if !strings.Contains(out, want) {
			t.Errorf("%q is not in\n%s", want, out)
		}
	}
	w.verify(t)
	if left := kubectl("", "get", "leases", "-n", "shop", "-o", "name"); left != "lease.coordination.k8s.io/held\n" {
		t.Errorf("leases: %s", left)
	}
}
