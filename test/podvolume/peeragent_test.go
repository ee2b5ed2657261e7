// SPDX-License-Identifier: Apache-2.0

package podvolume

import (
	"context"
	"os"
	"strings"
	"testing"
	"time"

	"hozon.dev/hozon/internal/cluster/clustertest"
	"hozon.dev/hozon/internal/vault/vaulttest"
	"hozon.dev/hozon/test/daemon"
)

const veleroImage = "hozon.test/velero:1"

// veleroParts is what a real Velero needs in a cluster: its Deployment is only looked at, its node agent works.
const veleroParts = `
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRoleBinding
metadata: {name: SERVER}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: cluster-admin}
subjects: [{kind: ServiceAccount, name: default, namespace: SERVER}]
---
apiVersion: v1
kind: ConfigMap
metadata: {name: helper, namespace: SERVER, labels: {velero.io/plugin-config: "", velero.io/pod-volume-restore: RestoreItemAction}}
data: {image: THEIMAGE}
---
apiVersion: apps/v1
kind: Deployment
metadata: {name: velero, namespace: SERVER}
spec:
  selector: {matchLabels: {deploy: velero}}
  template:
    metadata: {labels: {deploy: velero}}
    spec:
      terminationGracePeriodSeconds: 0
      containers:
      - name: velero
        image: THEIMAGE
        imagePullPolicy: Never
        command: [/velero]
        args: [server]
        env: [{name: VELERO_NAMESPACE, value: SERVER}, {name: VELERO_SCRATCH_DIR, value: /tmp}, {name: HOME, value: /tmp}, {name: AWS_SHARED_CREDENTIALS_FILE, value: /credentials/cloud}]
        volumeMounts: [{name: cloud-credentials, mountPath: /credentials}, {name: tmp, mountPath: /tmp}]
      volumes: [{name: cloud-credentials, secret: {secretName: cloud-credentials}}, {name: tmp, emptyDir: {}}]
---
apiVersion: apps/v1
kind: DaemonSet
metadata: {name: node-agent, namespace: SERVER}
spec:
  selector: {matchLabels: {name: node-agent}}
  template:
    metadata: {labels: {name: node-agent, role: node-agent}}
    spec:
      securityContext: {runAsUser: 0}
      containers:
      - name: node-agent
        image: THEIMAGE
        imagePullPolicy: Never
        command: [/velero]
        args: [node-agent, server]
        env:
        - {name: NODE_NAME, valueFrom: {fieldRef: {fieldPath: spec.nodeName}}}
        - {name: VELERO_NAMESPACE, valueFrom: {fieldRef: {fieldPath: metadata.namespace}}}
        - {name: VELERO_SCRATCH_DIR, value: /scratch}
        - {name: AWS_SHARED_CREDENTIALS_FILE, value: /credentials/cloud}
        - {name: HOME, value: /scratch}
        volumeMounts:
        - {name: cloud-credentials, mountPath: /credentials}
        - {name: host-pods, mountPath: /host_pods, mountPropagation: HostToContainer}
        - {name: scratch, mountPath: /scratch}
        - {name: tmp, mountPath: /tmp}
      volumes:
      - {name: cloud-credentials, secret: {secretName: cloud-credentials}}
      - {name: host-pods, hostPath: {path: /var/lib/kubelet/pods}}
      - {name: scratch, emptyDir: {}}
      - {name: tmp, emptyDir: {}}
`

