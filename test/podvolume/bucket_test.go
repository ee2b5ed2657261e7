// SPDX-License-Identifier: Apache-2.0

package podvolume

import (
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"hozon.dev/hozon/internal/blob"
	"hozon.dev/hozon/internal/blob/s3"
	"hozon.dev/hozon/internal/store"
	"hozon.dev/hozon/test/s3server"
)

// inS3 makes the location of the world a bucket of a real S3 server, empty or with what one of the reference data has; with mode ReadOnly it is only read.
func (w *world) inS3(fixture, mode string) {
	w.t.Helper()
	w.s3 = s3server.Start(w.t)
	if err := w.s3.CreateBucket("store"); err != nil {
		w.t.Fatal(err)
	}
	if fixture != "" {
		if err := os.CopyFS(w.s3.BucketDir("store"), os.DirFS(filepath.Join("../../../shared/fixtures", fixture, "bucket"))); err != nil {
			w.t.Fatalf("the reference data must lie in ../shared/fixtures beside the repository: %v", err)
		}
	}
	file := filepath.Join(w.t.TempDir(), "cloud")
	if err := os.WriteFile(file, []byte("[default]\naws_access_key_id="+w.s3.AccessKey+"\naws_secret_access_key="+w.s3.SecretKey+"\n"), 0o600); err != nil {
		w.t.Fatal(err)
	}
	w.kubectl("", "-n", w.ns, "create", "secret", "generic", "cloud-credentials", "--from-file=cloud="+file)
	w.kubectl("", "-n", w.ns, "delete", "backupstoragelocation", "default")
	w.yaml(strings.NewReplacer("URL", w.s3.Endpoint, "MODE", mode).Replace(`
apiVersion: velero.io/v1
kind: BackupStorageLocation
metadata: {name: default, namespace: SERVER}
spec:
  provider: aws
  default: true
  accessMode: MODE
  backupSyncPeriod: 2s
  validationFrequency: 1s
  objectStorage: {bucket: store}
  credential: {name: cloud-credentials, key: cloud}
  config: {region: us-east-1, s3ForcePathStyle: "true", s3Url: "URL"}
`))
}

// bucket opens the bucket of inS3.
func (w *world) bucket() blob.Bucket {
	w.t.Helper()
	w.t.Setenv("AWS_ACCESS_KEY_ID", w.s3.AccessKey)
	w.t.Setenv("AWS_SECRET_ACCESS_KEY", w.s3.SecretKey)
	b, err := s3.Open(w.t.Context(), s3.Config{Bucket: "store", Endpoint: w.s3.Endpoint, Region: s3server.Region, PathStyle: s3.On})
	if err != nil {
		w.t.Fatal(err)
	}
	return b
}

// openS3 opens the location of inS3.
func (w *world) openS3() *store.Store {
	w.t.Helper()
	st, err := store.Open(w.t.Context(), w.bucket())
	if err != nil {
		w.t.Fatal(err)
	}
	return st
}

// stored are the keys of the bucket of inS3 below a folder.
func (w *world) stored(below string) []string {
	w.t.Helper()
	var keys []string
	root := w.s3.BucketDir("store")
	err := filepath.WalkDir(filepath.Join(root, below), func(path string, d fs.DirEntry, err error) error {
		if os.IsNotExist(err) {
			return nil
		}
		if err == nil && !d.IsDir() {
			key, _ := filepath.Rel(root, path) // it is below
			keys = append(keys, key)
		}
		return err
	})
	if err != nil {
		w.t.Fatal(err)
	}
	slices.Sort(keys)
	return keys
}
