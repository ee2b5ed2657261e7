// SPDX-License-Identifier: Apache-2.0

package server

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	velerov1 "hozon.dev/hozon/api/velero/v1"
	"hozon.dev/hozon/internal/blob/open"
	"hozon.dev/hozon/internal/vault"
	"hozon.dev/hozon/internal/volume"
)

func (w *world) repository(namespace string, every time.Duration) *velerov1.BackupRepository {
	meta := w.meta(namespace + "-default-kopia")
	meta.Labels = map[string]string{velerov1.LabelVolumeNamespace: namespace, velerov1.LabelStorageLocation: "default", velerov1.LabelRepositoryType: "kopia"}
	return &velerov1.BackupRepository{ObjectMeta: meta, Spec: velerov1.BackupRepositorySpec{
		VolumeNamespace: namespace, BackupStorageLocation: "default", RepositoryType: "kopia", MaintenanceFrequency: velerov1.Duration{Duration: every},
	}}
}

func awaitRepository(w *world, r *velerov1.BackupRepository, wanted func(*velerov1.BackupRepository) bool) *velerov1.BackupRepository {
	return await(w, r, &velerov1.BackupRepositoryList{}, wanted)
}

// TestRepository: a BackupRepository is made and becomes Ready; it is maintained, in another process, and what it holds is told.
func TestRepository(t *testing.T) {
	if testing.Short() {
		t.Skip("starts servers")
	}
	w := newWorld(t)
	w.serve()
	w.create(w.repository("shop", 0))
	r := awaitRepository(w, w.repository("shop", 0), func(r *velerov1.BackupRepository) bool { return r.Status.Phase == velerov1.BackupRepositoryPhaseReady })
	if r.Spec.MaintenanceFrequency.Duration != time.Hour {
		t.Errorf("maintained every %s", r.Spec.MaintenanceFrequency)
	}
	if files := w.stored("kopia/shop"); !slices.ContainsFunc(files, func(f string) bool { return strings.HasSuffix(f, "udmrepo.Repository") }) {
		t.Errorf("%v", files)
	}
	t.Setenv("AWS_ACCESS_KEY_ID", w.s3.AccessKey)
	t.Setenv("AWS_SECRET_ACCESS_KEY", w.s3.SecretKey)
	bucket, err := open.Bucket(t.Context(), "s3://"+w.ns+"?endpoint="+w.s3.Endpoint, open.Options{})
	if err != nil {
		t.Fatal(err)
	}
	passwords, err := volume.Passwords(t.Context(), bucket, nil)
	if err != nil {
		t.Fatal(err)
	}
	opened, err := volume.OpenWrite(t.Context(), bucket, "shop", passwords, "")
	if err != nil {
		t.Fatal(err)
	}
	folder := t.TempDir()
	if err := os.WriteFile(filepath.Join(folder, "file"), make([]byte, 1<<20), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := opened.Save(t.Context(), folder, vault.Source{Namespace: "shop", Pod: "p", Volume: "v"}, vault.SaveOptions{}); err != nil {
		t.Fatal(err)
	}
	if err := opened.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	edit(w, w.repository("shop", 0), func(r *velerov1.BackupRepository) { r.Spec.MaintenanceFrequency.Duration = time.Second })
	r = awaitRepository(w, w.repository("shop", 0), func(r *velerov1.BackupRepository) bool { return len(r.Status.RecentMaintenance) == 3 })
	for _, m := range r.Status.RecentMaintenance {
		if m.Result != velerov1.BackupRepositoryMaintenanceSucceeded || m.CompleteTimestamp == nil {
			t.Errorf("%+v", m)
		}
	}
	var usage velerov1.RepositoryUsage
	if err := json.Unmarshal([]byte(r.Annotations[velerov1.AnnotationUsage]), &usage); err != nil || usage.Logical != 1<<20 || usage.Snapshots != 1 || usage.Stored == 0 {
		t.Errorf("%+v, %v", usage, err)
	}
	if out := w.hozon(nil, "repo", "get"); !strings.Contains(out, "1.0 MiB") || !strings.Contains(out, "Ready") {
		t.Errorf("%s", out)
	}
}

// TestRepositoryNotReady: a location that is not there is told, and taken up when it is. A password of one's own does not die with its cluster: the
// location keeps it.
func TestRepositoryNotReady(t *testing.T) {
	if testing.Short() {
		t.Skip("starts servers")
	}
	w := newWorld(t)
	w.serve()
	lost := w.repository("shop", time.Hour)
	lost.Spec.BackupStorageLocation = "later"
	w.create(lost)
	awaitRepository(w, lost, notReady("location later not found"))
	w.create(w.location("later", w.ns, false))
	awaitRepository(w, lost, func(r *velerov1.BackupRepository) bool { return r.Status.Phase == velerov1.BackupRepositoryPhaseReady })
	secret := &corev1.Secret{ObjectMeta: w.meta("velero-repo-credentials"), Data: map[string][]byte{"repository-password": []byte("one's own")}}
	w.create(secret)
	w.create(w.repository("attic", time.Hour))
	awaitRepository(w, w.repository("attic", 0), isReady)
	for _, o := range []client.Object{secret, w.repository("attic", 0)} {
		if err := w.client.Delete(t.Context(), o); err != nil {
			t.Fatal(err)
		}
	}
	w.create(w.repository("attic", time.Hour))
	awaitRepository(w, w.repository("attic", 0), isReady)
}

// TestRepositoryJob: in a pod, maintenance is a Job like the server's pod, with bounds.
func TestRepositoryJob(t *testing.T) {
	if testing.Short() {
		t.Skip("starts servers")
	}
	w := newWorld(t)
	labels := map[string]string{"deploy": "velero"}
	w.create(&appsv1.Deployment{ObjectMeta: w.meta("velero"), Spec: appsv1.DeploymentSpec{
		Selector: &metav1.LabelSelector{MatchLabels: labels},
		Template: corev1.PodTemplateSpec{ObjectMeta: metav1.ObjectMeta{Labels: labels}, Spec: corev1.PodSpec{
			ServiceAccountName: "velero",
			Containers:         []corev1.Container{{Name: "velero", Image: "example.test/hozon:1", Command: []string{"/hozon"}, Args: []string{"server"}}},
		}},
	}})
	w.create(&corev1.ConfigMap{ObjectMeta: w.meta("jobs"), Data: map[string]string{
		"global":             `{"podResources":{"memoryLimit":"768Mi","cpuRequest":"100m","ephemeralStorageLimit":"2Gi"},"podLabels":{"a":"b"},"loadAffinity":[{"nodeSelector":{"matchLabels":{"size":"small"}}}]}`,
		"shop-default-kopia": `{"podResources":{"memoryLimit":"512Mi"},"loadAffinity":[{"nodeSelector":{"matchExpressions":[{"key":"gpu","operator":"DoesNotExist"}]}}]}`,
	}})
	w.env = append(w.env, "KUBERNETES_SERVICE_HOST=127.0.0.1")
	w.serve("--repo-maintenance-job-configmap=jobs")
	w.create(w.repository("shop", time.Second))
	var jobs batchv1.JobList
	for deadline := time.Now().Add(patience); len(jobs.Items) == 0 && time.Now().Before(deadline); time.Sleep(50 * time.Millisecond) {
		if err := w.client.List(t.Context(), &jobs); err != nil {
			t.Fatal(err)
		}
	}
	if len(jobs.Items) == 0 {
		t.Fatal("no Job was made")
	}
	job := jobs.Items[0]
	pod := job.Spec.Template.Spec
	c := pod.Containers[0]
	if !strings.HasPrefix(job.Name, "shop-default-kopia-maintain-job-") || c.Image != "example.test/hozon:1" || pod.ServiceAccountName != "velero" || c.Args[0] != "repo-maintenance" ||
		c.Resources.Limits.Memory().String() != "512Mi" || c.Resources.Requests.Cpu().String() != "100m" || c.Resources.Limits.StorageEphemeral().String() != "2Gi" || job.Spec.Template.Labels["a"] != "b" {
		t.Errorf("%+v", job)
	}
	if a := pod.Affinity; a == nil || len(a.NodeAffinity.RequiredDuringSchedulingIgnoredDuringExecution.NodeSelectorTerms) != 1 ||
		fmt.Sprint(a.NodeAffinity.RequiredDuringSchedulingIgnoredDuringExecution.NodeSelectorTerms[0].MatchExpressions) != "[{gpu DoesNotExist []}]" {
		t.Errorf("%+v", a)
	}
}

// TestRepositoryConfig: a new repository gets what the ConfigMap says of its type, as with Velero. What it says wrongly is told, and taken up when it is mended.
func TestRepositoryConfig(t *testing.T) {
	if testing.Short() {
		t.Skip("starts servers")
	}
	w := newWorld(t)
	settings := &corev1.ConfigMap{ObjectMeta: w.meta("repositories"), Data: map[string]string{"kopia": `{"cacheLimitMB": 50, "fullMaintenanceInterval": "yearlyGC"}`}}
	w.create(settings)
	w.serve("--backup-repository-configmap=repositories")
	w.create(w.repository("shop", time.Hour))
	awaitRepository(w, w.repository("shop", 0), notReady(`"yearlyGC": known are eagerGC, fastGC, normalGC`))
	edit(w, settings, func(c *corev1.ConfigMap) {
		c.Data["kopia"] = `{"cacheLimitMB": 50, "fullMaintenanceInterval": "normalGC"}`
	})
	edit(w, w.repository("shop", 0), func(r *velerov1.BackupRepository) { r.Annotations = map[string]string{"look": "again"} })
	r := awaitRepository(w, w.repository("shop", 0), isReady)
	if c := r.Spec.RepositoryConfig; len(c) != 2 || c["cacheLimitMB"] != "50" || c["fullMaintenanceInterval"] != "normalGC" {
		t.Errorf("%v", c)
	}
	edit(w, w.repository("shop", 0), func(r *velerov1.BackupRepository) { r.Spec.RepositoryConfig["cacheLimitMB"] = "much" })
	awaitRepository(w, w.repository("shop", 0), notReady(`cacheLimitMB "much": expected a number of MB`))
}

// TestRepositoryTrouble: a repository that was lost, damaged or is out of reach after it had been Ready is told by the next maintenance, with the way out, by
// `repo get` and `repo describe`; and it is Ready again when it is back.
func TestRepositoryTrouble(t *testing.T) {
	if testing.Short() {
		t.Skip("starts servers")
	}
	w := newWorld(t)
	w.serve()
	w.create(w.repository("shop", time.Second))
	awaitRepository(w, w.repository("shop", 0), func(r *velerov1.BackupRepository) bool { return isReady(r) && len(r.Status.RecentMaintenance) > 0 })
	file := filepath.Join(w.s3.BucketDir(w.ns), "kopia/shop/kopia.repository")
	whole, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	put := func(content []byte) {
		t.Helper()
		if err := os.WriteFile(file, content, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for _, tt := range []struct {
		name  string
		spoil func()
		text  string
	}{
		{"damaged", func() { put([]byte("{")) }, "kopia.repository: "},
		{"gone", func() {
			if err := os.Remove(file); err != nil {
				t.Fatal(err)
			}
		}, "kopia.repository is missing, but there are other objects of a repository: bring it back from a copy of the bucket"},
		{"out of reach", func() { put(whole); w.s3.Stop() }, "connection refused"},
	} {
		tt.spoil()
		edit(w, w.repository("shop", 0), func(r *velerov1.BackupRepository) { r.Annotations = map[string]string{"look": tt.name} })
		awaitRepository(w, w.repository("shop", 0), notReady(tt.text))
		for _, verb := range []string{"get", "describe"} {
			if out := w.hozon(nil, "repo", verb); !strings.Contains(out, tt.text) || !strings.Contains(out, "NotReady") {
				t.Errorf("%s: repo %s:\n%s", tt.name, verb, out)
			}
		}
	}
	if err := w.s3.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	edit(w, w.repository("shop", 0), func(r *velerov1.BackupRepository) { r.Annotations = map[string]string{"look": "again"} })
	awaitRepository(w, w.repository("shop", 0), isReady)
}

func isReady(r *velerov1.BackupRepository) bool {
	return r.Status.Phase == velerov1.BackupRepositoryPhaseReady
}

func notReady(text string) func(*velerov1.BackupRepository) bool {
	return func(r *velerov1.BackupRepository) bool {
		return r.Status.Phase == velerov1.BackupRepositoryPhaseNotReady && strings.Contains(r.Status.Message, text)
	}
}
