// SPDX-License-Identifier: Apache-2.0

package restore_test

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	velerov1 "hozon.dev/hozon/api/velero/v1"
	"hozon.dev/hozon/internal/blob/mem"
	"hozon.dev/hozon/internal/cluster"
	"hozon.dev/hozon/internal/cluster/clustertest"
	"hozon.dev/hozon/internal/fail"
	"hozon.dev/hozon/internal/object"
	"hozon.dev/hozon/internal/restore"
)

// TestReplacements: the ConfigMaps of Velero's actions change-storage-class and change-image-name count, and what is wrong with them refuses the restore.
func TestReplacements(t *testing.T) {
	c := clustertest.Shared(t)
	k, ns := client(t, c), c.Namespace(t)
	class(t, k, ns, "Immediate")
	s := backup(t, mem.New(), "b", true, [][]byte{
		fmt.Appendf(nil, `{"apiVersion":"v1","kind":"PersistentVolumeClaim","metadata":{"name":"data","namespace":%q},"spec":{"accessModes":["ReadWriteOnce"],"storageClassName":"fast","resources":{"requests":{"storage":"1Gi"}}}}`, ns),
		fmt.Appendf(nil, `{"apiVersion":"v1","kind":"Pod","metadata":{"name":"p","namespace":%q},"spec":{"containers":[{"name":"c","image":"registry.old/app:1"}]},"status":{"phase":"Running"}}`, ns),
	})
	maps := object.Type{Version: "v1", Resource: "configmaps", Kind: "ConfigMap", Namespaced: true}
	config := func(name, action, data string) {
		t.Helper()
		_ = k.Delete(t.Context(), maps, ns, name, cluster.DeleteOptions{})
		body := fmt.Appendf(nil, `{"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":%q,"labels":{"velero.io/plugin-config":"","velero.io/%s":"RestoreItemAction"}},"data":%s}`, name, action, data)
		if _, err := k.Create(t.Context(), maps, ns, body, cluster.WriteOptions{}); err != nil {
			t.Fatal(err)
		}
	}
	run := func() (restore.Result, error) {
		e := restore.Engine{Target: k, Store: s, Now: time.Now}
		return e.Run(t.Context(), &velerov1.Restore{ObjectMeta: metav1.ObjectMeta{Name: "r", Namespace: ns}, Spec: velerov1.RestoreSpec{BackupName: "b"}}, restore.Options{})
	}
	config("classes", "change-storage-class", `{"fast":"nobody"}`)
	config("images", "change-image-name", `{"one":"registry.old/","two":"a,b,c"}`)
	_, err := run()
	for _, want := range []string{`ConfigMap NS/images, key one: "registry.old/": expected two parts of an image's name, "old,new"`, `key two: "a,b,c": expected`} {
		if !fail.Is(err, fail.Invalid) || !strings.Contains(strings.ReplaceAll(fmt.Sprint(err), ns, "NS"), want) {
			t.Errorf("%v, want %s", err, want)
		}
	}
	config("images", "change-image-name", `{"one":"registry.old/,registry.new/"}`)
	if _, err = run(); !fail.Is(err, fail.Invalid) || !strings.Contains(err.Error(), "/classes, key fast: expected a storage class that the target or the backup has, and there is no \"nobody\"") {
		t.Errorf("a class that nobody has: %v", err)
	}
	config("again", "change-storage-class", `{"a":"b"}`)
	if _, err = run(); !fail.Is(err, fail.Invalid) || !strings.Contains(err.Error(), "all have the label velero.io/change-storage-class=RestoreItemAction: expected one") {
		t.Errorf("two ConfigMaps: %v", err)
	}
	_ = k.Delete(t.Context(), maps, ns, "again", cluster.DeleteOptions{})
	config("classes", "change-storage-class", fmt.Sprintf(`{"fast":%q}`, ns))
	r, err := run()
	if err != nil || r.Restore.Status.Phase != velerov1.RestorePhaseCompleted {
		t.Fatalf("%v: %+v", err, r.Report.Results())
	}
	var claim corev1.PersistentVolumeClaim
	var pod corev1.Pod
	for name, to := range map[string]any{"data": &claim, "p": &pod} {
		typ := claimKind
		if to == any(&pod) {
			typ = object.Type{Version: "v1", Resource: "pods", Kind: "Pod", Namespaced: true}
		}
		body, err := k.Get(t.Context(), typ, ns, name)
		if err != nil {
			t.Fatal(err)
		}
		if err := json.Unmarshal(body, to); err != nil {
			t.Fatal(err)
		}
	}
	if *claim.Spec.StorageClassName != ns || pod.Spec.Containers[0].Image != "registry.new/app:1" {
		t.Errorf("class %q, image %q", *claim.Spec.StorageClassName, pod.Spec.Containers[0].Image)
	}
}
