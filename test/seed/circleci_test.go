// SPDX-License-Identifier: Apache-2.0

package seed

import (
	"fmt"
	"testing"
)

// circleci runs the four installations of "CircleCI Server v3.x のバックアップと復元", each over the last, as its troubleshooting has it: with a new bucket the
// command is simply given again.
func (u *user) circleci(t *testing.T) {
	u.t = t
	for _, err := range []error{u.aws.CreateBucket("circleci-aws"), u.minio.CreateBucket("circleci-minio")} {
		if err != nil {
			t.Fatal(err)
		}
	}
	u.gcs.CreateBucket(t, "circleci-gcp")
	u.sh("kubectl create namespace circleci; kubectl create configmap settings -n circleci --from-literal=colour=blue")

	u.credentials(u.aws)
	u.sh(`BUCKET=circleci-aws REGION=ap-northeast-1
hozon install \
    --provider aws \
    --plugins velero/velero-plugin-for-aws:v1.2.0 \
    --bucket $BUCKET \
    --backup-location-config region=$REGION \
    --snapshot-location-config region=$REGION \
    --secret-file ./credentials-velero \
    --use-restic \
    --wait`)
	u.works("aws", "circleci-aws")

	u.credentials(u.minio)
	u.sh(`hozon install --provider aws \
  --plugins velero/velero-plugin-for-aws:v1.2.0 \
  --bucket circleci-minio \
  --secret-file ./credentials-velero \
  --use-volume-snapshots=false \
  --use-restic \
  --backup-location-config region=minio,s3ForcePathStyle="true",s3Url=` + u.inside + ` \
  --wait`)
	u.works("minio", "circleci-minio")

	u.file("credentials-velero", string(u.google.keyFile()))
	u.sh(`BUCKET=circleci-gcp
hozon install \
    --provider gcp \
    --plugins velero/velero-plugin-for-gcp:v1.2.0 \
    --bucket $BUCKET \
    --secret-file ./credentials-velero \
    --use-restic \
    --wait`)
	u.works("key", "circleci-gcp")
	if u.google.signed.Load() == 0 || u.google.blobs.Load() != 0 {
		t.Errorf("%d files were read by URLs signed with the key, %d signed by Google", u.google.signed.Load(), u.google.blobs.Load())
	}

	u.sh(`BUCKET=circleci-gcp SERVICE_ACCOUNT_EMAIL=` + account + `
hozon install \
    --provider gcp \
    --plugins velero/velero-plugin-for-gcp:v1.2.0 \
    --bucket $BUCKET \
    --no-secret \
    --sa-annotations iam.gke.io/gcp-service-account=$SERVICE_ACCOUNT_EMAIL \
    --backup-location-config serviceAccount=$SERVICE_ACCOUNT_EMAIL \
    --use-restic \
    --wait`)
	u.works("identity", "circleci-gcp")
	if u.google.blobs.Load() == 0 {
		t.Error("nothing was signed by Google for the pod")
	}
	u.shows(u.sh("hozon backup get"), "key Completed", "identity Completed") // of the same bucket
}

// works sees the installation run, as the document shows it, and a backup come back out of its bucket.
func (u *user) works(name, bucket string) {
	u.t.Helper()
	u.sh(`kubectl wait -n velero backupstoragelocation/default --for=jsonpath='{.spec.objectStorage.bucket}'=` + bucket + ` --timeout=60s
kubectl wait -n velero backupstoragelocation/default --for=jsonpath='{.status.phase}'=Available --timeout=90s`)
	u.sh("kubectl rollout status -n velero daemonset/node-agent --timeout=120s") // which --use-restic has asked for
	u.shows(u.sh("kubectl get pods --namespace velero -l name=node-agent"), "1/1 Running")
	u.shows(u.sh("kubectl get pods --namespace velero -l deploy=velero"), "1/1 Running")
	u.shows(u.sh("hozon backup create "+name+" --include-namespaces circleci --wait"), "Backup completed with status: Completed.")
	u.shows(u.sh("hozon backup describe "+name+" --details"), "Phase: Completed", "- circleci/settings")
	u.shows(u.sh("hozon backup logs "+name), "Backed up a total of")
	u.sh("kubectl delete namespace circleci")
	u.shows(u.sh("hozon restore create --from-backup "+name+" --wait"), "Restore completed with status: Completed.")
	u.shows(u.sh("kubectl get configmap settings -n circleci -o jsonpath='{.data.colour}'"), "blue")
	u.shows(u.sh("hozon restore get"), fmt.Sprintf("%s Completed", name))
}
