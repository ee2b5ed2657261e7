// SPDX-License-Identifier: Apache-2.0

package seed

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

const (
	bucket    = "velero-backup-20210523"
	installed = `hozon install \
     --provider aws \
     --plugins velero/velero-plugin-for-aws:v1.1.0 \
     --bucket velero-backup-20210523 \
     --backup-location-config region=ap-northeast-1 \
     --snapshot-location-config region=ap-northeast-1 \
     --secret-file ./credentials-velero
kubectl wait -n velero --for=condition=Available deployment/velero --timeout=180s
kubectl wait -n velero backupstoragelocation/default --for=jsonpath='{.status.phase}'=Available --timeout=90s`
)

const testPod = `apiVersion: v1
kind: Pod
metadata: {name: velero-testpod, namespace: default}
spec:
  terminationGracePeriodSeconds: 0
  containers: [{name: main, image: "hozon.test/busybox:1", imagePullPolicy: Never, command: [/bin/sleep, "1000000"]}]
`

// techstep runs "Veleroに入門する". What is its second cluster is here the first one, after everything in it was removed: what it is about is that the bucket is
// all that the clusters share.
func (u *user) techstep(t *testing.T) {
	u.t = t
	if err := u.aws.CreateBucket(bucket); err != nil {
		t.Fatal(err)
	}
	u.credentials(u.aws)
	u.file("pod.yaml", testPod)
	u.sh("kubectl apply -f pod.yaml && kubectl wait pod/velero-testpod --for=condition=Ready --timeout=60s")
	u.sh(installed)
	u.shows(u.sh("kubectl get all -n velero"), "1/1 Running", "deployment.apps/velero 1/1 1 1", "replicaset.apps/velero-")

	out := u.sh("hozon backup create velero-backup-`date +%Y%m%d%H%M`")
	first := strings.Split(out, `"`)[1]
	u.shows(out, `Backup request "`+first+`" submitted successfully.`,
		"Run `hozon backup describe "+first+"` or `hozon backup logs "+first+"` for more details.")
	u.ended("backup", first)
	u.shows(u.sh("hozon backup describe "+first), "Name: "+first, "Namespace: velero", "Labels: velero.io/storage-location=default",
		"Annotations:", "velero.io/source-cluster-k8s-gitversion=v1.", "velero.io/source-cluster-k8s-major-version=1", "velero.io/source-cluster-k8s-minor-version=",
		"Phase: Completed", "Namespaces: Included: * Excluded: <none>",
		"Resources: Included cluster-scoped: <none> Excluded cluster-scoped: <none> Included namespace-scoped: * Excluded namespace-scoped: <none>", // as 1.18 tells what 1.6 told otherwise
		"Label selector: <none>", "Storage Location: default",
		"Velero-Native Snapshot PVs: auto", "TTL: 720h0m0s", "Hooks: <none>", "Backup Format Version: 1.1.0", "+0900 JST", "Total items to be backed up:", "Items backed up:")

	u.sh("hozon uninstall --force && kubectl delete pod velero-testpod")
	u.sh(installed)
	u.sh("kubectl wait -n velero --for=create backup/" + first + " --timeout=90s")
	u.shows(u.sh("hozon backup get"), "NAME STATUS ERRORS WARNINGS CREATED EXPIRES STORAGE LOCATION", first+" Completed 0", "29d default <none>")

	out = u.sh("hozon restore create --from-backup " + first)
	restore := strings.Split(out, `"`)[1]
	u.shows(out, `Restore request "`+first+`-`, "submitted successfully.", "Run `hozon restore describe "+restore+"` or `hozon restore logs "+restore+"` for more details.")
	u.ended("restore", restore)
	u.shows(u.sh("hozon restore describe "+restore), "Phase: Completed", "Started:", "Completed:", "Backup: "+first, "Namespaces: Included: all namespaces found in the backup Excluded: <none>",
		"Resources: Included: * Excluded: nodes, events, events.events.k8s.io, backups.velero.io, restores.velero.io, resticrepositories.velero.io", "Cluster-scoped: auto", "Namespace mappings: <none>",
		"Label selector: <none>", "Restore PVs: auto")
	u.sh("kubectl wait pod/velero-testpod --for=condition=Ready --timeout=60s")

	u.shows(u.sh("hozon schedule create velero-backup-shcedule-`date +%Y%m%d` --schedule=\"*/10 * * * *\""), `Schedule "velero-backup-shcedule-20`, "created successfully.")
	u.sh("kubectl wait -n velero schedules --all --for=jsonpath='{.status.phase}'=Enabled --timeout=30s")

	u.sh("hozon backup create velero-backup-`date +%Y%m%d`-ttl-minutes --ttl 0h1m0s --wait") // goes while the rest is looked at
	out = u.sh("hozon backup create velero-backup-exclude-`date +%Y%m%d%H%M%S` --include-namespaces default --exclude-resources secret --wait")
	exclude := strings.Split(out, `"`)[1]
	out = u.sh("hozon backup describe --details " + exclude)
	u.shows(out, "Namespaces: Included: default Excluded: <none>", "Resources: Included: * Excluded: secret Cluster-scoped: auto", "default/velero-testpod")
	if strings.Contains(out, "v1/Secret") {
		t.Errorf("Secrets were saved:\n%s", out)
	}

	u.sh("hozon backup create velero-backup-20210529-object-storage-test --wait")
	if err := os.RemoveAll(filepath.Join(u.aws.BucketDir(bucket), "backups", "velero-backup-20210529-object-storage-test")); err != nil { // aws s3 rm --recursive
		t.Fatal(err)
	}
	u.sh("kubectl wait -n velero backup/velero-backup-20210529-object-storage-test --for=delete --timeout=150s")
	u.sh("kubectl wait -n velero backup/velero-backup-`date +%Y%m%d`-ttl-minutes --for=delete --timeout=150s")
	u.shows(u.sh("hozon backup get"), first+" Completed")
	if left, _ := filepath.Glob(filepath.Join(u.aws.BucketDir(bucket), "backups", "*-ttl-minutes")); len(left) > 0 {
		t.Errorf("left in the bucket: %v", left)
	}
}

// ended waits until a backup or restore is Completed.
func (u *user) ended(kind, name string) {
	u.t.Helper()
	u.sh("kubectl wait -n velero " + kind + "/" + name + " --for=jsonpath='{.status.phase}'=Completed --timeout=120s")
}