// TestPeerAgent: volumes that our server and agent have saved are brought back by a real Velero, server and node agent.
func TestPeerAgent(t *testing.T) {
	binary, helper := velero(t, "velero"), velero(t, "velero-restore-helper")
	const module = "github.com/vmware-tanzu/velero-plugin-for-aws"
	plugin, err := daemon.Build(t.Context(), "tools/build", "bench/velero-aws", module+"/velero-plugin-for-aws", "velero-plugin-for-aws")
	if err != nil {
		t.Fatal(err)
	}
	w := newWorld(t, "")
	if err := w.LoadImage(t.Context(), clustertest.Image{Name: veleroImage, Files: []clustertest.File{{Path: "velero", From: binary}, {Path: "velero-restore-helper", From: helper}, {Path: "plugins/velero-plugin-for-aws", From: plugin}}}); err != nil {
		t.Fatal(err)
	}
	w.inS3("", "ReadWrite")
	inside, err := w.Reach(t.Context(), strings.TrimPrefix(w.s3.Endpoint, "http://"))
	if err != nil {
		t.Fatal(err)
	}
	w.deploy(2)
	w.announce()
	server, agent := w.serve(), w.node()
	odd(t, w.data(w.app))
	odd(t, w.in(w.app, "keeper-0", "scratch"))
	for _, volume := range []string{w.data(w.app), w.in(w.app, "keeper-0", "scratch")} {
		if err := os.Chmod(volume, 0o755); err != nil { // Velero's helper is user 1000, and waits for ever in front of a volume that it cannot look into
			t.Fatal(err)
		}
	}
	data, scratch := without(vaulttest.Disk(t, w.data(w.app))), vaulttest.Disk(t, w.in(w.app, "keeper-0", "scratch"))
	w.hozon(0, "backup", "create", "ours", "--include-namespaces", w.app, "--snapshot-volumes=false", "--wait")
	server.Kill()
	agent.Kill()
	w.kubectl("", "-n", w.ns, "delete", "pod", "node-agent", "--wait")
	w.kubectl("", "-n", w.ns, "delete", "backups,podvolumebackups,backuprepositories", "--all", "--wait")

	w.kubectl("", "-n", w.ns, "patch", "backupstoragelocation", "default", "--type=merge", "-p", `{"spec":{"config":{"s3Url":"http://`+inside+`"}}}`)
	w.kubectl(strings.NewReplacer("SERVER", w.ns, "THEIMAGE", veleroImage).Replace(veleroParts), "create", "-f", "-")
	t.Cleanup(func() {
		for _, args := range [][]string{{"logs", "deploy/velero", "--tail=60"}, {"logs", "ds/node-agent", "--tail=40"}, {"get", "podvolumerestores,backuprepositories,pods", "-o", "yaml"}} {
			if t.Failed() {
				out, _ := w.Kubectl(context.Background(), append([]string{"-n", w.ns}, args...)...).CombinedOutput()
				t.Logf("%s\n%s", args, out[:min(len(out), 20000)])
			}
		}
	})
	w.kubectl("", "-n", w.ns, "wait", "--timeout=180s", "--for=create", "backup/ours")
	w.kubectl("", "-n", w.ns, "wait", "--timeout=120s", "--for=create", "podvolumebackups", "--all")
	w.kubectl("", "-n", w.ns, "rollout", "status", "ds/node-agent", "--timeout=120s")
	other := w.app + "-other"
	w.hozon(0, "restore", "create", "theirs", "--from-backup", "ours", "--namespace-mappings", w.app+":"+other, "--wait")
	w.awaitPod(other, "keeper-0")
	time.Sleep(time.Second) // the helper removes its marks
	vaulttest.Compare(t, asVelero(vaulttest.Disk(t, w.data(other))), asVelero(vaulttest.Kopia(data)))
	vaulttest.Compare(t, asVelero(vaulttest.Disk(t, w.in(other, "keeper-0", "scratch"))), asVelero(vaulttest.Kopia(scratch)))
}

// asVelero leaves out what Velero does not bring back: the times of folders, which become those of what is in them, and of links, which it rounds; and its marks.
func asVelero(list []vaulttest.Entry) []vaulttest.Entry {
	var out []vaulttest.Entry
	for _, e := range without(list) {
		if e.Type == "dir" || e.Type == "symlink" {
			e.ModTime = 0
		}
		if !strings.HasPrefix(e.Path, ".velero") {
			out = append(out, e)
		}
	}
	return out
}
