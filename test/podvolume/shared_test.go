// SPDX-License-Identifier: Apache-2.0

package podvolume

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"

	velerov1 "hozon.dev/hozon/api/velero/v1"
	"hozon.dev/hozon/internal/cluster/clustertest"
	"hozon.dev/hozon/internal/store"
	"hozon.dev/hozon/internal/vault/vaulttest"
)

// sharing are two pods with one claim, which was made for a node that is not there any more.
const sharing = `
apiVersion: v1
kind: PersistentVolumeClaim
metadata: {name: common, namespace: APP}
spec: {accessModes: [ReadWriteMany], storageClassName: csi-shared, resources: {requests: {storage: 1Gi}}}
---
apiVersion: apps/v1
kind: Deployment
metadata: {name: sharer, namespace: APP}
spec:
  replicas: 2
  selector: {matchLabels: {app: sharer}}
  template:
    metadata: {labels: {app: sharer}}
    spec:
      terminationGracePeriodSeconds: 0
      affinity: {nodeAffinity: {requiredDuringSchedulingIgnoredDuringExecution: {nodeSelectorTerms: [{matchExpressions: [{key: kubernetes.io/hostname, operator: In, values: [NODE]}]}]}}}
      containers: [{name: main, image: "IMAGE", imagePullPolicy: Never, command: [/bin/sleep, "1000000"], volumeMounts: [{name: common, mountPath: /data}]}]
      volumes: [{name: common, persistentVolumeClaim: {claimName: common}}]
`

// TestShared: what several pods use is saved once and filled once, wherever its claim was made to be.
func TestShared(t *testing.T) {
	w := newWorld(t, "")
	w.driver()
	w.csiClass("csi-shared")
	w.csiVolume("csi-shared", "first", "")
	w.yaml(sharing)
	pods := w.sharers(w.app)
	w.kubectl("", "-n", w.app, "annotate", "pvc", "common", "--overwrite", "volume.kubernetes.io/selected-node=a-node-of-old")
	w.all()
	odd(t, w.csiClaim(w.app, pods[0], "common"))
	want := vaulttest.Disk(t, w.csiClaim(w.app, pods[1], "common"))

	w.hozon(0, "backup", "create", "b", "--include-namespaces", w.app, "--default-volumes-to-fs-backup", "--snapshot-volumes=false", "--wait")
	var saved []velerov1.PodVolumeBackup
	if err := w.open().ReadJSON(t.Context(), store.Backup, "b", store.PodVolumeBackups, &saved); err != nil {
		t.Fatal(err)
	}
	if len(saved) != 1 || saved[0].Status.Phase != velerov1.PodVolumeBackupPhaseCompleted {
		t.Fatalf("%d volumes are saved, want the common one once: %+v", len(saved), saved)
	}

	other := w.app + "-other"
	w.csiVolume("csi-shared", "second", "")
	w.hozon(0, "restore", "create", "r", "--from-backup", "b", "--namespace-mappings", w.app+":"+other, "--wait")
	for _, pod := range w.sharers(other) {
		vaulttest.Compare(t, vaulttest.Disk(t, w.csiClaim(other, pod, "common")), want)
	}
	if n := w.kubectl("", "-n", w.ns, "get", "podvolumerestores", "-o", "jsonpath={.items[*].status.phase}"); n != "Completed" {
		t.Errorf("volumes were filled: %q, want one", n)
	}
	if node := w.kubectl("", "-n", other, "get", "pvc", "common", "-o", `jsonpath={.metadata.annotations.volume\.kubernetes\.io/selected-node}`); strings.Contains(node, "a-node-of-old") {
		t.Errorf("the claim is still for node %q", node)
	}
	w.settled()
}

// sharers waits for both pods, and returns their names.
func (w *world) sharers(namespace string) []string {
	w.t.Helper()
	w.kubectl("", "-n", namespace, "rollout", "status", "deployment/sharer", "--timeout=170s")
	names := strings.Fields(w.kubectl("", "-n", namespace, "get", "pods", "-l", "app=sharer", "-o", "jsonpath={.items[*].metadata.name}"))
	if len(names) != 2 {
		w.t.Fatalf("%d pods share the claim: %q", len(names), names)
	}
	return names
}

