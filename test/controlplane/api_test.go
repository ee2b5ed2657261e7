// SPDX-License-Identifier: Apache-2.0

package controlplane

import (
	"encoding/json"
	"fmt"
	"path/filepath"
	"strings"
	"testing"

	"hozon.dev/hozon/internal/cli/env"
	"hozon.dev/hozon/internal/dr"
)

// kubeconfig is an administrator's.
func (n *Node) kubeconfig() string {
	return fmt.Sprintf(`{"apiVersion": "v1", "kind": "Config", "current-context": "a", "contexts": [{"name": "a", "context": {"cluster": "a", "user": "a"}}],
		"clusters": [{"name": "a", "cluster": {"server": "https://127.0.0.1:%d", "insecure-skip-tls-verify": true}}], "users": [{"name": "a", "user": {"token": "%s"}}]}`, n.API, n.token)
}

// kind makes a kind that keeps whatever it is given, and waits until it is served.
func (n *Node) kind(t *testing.T, group, plural, kind, scope string) {
	t.Helper()
	n.Write(t, "/tmp/crd.json", fmt.Sprintf(`{"apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition", "metadata": {"name": "%[2]s.%[1]s"},
		"spec": {"group": "%[1]s", "scope": "%[4]s", "names": {"plural": "%[2]s", "singular": "one", "kind": "%[3]s"}, "versions": [{"name": "v1", "served": true, "storage": true,
		"schema": {"openAPIV3Schema": {"type": "object", "x-kubernetes-preserve-unknown-fields": true}}}]}}`, group, plural, kind, scope), "0600")
	n.Kubectl(t, "create -f /tmp/crd.json")
	n.Kubectl(t, "wait --for=condition=established --timeout=60s crd/"+plural+"."+group)
}

// apply writes an object as it is, its status too.
func (n *Node) apply(t *testing.T, object string) {
	t.Helper()
	n.Write(t, "/tmp/object.json", object, "0600")
	n.Kubectl(t, "apply --validate=false -f /tmp/object.json")
}

