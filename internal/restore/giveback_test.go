// SPDX-License-Identifier: Apache-2.0

package restore_test

import (
	"bytes"
	"compress/gzip"
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"

	velerov1 "hozon.dev/hozon/api/velero/v1"
	"hozon.dev/hozon/internal/blob"
	"hozon.dev/hozon/internal/blob/mem"
	"hozon.dev/hozon/internal/cluster"
	"hozon.dev/hozon/internal/cluster/clustertest"
	"hozon.dev/hozon/internal/object"
	"hozon.dev/hozon/internal/restore"
	"hozon.dev/hozon/internal/store"
)

var (
	claimKind  = object.Type{Version: "v1", Resource: "persistentvolumeclaims", Kind: "PersistentVolumeClaim", Namespaced: true}
	volumeKind = object.Type{Version: "v1", Resource: "persistentvolumes", Kind: "PersistentVolume"}
	classKind  = object.Type{Group: "storage.k8s.io", Version: "v1", Resource: "storageclasses", Kind: "StorageClass"}
)

// class makes a StorageClass whose volumes are kept. Nobody makes volumes of it but the test.
func class(t *testing.T, k *cluster.Client, name, mode string) {
	t.Helper()
	body := fmt.Appendf(nil, `{"apiVersion":"storage.k8s.io/v1","kind":"StorageClass","metadata":{"name":%q},"provisioner":"test.hozon.dev/x","reclaimPolicy":"Retain","volumeBindingMode":%q}`, name, mode)
	if _, err := k.Create(t.Context(), classKind, "", body, cluster.WriteOptions{}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = k.Delete(context.Background(), classKind, "", name, cluster.DeleteOptions{}) })
}

// provision is what a provisioner does: it makes a volume for a claim as soon as that is there, and binds it.
func provision(t *testing.T, k *cluster.Client, ns, claim string) error {
	w, err := k.Watch(t.Context(), claimKind, ns, "", cluster.WatchOptions{FieldSelector: "metadata.name=" + claim})
	if err != nil {
		return err
	}
	defer w.Close()
	if _, err := w.Next(); err != nil {
		return err
	}
	pv := fmt.Appendf(nil, `{"apiVersion":"v1","kind":"PersistentVolume","metadata":{"name":"%s-new","labels":{"topology.kubernetes.io/zone":"here"}},"spec":{"capacity":{"storage":"1Gi"},"accessModes":["ReadWriteOnce"],
		"persistentVolumeReclaimPolicy":"Retain","hostPath":{"path":"/x"},"claimRef":{"namespace":%q,"name":%q}}}`, ns, ns, claim)
	if _, err := k.Create(t.Context(), volumeKind, "", pv, cluster.WriteOptions{}); err != nil {
		return err
	}
	if _, err := k.Patch(t.Context(), claimKind, ns, claim, types.MergePatchType, fmt.Appendf(nil, `{"spec":{"volumeName":"%s-new"}}`, ns), cluster.WriteOptions{}); err != nil {
		return err
	}
	_, err = k.Patch(t.Context(), claimKind, ns, claim, types.MergePatchType, []byte(`{"status":{"phase":"Bound"}}`), cluster.WriteOptions{Subresource: "status"})
	return err
}

