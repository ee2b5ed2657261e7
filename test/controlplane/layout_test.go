// SPDX-License-Identifier: Apache-2.0

package controlplane

import (
	"encoding/base64"
	"encoding/json"
	"path/filepath"
	"strings"
	"testing"

	"filippo.io/age"

	"hozon.dev/hozon/internal/cli/env"
	"hozon.dev/hozon/internal/dr"
	"hozon.dev/hozon/internal/host/hosttest"
)

// TestLayouts saves control planes of every layout, found by their looks, and gets a Secret that was encrypted in etcd out of each archive.
func TestLayouts(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		layout string
		start  func(testing.TB, string) *Node
		files  []string
	}{
		{dr.LayoutK3s, StartK3s, []string{"var/lib/rancher/k3s/server/tls/service.key", "var/lib/rancher/k3s/server/token", "var/lib/rancher/k3s/server/cred/encryption-config.json", "etc/rancher/k3s/config.yaml", "var/lib/rancher/k3s/server/db/etcd/config"}},
		{dr.LayoutRKE2, StartRKE2, []string{"var/lib/rancher/rke2/server/tls/service.key", "var/lib/rancher/rke2/server/cred/encryption-config.json", "etc/rancher/rke2/config.yaml", "var/lib/rancher/rke2/agent/pod-manifests/etcd.yaml"}},
		{dr.LayoutOpenShift3, StartOpenShift3, []string{"etc/origin/master/master-config.yaml", "etc/origin/master/encryption-config.yaml", "etc/origin/node/pods/etcd.yaml", "etc/etcd/etcd.conf", "etc/etcd/ca.crt"}},
		{dr.LayoutOpenShift4, StartOpenShift4, []string{"etc/kubernetes/static-pod-resources/kube-apiserver-pod-7/secrets/encryption-config/encryption-config", "etc/kubernetes/manifests/etcd-pod.yaml", "etc/kubernetes/static-pod-resources/etcd-certs/secrets/etcd-all-certs/etcd-serving-cp.key"}},
	} {
		t.Run(c.layout, func(t *testing.T) {
			t.Parallel()
			node := c.start(t, "cp-1")
			node.Kubectl(t, "create secret generic key --from-literal=k="+marker)
			all := checked(t, env.ExitOK, node.Spec)
			if all["cp-1 layout"].Text != c.layout || all["cp-1 encryption keys"].Level != dr.OK || all["cp-1 etcd answers"].Level != dr.OK || all["cp-1 certificates"].Level != dr.OK {
				t.Errorf("%+v", all)
			}
			archive, identity := saved(t, node)
			listing := tar(t, unseal(t, archive, identity), "-tzf", "-")
			for _, want := range c.files {
				if !strings.Contains(listing, "hosts/cp-1/files/"+want+"\n") {
					t.Errorf("%s is not in the archive", want)
				}
			}
			if strings.Contains(listing, "/member/") {
				t.Errorf("etcd's data is among the files:\n%s", listing)
			}
			key := file(t, "key.txt", identity.String())
			store := t.TempDir()
			must(t, "cluster", "extract", archive, "--identity", key, "--as", "a", "--store", store)
			if by := map[string]string{dr.LayoutRKE2: "--cluster-reset-restore-path", dr.LayoutOpenShift4: "cluster-restore.sh"}[c.layout]; by != "" {
				before := node.Sh(t, "pidof etcd; ls /var/lib")
				book := must(t, "restore", "cluster", "-c", "prod", "--inventory", inventory(t, node.Spec), "--backup-file", archive, "--identity", key)
				if !strings.Contains(book, "nothing is carried out") || !strings.Contains(book, "[cp-1] ") || !strings.Contains(book, by) || !strings.Contains(book, archive) {
					t.Errorf("the run-book:\n%s", book)
				}
				if node.Sh(t, "pidof etcd; ls /var/lib") != before {
					t.Error("something was done")
				}
			}
			item := tar(t, read(t, filepath.Join(store, "backups/a/a.tar.gz")), "--to-stdout", "-xzf", "-", "resources/secrets/namespaces/default/key.json")
			if !strings.Contains(item, base64.StdEncoding.EncodeToString([]byte(marker))) {
				t.Errorf("the secret: %s", item)
			}
		})
	}
}

// saved makes a sealed archive of one host.
func saved(t *testing.T, node *Node) (string, *age.X25519Identity) {
	t.Helper()
	key, err := age.GenerateX25519Identity()
	if err != nil {
		t.Fatal(err)
	}
	out := must(t, "backup", "cluster", "-c", "prod", "--inventory", inventory(t, node.Spec), "--recipient", key.Recipient().String(), "-o", "json",
		"--backup-file", filepath.Join(t.TempDir(), "a.tar.gz.age"))
	var r struct{ File string }
	if err := json.Unmarshal([]byte(out), &r); err != nil {
		t.Fatal(err)
	}
	return r.File, key
}

// TestLayoutSaid is a machine whose inventory or command line says what it is.
func TestLayoutSaid(t *testing.T) {
	t.Parallel()
	h := hosttest.Start(t, "cp-1")
	WriteFile(t, h, "/etc/rancher/k3s/config.yaml", "{}", "0600")
	if all := checked(t, env.ExitFailed, h.Spec); all["cp-1 layout"].Text != dr.LayoutK3s {
		t.Errorf("%+v", all)
	}
	h.Spec.Layout = dr.LayoutKubeadm
	if all := checked(t, env.ExitFailed, h.Spec); all["cp-1 layout"].Text != dr.LayoutKubeadm {
		t.Errorf("%+v", all)
	}
	h.Spec.Layout = ""
	if out, talk, code := hozon(t, "check", "cluster", "-c", "prod", "--inventory", inventory(t, h.Spec), "--layout", "kubernetes"); code != env.ExitUsage || !strings.Contains(talk, "openshift-3.11") {
		t.Errorf("exit code %d\n%s%s", code, out, talk)
	}
}
