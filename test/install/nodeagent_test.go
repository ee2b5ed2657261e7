// SPDX-License-Identifier: Apache-2.0

package install

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"hozon.dev/hozon/internal/blob/open"
	"hozon.dev/hozon/internal/cluster/clustertest"
	"hozon.dev/hozon/internal/vault/vaulttest"
	"hozon.dev/hozon/internal/volume"
)

// TestNodeAgent installs the node agents as a user would, with the least rights, and has one save the volumes of a pod and fill those of two others: a
// mover, and one that waits in Velero's init container.
func TestNodeAgent(t *testing.T) {
	if testing.Short() {
		t.Skip("starts a cluster with a node")
	}
	u := newUser(t)
	busybox, err := u.cluster.BusyboxImage(t.Context())
	if err == nil {
		err = u.cluster.LoadImage(t.Context(), busybox)
	}
	if err != nil {
		t.Fatal(err)
	}
	u.contains(u.run("install", "--image", u.image, "--provider", "aws", "--bucket", "store", "--secret-file", u.credentials, "--backup-location-config", u.config,
		"--use-volume-snapshots=false", "--rbac", "split", "--use-node-agent", "--node-agent-host-root", "--node-agent-pod-mem-limit", "256Mi", "--wait", "--timeout", "3m"),
		"Waiting for node-agent daemonset to be ready.")
	u.kubectl("create", "namespace", "shop")
	u.repository("shop")

	shared := t.TempDir()
	u.apply(pod("source", nil, u.image, `{"name": "disk", "emptyDir": {}}`, `{"name": "ram", "emptyDir": {"medium": "Memory"}}`, `{"name": "host", "hostPath": {"path": "`+shared+`"}}`))
	u.kubectl("wait", "-n", "shop", "pod/source", "--for=condition=Ready", "--timeout=120s")
	for _, v := range []string{"disk", "ram", "host"} {
		u.kubectl("exec", "-n", "shop", "source", "--", "sh", "-c", "cd /data/"+v+` && mkdir -p a/b && echo one > a/b/one && ln a/b/one second && ln -s one a/link && mkfifo pipe && chown 7:8 a/b/one && chmod 4750 a/b/one && chmod 2770 . && chown 99:98 . && dd if=/dev/urandom of=big bs=1M count=3`)
	}
	u.apply(pod("mover", map[string]string{"hozon.dev/mover": "true"}, "", `{"name": "disk", "emptyDir": {}}`, `{"name": "ram", "emptyDir": {"medium": "Memory"}}`))
	u.apply(pod("waiting", nil, u.image, `{"name": "host", "emptyDir": {}}`))
	u.kubectl("wait", "-n", "shop", "pod/mover", "--for=condition=Ready", "--timeout=120s")
	for volume, into := range map[string]string{"disk": "mover", "ram": "mover", "host": "waiting"} {
		u.apply(`{"apiVersion": "velero.io/v1", "kind": "PodVolumeBackup", "metadata": {"namespace": "velero", "name": "` + volume + `"}, "spec": {
			"node": "` + clustertest.NodeName + `", "pod": ` + u.ref("source") + `, "volume": "` + volume + `", "backupStorageLocation": "default", "repoIdentifier": "", "uploaderType": "kopia"}}`)
		u.kubectl("wait", "-n", "velero", "podvolumebackup/"+volume, "--for=jsonpath={.status.phase}=Completed", "--timeout=60s")
		snapshot := u.kubectl("get", "-n", "velero", "podvolumebackup/"+volume, "-o", "jsonpath={.status.snapshotID}")
		u.apply(`{"apiVersion": "velero.io/v1", "kind": "PodVolumeRestore", "metadata": {"namespace": "velero", "name": "` + volume + `", "labels": {"velero.io/restore-uid": "uid-1"}}, "spec": {
			"pod": ` + u.ref(into) + `, "volume": "` + volume + `", "backupStorageLocation": "default", "repoIdentifier": "", "uploaderType": "kopia", "sourceNamespace": "shop", "snapshotID": "` + snapshot + `"}}`)
		u.kubectl("wait", "-n", "velero", "podvolumerestore/"+volume, "--for=jsonpath={.status.phase}=Completed", "--timeout=60s")
	}
	u.kubectl("wait", "-n", "shop", "pod/waiting", "--for=condition=Ready", "--timeout=60s")
	for volume, into := range map[string]string{"disk": "mover", "ram": "mover", "host": "waiting"} {
		source := shared
		if volume != "host" {
			source = u.folder("source", volume)
		}
		vaulttest.Compare(t, vaulttest.Disk(t, u.folder(into, volume)), vaulttest.Disk(t, source))
	}
	u.contains(u.kubectl("get", "--raw", "/api/v1/namespaces/velero/pods/"+strings.TrimSpace(u.kubectl("get", "pods", "-n", "velero", "-l", "name=node-agent", "-o", "jsonpath={.items[0].metadata.name}"))+":8085/proxy/metrics"),
		`podVolume_pod_volume_backup_dequeue_count{node="`+clustertest.NodeName+`"} 6`, "podVolume_pod_volume_operation_latency_seconds_gauge{", `hozon_pod_volume_total{node="`+clustertest.NodeName+`",operation="PodVolumeBackup",phase="Completed"} 3`)

	u.savesAndFills()

	// Another Secret: the agents restart with it.
	before := u.kubectl("get", "daemonset", "node-agent", "-n", "velero", "-o", "jsonpath={.metadata.generation}")
	text, err := os.ReadFile(u.credentials)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(u.credentials, append(text, '\n'), 0o600); err != nil {
		t.Fatal(err)
	}
	u.run("install", "--image", u.image, "--provider", "aws", "--bucket", "store", "--secret-file", u.credentials, "--backup-location-config", u.config,
		"--use-volume-snapshots=false", "--rbac", "split", "--use-node-agent", "--node-agent-host-root", "--node-agent-pod-mem-limit", "256Mi", "--wait", "--timeout", "3m")
	if after := u.kubectl("get", "daemonset", "node-agent", "-n", "velero", "-o", "jsonpath={.metadata.generation}"); after == before {
		t.Errorf("generation %s after the Secret changed", after)
	}
	u.run("uninstall", "--force")
}