// claimed is a backup of a claim and its volume, which goes with it, and of what is recorded about that.
func claimed(t *testing.T, ns, class string) *store.Store {
	t.Helper()
	bucket := mem.New()
	s := backup(t, bucket, "b", false, [][]byte{
		fmt.Appendf(nil, `{"apiVersion":"v1","kind":"PersistentVolume","metadata":{"name":"%s-old"},"spec":{"capacity":{"storage":"1Gi"},"accessModes":["ReadWriteOnce"],"persistentVolumeReclaimPolicy":"Delete","hostPath":{"path":"/x"},"claimRef":{"namespace":%q,"name":"data"}}}`, ns, ns),
		fmt.Appendf(nil, `{"apiVersion":"v1","kind":"PersistentVolumeClaim","metadata":{"name":"data","namespace":%q},"spec":{"accessModes":["ReadWriteOnce"],"storageClassName":%q,"volumeName":"%s-old","resources":{"requests":{"storage":"1Gi"}}}}`, ns, class, ns),
	})
	var gz bytes.Buffer
	w := gzip.NewWriter(&gz)
	fmt.Fprintf(w, `[{"pvcName":"data","pvcNamespace":%q,"pvName":"%s-old","skipped":true,"pvInfo":{"reclaimPolicy":"Delete","labels":{"tier":"gold","topology.kubernetes.io/zone":"there"}}}]`, ns, ns)
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := bucket.Put(t.Context(), "backups/b/b-volumeinfo.json.gz", &gz, blob.PutOptions{}); err != nil {
		t.Fatal(err)
	}
	return s
}

// TestNewVolumeIsAsTheOldOne: a volume that a restored claim provisions gets the reclaim policy of the saved one, and its labels but for those that say where it is.
func TestNewVolumeIsAsTheOldOne(t *testing.T) {
	c := clustertest.Shared(t)
	k, ns := client(t, c), c.Namespace(t)
	class(t, k, ns, "Immediate")
	done := make(chan error, 1)
	go func() { done <- provision(t, k, ns, "data") }()
	r, err := run(t, k, claimed(t, ns, ns), "r", velerov1.RestoreSpec{BackupName: "b"}, restore.Options{VolumeWait: time.Minute})
	if err != nil || r.Restore.Status.Phase != velerov1.RestorePhaseCompleted {
		t.Fatalf("%v, %s: %+v", err, r.Restore.Status.Phase, r.Report.Results())
	}
	if err := <-done; err != nil {
		t.Fatal(err)
	}
	body, err := k.Get(t.Context(), volumeKind, "", ns+"-new")
	if err != nil {
		t.Fatal(err)
	}
	var pv corev1.PersistentVolume
	if err := json.Unmarshal(body, &pv); err != nil {
		t.Fatal(err)
	}
	if pv.Spec.PersistentVolumeReclaimPolicy != corev1.PersistentVolumeReclaimDelete || pv.Labels["tier"] != "gold" || pv.Labels["topology.kubernetes.io/zone"] != "here" {
		t.Errorf("the new volume has the policy %s and the labels %v", pv.Spec.PersistentVolumeReclaimPolicy, pv.Labels)
	}
}

// TestNewVolumeDoesNotCome: a volume that does not come in time is an error of its claim; one that waits for a pod is a warning, at once.
func TestNewVolumeDoesNotCome(t *testing.T) {
	c := clustertest.Shared(t)
	k := client(t, c)
	for mode, want := range map[string]struct {
		phase velerov1.RestorePhase
		text  string
	}{
		"Immediate":            {velerov1.RestorePhasePartiallyFailed, "does not get the reclaim policy Delete and the labels of the old one: it was not bound in time"},
		"WaitForFirstConsumer": {velerov1.RestorePhaseCompleted, "no pod uses it yet, and only then it gets a volume: that will have the reclaim policy of its class, and not Delete"},
	} {
		ns := c.Namespace(t)
		class(t, k, ns, mode)
		wait := time.Minute
		if mode == "Immediate" {
			wait = 500 * time.Millisecond
		}
		r, err := run(t, k, claimed(t, ns, ns), "r", velerov1.RestoreSpec{BackupName: "b"}, restore.Options{VolumeWait: wait})
		if err != nil {
			t.Fatal(err)
		}
		results := r.Report.Results()
		said := strings.Join(append(results.Errors.Namespaces[ns], results.Warnings.Namespaces[ns]...), "\n")
		if r.Restore.Status.Phase != want.phase || !strings.Contains(said, "PersistentVolumeClaim data: ") || !strings.Contains(said, want.text) {
			t.Errorf("%s: %s: %s", mode, r.Restore.Status.Phase, said)
		}
	}
}
