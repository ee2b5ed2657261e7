// SPDX-License-Identifier: Apache-2.0

package install

import (
	"path/filepath"
	"strings"

	"hozon.dev/hozon/internal/cluster/clustertest"
	"hozon.dev/hozon/internal/vault/vaulttest"
)

// cellar is a pod with a claim and a folder of its own, whose files are saved.
const cellar = `
apiVersion: storage.k8s.io/v1
kind: StorageClass
metadata: {name: local-disk}
provisioner: kubernetes.io/no-provisioner
volumeBindingMode: WaitForFirstConsumer
---
apiVersion: v1
kind: PersistentVolume
metadata: {name: first}
spec:
  capacity: {storage: 1Gi}
  accessModes: [ReadWriteOnce]
  storageClassName: local-disk
  local: {path: FIRST}
  nodeAffinity: {required: {nodeSelectorTerms: [{matchExpressions: [{key: kubernetes.io/hostname, operator: In, values: [NODE]}]}]}}
---
apiVersion: v1
kind: PersistentVolume
metadata: {name: second}
spec:
  capacity: {storage: 1Gi}
  accessModes: [ReadWriteOnce]
  storageClassName: local-disk
  local: {path: SECOND}
  nodeAffinity: {required: {nodeSelectorTerms: [{matchExpressions: [{key: kubernetes.io/hostname, operator: In, values: [NODE]}]}]}}
---
apiVersion: v1
kind: Namespace
metadata: {name: cellar}
---
apiVersion: v1
kind: PersistentVolumeClaim
metadata: {name: wine, namespace: cellar}
spec: {accessModes: [ReadWriteOnce], storageClassName: local-disk, resources: {requests: {storage: 1Gi}}}
---
apiVersion: v1
kind: Pod
metadata: {name: barrel, namespace: cellar, annotations: {backup.velero.io/backup-volumes: "wine,scratch"}}
spec:
  terminationGracePeriodSeconds: 0
  containers: [{name: main, image: "IMAGE", imagePullPolicy: Never, command: [/bin/sh, -c, "[ -e /wine/red ] || { echo red > /wine/red; echo white > /scratch/white; }; exec sleep 1000000"], volumeMounts: [{name: wine, mountPath: /wine}, {name: scratch, mountPath: /scratch}]}]
  volumes: [{name: wine, persistentVolumeClaim: {claimName: wine}}, {name: scratch, emptyDir: {}}]
`

// savesAndFills has the server in its pod save the volumes of a pod and bring them back into another namespace, with the rights that it was given.
func (u *user) savesAndFills() {
	u.t.Helper()
	first, second := u.t.TempDir(), u.t.TempDir()
	u.apply(strings.NewReplacer("FIRST", first, "SECOND", second, "NODE", clustertest.NodeName, "IMAGE", clustertest.BusyboxName, "spec:", "spec:").Replace(cellar))
	u.kubectl("wait", "-n", "cellar", "pod/barrel", "--for=condition=Ready", "--timeout=120s")
	u.contains(u.run("backup", "create", "volumes", "--include-namespaces", "cellar", "--wait"), "Backup completed with status: Completed")
	u.contains(u.run("restore", "create", "filled", "--from-backup", "volumes", "--namespace-mappings", "cellar:cellar-two", "--wait"), "Restore completed with status: Completed")
	u.kubectl("wait", "-n", "cellar-two", "pod/barrel", "--for=condition=Ready", "--timeout=120s")
	folder := func(namespace, kind, volume string) string {
		uid := u.kubectl("get", "pod", "barrel", "-n", namespace, "-o", "jsonpath={.metadata.uid}")
		found, err := filepath.Glob(filepath.Join(u.cluster.NodeRoot(), "var/lib/kubelet/pods", uid, "volumes", kind, volume))
		if err != nil || len(found) != 1 {
			u.t.Fatalf("volume %s of %s/barrel: %v, %v", volume, namespace, found, err)
		}
		return found[0]
	}
	for kind, volume := range map[string]string{"kubernetes.io~local-volume": "*", "kubernetes.io~empty-dir": "scratch"} {
		vaulttest.Compare(u.t, vaulttest.Disk(u.t, folder("cellar-two", kind, volume)), vaulttest.Disk(u.t, folder("cellar", kind, volume)))
	}
	if left := u.kubectl("get", "pods", "-n", "cellar-two", "-l", "hozon.dev/mover=true", "-o", "name"); left != "" {
		u.t.Errorf("movers are left: %s", left)
	}
	if left := u.kubectl("logs", "-n", "velero", "deploy/velero"); strings.Contains(left, "forbidden") || strings.Contains(left, "is still there") {
		u.t.Errorf("the server may not do what it does:\n%s", left)
	}
	u.run("backup", "delete", "volumes", "--confirm")
	u.kubectl("wait", "-n", "velero", "--for=delete", "backup/volumes", "--timeout=60s")
}
