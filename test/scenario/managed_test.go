// SPDX-License-Identifier: Apache-2.0

package scenario

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

const bareDefinition = `{"apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition", "metadata": {"name": "clusters.baremetal.cluster.gke.io"},
	"spec": {"group": "baremetal.cluster.gke.io", "scope": "Namespaced", "names": {"plural": "clusters", "singular": "cluster", "kind": "Cluster"}, "versions": [{"name": "v1", "served": true, "storage": true,
	"schema": {"openAPIV3Schema": {"type": "object", "x-kubernetes-preserve-unknown-fields": true}}}]}}`

const bareObjects = `{"apiVersion": "v1", "kind": "List", "items": [
	{"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "cluster-prod"}},
	{"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "ssh-key", "namespace": "cluster-prod"}, "data": {"id_rsa": %q}},
	{"apiVersion": "baremetal.cluster.gke.io/v1", "kind": "Cluster", "metadata": {"name": "prod", "namespace": "cluster-prod"},
	 "spec": {"controlPlane": {"nodePoolSpec": {"nodes": [{"address": "10.77.0.11"}]}}, "nodeAccess": {"loginUser": "operator-1"}},
	 "status": {"controlPlaneNodePoolStatus": {"conditions": [{"type": "Reconciling", "status": %q}]}}}]}`

// TestManaged checks, saves, loses and restores a user cluster whose machines and SSH key only its admin cluster knows, as with bmctl: it logs in as a user with sudo, the key
// never lies on a disk of ours, nothing is saved while the cluster is Reconciling, and a key that was changed since is named with its remedy.
func TestManaged(t *testing.T) {
	t.Parallel()
	c := Start(t, Setup{Hosts: 1})
	admin := Start(t, Setup{Hosts: 1, Site: c.Site, First: 10})
	w := newWorld(t, c)
	s := NewStation(t, c)
	h := c.Hosts[0]
	config := filepath.Join(t.TempDir(), "admin-kubeconfig")
	check(t, os.WriteFile(config, []byte(admin.kubeconfig("https://"+admin.Hosts[0].Spec.Address+":6443")), 0o600))
	apply := func(text string) {
		t.Helper()
		cmd := c.Command(t.Context(), c.kube, "kubectl", "--kubeconfig", config, "apply", "--validate=false", "-f", "-")
		cmd.Stdin = strings.NewReader(text)
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("%v\n%s", err, out)
		}
	}
	apply(bareDefinition)
	if out, err := c.Command(t.Context(), c.kube, "kubectl", "--kubeconfig", config, "wait", "--for=condition=established", "--timeout=60s", "crd/clusters.baremetal.cluster.gke.io").CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	key := readFile(t, h.Spec.Key)
	apply(fmt.Sprintf(bareObjects, inBase64(key), "True"))
	check(t, os.MkdirAll(filepath.Join(s.Dir, ".ssh"), 0o700))
	check(t, os.WriteFile(filepath.Join(s.Dir, ".ssh/known_hosts"), []byte(readFile(t, h.Spec.KnownHosts)), 0o600))
	w.note(t)
	run := func(args ...string) (string, error) {
		return s.Try(t, append(args, "-c", "prod", "--kubeconfig", config)...)
	}
	backup := []string{"backup", "cluster", "--recipient", s.recipient, "--backup-file", "prod.tar.gz.age"}
	if out, err := run(backup...); err == nil || !strings.Contains(out, "prod is Reconciling") {
		t.Errorf("%v\n%s", err, out)
	}
	apply(fmt.Sprintf(bareObjects, inBase64(key), "False"))
	if out, err := run("check", "cluster"); err != nil || !strings.Contains(out, "logged in as operator-1") || !strings.Contains(out, "prod is not Reconciling") {
		t.Errorf("%v\n%s", err, out)
	}
	if out, err := run(backup...); err != nil || strings.Contains(out, "localhost") {
		t.Fatalf("%v\n%s", err, out)
	}
	w.change(t)
	h.Sh(t, "rm -rf /etc/kubernetes/pki; kill -9 $(pidof etcd); rm -rf /var/lib/etcd; mv /home/operator-1/.ssh/authorized_keys /root/rotated")
	restore := []string{"restore", "cluster", "--backup-file", "prod.tar.gz.age", "--yes"}
	if out, err := run(restore...); err == nil || !strings.Contains(out, "10.77.0.11") || !strings.Contains(out, "put the old one back") {
		t.Errorf("a key that was changed: %v\n%s", err, out)
	}
	h.Sh(t, "mv /root/rotated /home/operator-1/.ssh/authorized_keys")
	if out, err := run(restore...); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	w.verify(t)
	s.kubectl(t)
	line := strings.Split(key, "\n")[2]
	check(t, filepath.WalkDir(s.Dir, func(name string, d os.DirEntry, err error) error {
		if err == nil && d.Type().IsRegular() && strings.Contains(readFile(t, name), line) {
			t.Errorf("%s holds the SSH key", name)
		}
		return err
	}))
	if out, err := s.Try(t, "check", "cluster", "-c", "staging", "--kubeconfig", config); err == nil || !strings.Contains(out, "localhost") {
		t.Errorf("a cluster that the admin cluster does not know is not looked for here: %v\n%s", err, out)
	}
}