// TestCheckAPI asks an API server for what only a running one knows, and changes one thing after the other.
func TestCheckAPI(t *testing.T) {
	t.Parallel()
	node := Start(t, "cp-1")
	node.Write(t, "/etc/kubernetes/admin.conf", node.kubeconfig(), "0600")
	want := func(level dr.Level, check, text string, args ...string) {
		t.Helper()
		out, talk, _ := hozon(t, append([]string{"check", "cluster", "-c", "prod", "--inventory", inventory(t, node.Spec), "-o", "json"}, args...)...)
		var r struct{ Findings []dr.Finding }
		if err := json.Unmarshal([]byte(out), &r); err != nil {
			t.Fatalf("%v\n%s%s", err, out, talk)
		}
		for _, f := range r.Findings {
			if strings.TrimSpace(f.Host+" "+f.Check) == check {
				if f.Level != level || !strings.Contains(f.Text, text) {
					t.Errorf("%+v, want %s with %q", f, level, text)
				}
				return
			}
		}
		t.Errorf("%s is not looked at: %s", check, out)
	}
	all := checked(t, env.ExitOK, node.Spec)
	for check, text := range map[string]string{
		"cp-1 API server": "ready", "cp-1 service-account keys": "is the one in use", "cp-1 nothing reconciling": "no rollout", "cp-1 writable": "", "cp-1 reachable": "host key",
		"cp-1 certificates": "the oldest is of",
	} {
		if all[check].Level != dr.OK || !strings.Contains(all[check].Text, text) {
			t.Errorf("%s: %+v", check, all[check])
		}
	}

	node.Kubectl(t, "create deployment dns -n kube-system --image=a") // no controller runs
	want(dr.Warning, "cp-1 nothing reconciling", "dns has a change")

	node.kind(t, "baremetal.cluster.gke.io", "clusters", "Cluster", "Namespaced")
	bare := `{"apiVersion": "baremetal.cluster.gke.io/v1", "kind": "Cluster", "metadata": {"name": "prod", "namespace": "default"},
		"status": {"controlPlaneNodePoolStatus": {"conditions": [{"type": "Reconciling", "status": "%s"}]}}}`
	node.apply(t, fmt.Sprintf(bare, "True"))
	want(dr.Failed, "cp-1 Reconciling", "prod is Reconciling")
	want(dr.Failed, "Reconciling", "prod is Reconciling", "--kubeconfig", file(t, "admin.conf", node.kubeconfig()))
	checked(t, env.ExitFailed, node.Spec)
	node.apply(t, fmt.Sprintf(bare, "False"))
	want(dr.OK, "cp-1 Reconciling", "not Reconciling")
	want(dr.Failed, "admin cluster", "does not answer", "--kubeconfig", file(t, "admin.conf", strings.Replace(node.kubeconfig(), fmt.Sprint(node.API), "1", 1)))

	node.kind(t, "config.openshift.io", "clusteroperators", "ClusterOperator", "Cluster")
	operator := `{"apiVersion": "config.openshift.io/v1", "kind": "ClusterOperator", "metadata": {"name": "etcd"}, "status": {"conditions": [{"type": "%s", "status": "True"}]}}`
	node.apply(t, fmt.Sprintf(operator, "Progressing"))
	want(dr.Failed, "cp-1 nothing reconciling", "Progressing: etcd")
	node.apply(t, fmt.Sprintf(operator, "Available"))
	want(dr.OK, "cp-1 nothing reconciling", "none of 1 operators")

	node.toLocation(t)

	node.Sh(t, "mount --bind /etc/kubernetes /etc/kubernetes; mount -o remount,bind,ro /etc/kubernetes")
	want(dr.Failed, "cp-1 writable", "/etc/kubernetes")
	node.Sh(t, "umount /etc/kubernetes")

	_, _, other := certificates(t)
	node.Write(t, "/etc/kubernetes/pki/apiserver.key", other, "0600")
	want(dr.Failed, "cp-1 certificate pairs", "apiserver.key are no pair")
	node.Write(t, "/etc/kubernetes/pki/sa.key", other, "0600")
	want(dr.Failed, "cp-1 service-account keys", "is NOT the key")
	node.Sh(t, "kill -9 $(pidof kube-apiserver)")
	all = checked(t, env.ExitFailed, node.Spec)
	if all["cp-1 etcd answers"].Level != dr.OK {
		t.Errorf("%+v", all)
	}
}

// toLocation saves the control plane into a backup location of the cluster, as the installed job does.
func (n *Node) toLocation(t *testing.T) {
	t.Helper()
	n.Write(t, "/tmp/crd.yaml", string(read(t, "../../deploy/crd/velero.io_backupstoragelocations.yaml")), "0600")
	n.Kubectl(t, "create -f /tmp/crd.yaml")
	n.Kubectl(t, "wait --for=condition=established --timeout=60s crd/backupstoragelocations.velero.io")
	n.Kubectl(t, "create namespace velero")
	folder := t.TempDir()
	n.apply(t, fmt.Sprintf(`{"apiVersion": "velero.io/v1", "kind": "BackupStorageLocation", "metadata": {"name": "default", "namespace": "velero"},
		"spec": {"provider": "file", "objectStorage": {"bucket": "%s"}, "config": {"fspath": "%s"}}}`, filepath.Base(folder), filepath.Dir(folder)))
	must(t, "backup", "cluster", "-c", "prod", "--inventory", inventory(t, n.Spec), "--backup-location", "default", "--keep", "3",
		"--kubeconfig", file(t, "admin.conf", n.kubeconfig()))
	if files, err := filepath.Glob(folder + "/metadata/hozon/clusters/prod/prod_backup_*"); err != nil || len(files) != 2 {
		t.Errorf("%v %v", files, err)
	}
}
