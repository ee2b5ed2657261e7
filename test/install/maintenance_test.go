// SPDX-License-Identifier: Apache-2.0

package install

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	batchv1 "k8s.io/api/batch/v1"

	velerov1 "hozon.dev/hozon/api/velero/v1"
	"hozon.dev/hozon/internal/blob/open"
	"hozon.dev/hozon/internal/vault"
	"hozon.dev/hozon/internal/volume"
)

// TestMaintenanceJob: an installed server has a repository maintained by Jobs in real pods, within their bounds, one after the other, and tells what is in it.
func TestMaintenanceJob(t *testing.T) {
	if testing.Short() {
		t.Skip("starts a cluster with a node")
	}
	u := newUser(t)
	u.run("install", "--image", u.image, "--provider", "aws", "--bucket", "store", "--secret-file", u.credentials, "--backup-location-config", u.config,
		"--use-volume-snapshots=false", "--rbac", "split", "--repo-maintenance-job-configmap", "jobs", "--default-repo-maintain-frequency", "1s", "--wait", "--timeout", "3m")
	u.apply(`{"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"namespace": "velero", "name": "jobs"}, "data": {
		"global": "{\"podResources\": {\"memoryLimit\": \"300Mi\", \"cpuLimit\": \"1\"}, \"keepLatestMaintenanceJobs\": 1, \"loadAffinity\": [{\"nodeSelector\": {\"matchLabels\": {\"kubernetes.io/os\": \"linux\"}}}]}"}}`)
	u.save("shop", 2<<20)
	u.apply(`{"apiVersion": "velero.io/v1", "kind": "BackupRepository", "metadata": {"namespace": "velero", "name": "shop-default-kopia"},
		"spec": {"volumeNamespace": "shop", "backupStorageLocation": "default", "repositoryType": "kopia", "maintenanceFrequency": "0s"}}`)
	var r velerov1.BackupRepository
	for deadline := time.Now().Add(4 * time.Minute); len(r.Status.RecentMaintenance) < 2; time.Sleep(200 * time.Millisecond) {
		if u.read(&r, "backuprepository/shop-default-kopia"); time.Now().After(deadline) {
			t.Fatalf("two maintenances were waited for: %+v\n%s", r.Status, u.state())
		}
	}
	u.kubectl("patch", "-n", "velero", "backuprepository/shop-default-kopia", "--type=merge", "-p", `{"spec": {"maintenanceFrequency": "1h0m0s"}}`)

	r = velerov1.BackupRepository{}
	u.read(&r, "backuprepository/shop-default-kopia")
	for i, m := range r.Status.RecentMaintenance {
		if m.Result != velerov1.BackupRepositoryMaintenanceSucceeded {
			t.Errorf("maintenance %d: %+v", i, m)
		}
		if i > 0 && m.StartTimestamp.Before(r.Status.RecentMaintenance[i-1].CompleteTimestamp) {
			t.Errorf("maintenance %d began before the one before had ended: %+v", i, r.Status.RecentMaintenance)
		}
	}
	var jobs batchv1.JobList
	for deadline := time.Now().Add(time.Minute); ; time.Sleep(200 * time.Millisecond) { // one is kept, and one may have begun since
		jobs = batchv1.JobList{}
		u.read(&jobs, "jobs", "-l", "velero.io/repo-name=shop-default-kopia")
		if n := len(jobs.Items); n == 1 || n == 2 {
			break
		}
		if time.Now().After(deadline) {
			t.Fatalf("%d Jobs are there, of which one that has ended was to be kept", len(jobs.Items))
		}
	}
	for _, j := range jobs.Items {
		spec := j.Spec.Template.Spec
		if limits := spec.Containers[0].Resources.Limits; limits.Memory().String() != "300Mi" || limits.Cpu().String() != "1" || spec.Affinity == nil {
			t.Errorf("%+v", spec)
		}
	}
	u.contains(u.run("repo", "get"), "shop-default-kopia", "Ready", "2.0 MiB")
	u.contains(u.run("repo", "describe", "shop-default-kopia"), "Reclaimable:", "Succeeded after")
}

// save makes a repository with a snapshot of one file.
func (u *user) save(namespace string, size int) {
	u.t.Helper()
	u.repository(namespace)
	folder := u.t.TempDir()
	if err := os.WriteFile(filepath.Join(folder, "file"), make([]byte, size), 0o600); err != nil {
		u.t.Fatal(err)
	}
	b, err := open.Bucket(u.t.Context(), "s3://store?endpoint="+u.s3.Endpoint, open.Options{})
	if err != nil {
		u.t.Fatal(err)
	}
	r, err := volume.OpenWrite(u.t.Context(), b, namespace, []string{"static-passw0rd"}, "")
	if err != nil {
		u.t.Fatal(err)
	}
	if _, err := r.Save(u.t.Context(), folder, vault.Source{Namespace: namespace, Pod: "p", Volume: "v"}, vault.SaveOptions{}); err != nil {
		u.t.Fatal(err)
	}
	if err := r.Close(u.t.Context()); err != nil {
		u.t.Fatal(err)
	}
}

// read reads an object of the server's namespace, or a list.
func (u *user) read(o any, args ...string) {
	u.t.Helper()
	text := u.kubectl(append([]string{"get", "-n", "velero", "-o", "json"}, args...)...)
	if err := json.NewDecoder(strings.NewReader(text)).Decode(o); err != nil {
		u.t.Fatal(err)
	}
}