// away is a node that does not answer: its kubelet, and its agent, have been heard of and are not any more.
const away = `
apiVersion: v1
kind: Node
metadata: {name: NAME, labels: {kubernetes.io/hostname: NAME}}
spec: {unschedulable: true}
---
apiVersion: v1
kind: Pod
metadata: {name: node-agent-away, namespace: SERVER, labels: {name: node-agent, role: node-agent}}
spec:
  nodeName: NAME
  tolerations: [{operator: Exists}]
  containers: [{name: agent, image: "HOZON", imagePullPolicy: Never}]
---
apiVersion: v1
kind: Pod
metadata: {name: away, namespace: APP, labels: {app: away}}
spec:
  nodeName: NAME
  tolerations: [{operator: Exists}]
  containers: [{name: main, image: "IMAGE", imagePullPolicy: Never, command: [/bin/sleep, "1000000"], volumeMounts: [{name: lost, mountPath: /data}]}]
  volumes: [{name: lost, emptyDir: {}}]
---
apiVersion: v1
kind: Pod
metadata: {name: here, namespace: APP}
spec:
  terminationGracePeriodSeconds: 0
  nodeName: NODE
  containers: [{name: main, image: "IMAGE", imagePullPolicy: Never, command: [/bin/sleep, "1000000"], volumeMounts: [{name: kept, mountPath: /data}]}]
  volumes: [{name: kept, emptyDir: {}}]
`

// TestUnreachable: a volume on a node that does not answer is told of with what to do about it, and the others are saved; nothing waits for it.
func TestUnreachable(t *testing.T) {
	w := newWorld(t, "")
	node := w.app + "-node"
	w.yaml(strings.ReplaceAll(away, "NAME", node))
	t.Cleanup(func() { // the node is the cluster's, and would be found by others
		_ = w.Kubectl(context.Background(), "delete", "node", node, "--wait=false").Run()
	})
	w.awaitPod(w.app, "here")
	if err := os.WriteFile(filepath.Join(w.in(w.app, "here", "kept"), "file"), []byte("kept"), 0o600); err != nil {
		t.Fatal(err)
	}
	// What its kubelet said last, and what the cluster makes of its silence.
	w.kubectl("", "-n", w.app, "patch", "pod", "away", "--subresource=status", "--type=merge", "-p", `{"status":{"phase":"Running"}}`)
	w.kubectl("", "-n", w.ns, "patch", "pod", "node-agent-away", "--subresource=status", "--type=merge",
		"-p", `{"status":{"phase":"Running","conditions":[{"type":"Ready","status":"False","reason":"NodeNotReady"}]}}`)
	w.all()
	w.hozon(3, "backup", "create", "b", "--include-namespaces", w.app, "--default-volumes-to-fs-backup", "--snapshot-volumes=false", "--wait")
	told := w.hozon(0, "backup", "describe", "b", "--details")
	contains(t, told, "PartiallyFailed", "volume lost of pod "+w.app+"/away", "the node agent on node "+node+" is not ready: if the node is down (`kubectl get node "+node+"`)",
		w.app+"/here: kept (size: 4")
}

// TestNoSuchNode: volumes of a workload for nodes that are not in the cluster are told of with that cause, and the rest is restored.
func TestNoSuchNode(t *testing.T) {
	w := newWorld(t, "")
	label := w.app + "/disks"
	w.kubectl("", "label", "node", clustertest.NodeName, label+"=fast")
	w.class("local-disk", 2)
	w.yaml(strings.Replace(keeper, "      terminationGracePeriodSeconds: 0\n", "      terminationGracePeriodSeconds: 0\n      nodeSelector: {"+label+": fast}\n", 1))
	w.awaitPod(w.app, "keeper-0")
	w.all("--resource-timeout", "15s")
	w.hozon(0, "backup", "create", "b", "--include-namespaces", w.app, "--snapshot-volumes=false", "--wait")
	w.kubectl("", "label", "node", clustertest.NodeName, label+"-")
	other := w.app + "-other"
	w.hozon(3, "restore", "create", "r", "--from-backup", "b", "--namespace-mappings", w.app+":"+other, "--wait")
	contains(t, w.hozon(0, "restore", "describe", "r"), "PersistentVolumeClaim data did not get all of its files", "didn't match Pod's node affinity/selector", "the saved pod asks for a node")
	w.kubectl("", "-n", other, "get", "configmap", "settings")
	w.settled()
}
