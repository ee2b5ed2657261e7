// SPDX-License-Identifier: Apache-2.0

package fill

import (
	"log/slog"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	velerov1 "hozon.dev/hozon/api/velero/v1"
	"hozon.dev/hozon/internal/cluster"
	"hozon.dev/hozon/internal/cluster/clustertest"
	"hozon.dev/hozon/internal/fail"
	"hozon.dev/hozon/internal/velero"
	"hozon.dev/hozon/internal/volume/order"
)

func TestMain(m *testing.M) { clustertest.Main(m) }

func helperMap(data map[string]string) *corev1.ConfigMap {
	return &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Namespace: "velero", Name: "helper"}, Data: data}
}

// TestReadWait: each key of Velero's ConfigMap changes what it names, and leaves the rest as it is.
func TestReadWait(t *testing.T) {
	spec := &corev1.PodSpec{SecurityContext: &corev1.PodSecurityContext{RunAsUser: new(int64(7))}}
	for name, tt := range map[string]struct {
		data map[string]string
		want func(c corev1.Container) bool
	}{
		"nothing": {nil, func(c corev1.Container) bool {
			return c.Resources.Limits.Memory().String() == "128Mi" && *c.SecurityContext.RunAsUser == 7
		}},
		"resources": {map[string]string{"memLimit": "1Gi", "cpuLimit": "0", "cpuRequest": "5m"}, func(c corev1.Container) bool {
			_, limited := c.Resources.Limits[corev1.ResourceCPU]
			return !limited && c.Resources.Limits.Memory().String() == "1Gi" && c.Resources.Requests.Cpu().String() == "5m" && c.Resources.Requests.Memory().String() == "128Mi"
		}},
		"user": {map[string]string{"secCtxRunAsUser": "1001", "secCtxRunAsGroup": "999", "secCtxAllowPrivilegeEscalation": "false"}, func(c corev1.Container) bool {
			s := c.SecurityContext
			return *s.RunAsUser == 1001 && *s.RunAsGroup == 999 && !*s.AllowPrivilegeEscalation && s.Capabilities == nil
		}},
		"context": {map[string]string{"secCtx": "capabilities:\n  drop: [ALL]\nreadOnlyRootFilesystem: true\n"}, func(c corev1.Container) bool {
			return *c.SecurityContext.ReadOnlyRootFilesystem && c.SecurityContext.Capabilities.Drop[0] == "ALL" && c.SecurityContext.RunAsUser == nil
		}},
	} {
		set, err := readWait(helperMap(tt.data))
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		c := wait("image", "uid", spec, []string{"v"})
		if set.apply(&c); !tt.want(c) || c.Image != "image" {
			t.Errorf("%s: %+v", name, c)
		}
	}
	for key, value := range map[string]string{"memLimit": "much", "secCtxRunAsUser": "root", "secCtxAllowPrivilegeEscalation": "perhaps", "secCtx": "nonsense: true"} {
		if _, err := readWait(helperMap(map[string]string{key: value})); !fail.Is(err, fail.Invalid) || !strings.Contains(err.Error(), "ConfigMap velero/helper, key "+key) {
			t.Errorf("%s: %v", key, err)
		}
	}
}

// TestSettings: what the ConfigMaps of a cluster say of the pods by which volumes are filled is found, and counts; what two say, or what cannot be read, is told.
func TestSettings(t *testing.T) {
	if testing.Short() {
		t.Skip("starts an API server")
	}
	c := clustertest.Shared(t)
	client, err := cluster.Open(cluster.Options{Kubeconfig: c.Kubeconfig()})
	if err != nil {
		t.Fatal(err)
	}
	ns := c.Namespace(t)
	apply := func(text string) {
		t.Helper()
		cmd := c.Kubectl(t.Context(), "-n", ns, "apply", "-f", "-")
		cmd.Stdin = strings.NewReader(text)
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("%v: %s", err, out)
		}
	}
	var log strings.Builder
	f := &Filler{Desk: order.Desk[velerov1.PodVolumeRestore]{
		Kind: order.Restores, Server: velero.Client{Cluster: client, Namespace: ns}, Log: slog.New(slog.NewTextHandler(&log, nil)),
	}}
	apply(`
apiVersion: v1
kind: ConfigMap
metadata: {name: agents}
data: {a.json: '{"podLabels": {"team": "storage", "hozon.dev/mover": "false"}, "podAnnotations": {"sidecar.istio.io/inject": "false"},
  "loadAffinity": [{"nodeSelector": {"matchLabels": {"any": "x"}}}, {"storageClass": "gold", "nodeSelector": {"matchLabels": {"disk": "fast"}}}]}'}
---
apiVersion: v1
kind: PersistentVolumeClaim
metadata: {name: data}
spec: {storageClassName: gold, accessModes: [ReadWriteOnce], resources: {requests: {storage: 1Gi}}}
---
apiVersion: v1
kind: ConfigMap
metadata: {name: helper, labels: {velero.io/plugin-config: "", velero.io/pod-volume-restore: RestoreItemAction}}
data: {memLimit: 64Mi, memRequest: 64Mi, image: example.test/velero}
`)
	wanted := &velerov1.PodVolumeRestore{
		ObjectMeta: metav1.ObjectMeta{Annotations: map[string]string{velerov1.AnnotationPVCName: "data"}, Labels: map[string]string{}},
		Spec:       velerov1.PodVolumeRestoreSpec{Pod: corev1.ObjectReference{Namespace: ns}, Volume: "v"},
	}
	like := corev1.PodSpec{Affinity: &corev1.Affinity{NodeAffinity: &corev1.NodeAffinity{RequiredDuringSchedulingIgnoredDuringExecution: &corev1.NodeSelector{}}}}
	pod := mover("image", like, []*velerov1.PodVolumeRestore{wanted})
	f.settle(t.Context(), "agents", pod)
	a := pod.Spec.Affinity.NodeAffinity
	if len(a.PreferredDuringSchedulingIgnoredDuringExecution) != 1 || a.PreferredDuringSchedulingIgnoredDuringExecution[0].Preference.MatchExpressions[0].Key != "disk" ||
		a.RequiredDuringSchedulingIgnoredDuringExecution == nil || pod.Labels["team"] != "storage" || pod.Labels[LabelMover] != "true" || pod.Annotations["sidecar.istio.io/inject"] != "false" {
		t.Errorf("%+v, %+v", pod.ObjectMeta, a)
	}
	if like.Affinity.NodeAffinity.PreferredDuringSchedulingIgnoredDuringExecution != nil {
		t.Error("the saved pod was changed")
	}
	if f.settle(t.Context(), "lost", pod); !strings.Contains(log.String(), "configMap=lost") {
		t.Errorf("%s", &log)
	}
	set, err := f.waitSettings(t.Context())
	if err != nil || set.resources.Limits.Memory().String() != "64Mi" || !strings.Contains(log.String(), "setting=image") {
		t.Errorf("%+v, %v\n%s", set, err, &log)
	}
	apply(`{apiVersion: v1, kind: ConfigMap, metadata: {name: other, labels: {velero.io/plugin-config: "", velero.io/pod-volume-restore: RestoreItemAction}}}`)
	if _, err := f.waitSettings(t.Context()); !fail.Is(err, fail.Invalid) || !strings.Contains(err.Error(), "ConfigMaps helper and other both have the label") {
		t.Errorf("%v", err)
	}
}