// repository makes a repository, as the server does before anything is ordered.
func (u *user) repository(namespace string) {
	u.t.Helper()
	u.t.Setenv("AWS_SHARED_CREDENTIALS_FILE", u.credentials)
	b, err := open.Bucket(u.t.Context(), "s3://store?endpoint="+u.s3.Endpoint, open.Options{})
	if err != nil {
		u.t.Fatal(err)
	}
	r, err := volume.Ensure(u.t.Context(), b, namespace, []string{"static-passw0rd"})
	if err != nil {
		u.t.Fatal(err)
	}
	if err := r.Close(u.t.Context()); err != nil {
		u.t.Fatal(err)
	}
}

// pod is one that sleeps; with a helper it waits before that in an init container, as the server makes it.
func pod(name string, labels map[string]string, helper string, volumes ...string) string {
	var mounts, restores []string
	for _, v := range volumes {
		var n struct{ Name string }
		_ = json.Unmarshal([]byte(v), &n) // they are written in this file
		mounts = append(mounts, `{"name": "`+n.Name+`", "mountPath": "/data/`+n.Name+`"}`)
		restores = append(restores, `{"name": "`+n.Name+`", "mountPath": "/restores/`+n.Name+`"}`)
	}
	init := ""
	if name == "waiting" {
		init = `"initContainers": [{"name": "restore-wait", "image": "` + helper + `", "imagePullPolicy": "Never", "command": ["/velero-restore-helper"], "args": ["uid-1"],
			"securityContext": {"runAsUser": 1000, "runAsNonRoot": true, "allowPrivilegeEscalation": false, "capabilities": {"drop": ["ALL"]}},
			"resources": {"limits": {"memory": "128Mi", "cpu": "100m"}}, "volumeMounts": [` + strings.Join(restores, ",") + `]}],`
	}
	text, _ := json.Marshal(labels) // a map of strings
	return `{"apiVersion": "v1", "kind": "Pod", "metadata": {"namespace": "shop", "name": "` + name + `", "labels": ` + string(text) + `}, "spec": {"terminationGracePeriodSeconds": 0, ` + init + `
		"containers": [{"name": "main", "image": "` + clustertest.BusyboxName + `", "imagePullPolicy": "Never", "command": ["/bin/sleep", "1000000"], "volumeMounts": [` + strings.Join(mounts, ",") + `]}],
		"volumes": [` + strings.Join(volumes, ",") + `]}}`
}

func (u *user) uid(pod string) string {
	u.t.Helper()
	return strings.TrimSpace(u.kubectl("get", "pod", pod, "-n", "shop", "-o", "jsonpath={.metadata.uid}"))
}

func (u *user) ref(pod string) string {
	return `{"kind": "Pod", "namespace": "shop", "name": "` + pod + `", "uid": "` + u.uid(pod) + `"}`
}

func (u *user) folder(pod, volume string) string {
	return filepath.Join(u.cluster.NodeRoot(), "var/lib/kubelet/pods", u.uid(pod), "volumes/kubernetes.io~empty-dir", volume)
}

func (u *user) apply(text string) {
	u.t.Helper()
	cmd := u.cluster.Kubectl(u.t.Context(), "apply", "-f", "-")
	cmd.Stdin = strings.NewReader(text)
	if out, err := cmd.CombinedOutput(); err != nil {
		u.t.Fatalf("apply %s: %v\n%s", text, err, out)
	}
}
