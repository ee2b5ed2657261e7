// SPDX-License-Identifier: Apache-2.0

package restore_test

import (
	"encoding/json"
	"fmt"
	"testing"

	corev1 "k8s.io/api/core/v1"

	velerov1 "hozon.dev/hozon/api/velero/v1"
	"hozon.dev/hozon/internal/blob/mem"
	"hozon.dev/hozon/internal/cluster/clustertest"
	"hozon.dev/hozon/internal/object"
)

// TestSavedWaitContainer: a pod that was saved with the container by which an earlier restore held it back is restored without it: nobody would let it go.
func TestSavedWaitContainer(t *testing.T) {
	c := clustertest.Shared(t)
	k, ns := client(t, c), c.Namespace(t)
	for name, wait := range map[string]string{
		"new": `{"name":"restore-wait","image":"velero/velero:v1.18.3","command":["/velero-restore-helper"],"args":["uid"]}`,
		"old": `{"name":"restic-wait","image":"velero/velero-restic-restore-helper:v1.5.2"}`,
	} {
		s := backup(t, mem.New(), "b", true, [][]byte{fmt.Appendf(nil, `{"apiVersion":"v1","kind":"Pod","metadata":{"name":%q,"namespace":%q},
			"spec":{"initContainers":[%s,{"name":"own","image":"i"}],"containers":[{"name":"c","image":"i"}]},"status":{"phase":"Running"}}`, name, ns, wait)})
		completed(t, k, s, name, velerov1.RestoreSpec{BackupName: "b"})
		body, err := k.Get(t.Context(), object.Type{Version: "v1", Resource: "pods", Kind: "Pod", Namespaced: true}, ns, name)
		if err != nil {
			t.Fatal(err)
		}
		var pod corev1.Pod
		if err := json.Unmarshal(body, &pod); err != nil {
			t.Fatal(err)
		}
		if init := pod.Spec.InitContainers; len(init) != 1 || init[0].Name != "own" {
			t.Errorf("%s: init containers %+v", name, init)
		}
	}
}
