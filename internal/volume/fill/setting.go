// SPDX-License-Identifier: Apache-2.0

package fill

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/yaml"

	velerov1 "hozon.dev/hozon/api/velero/v1"
	"hozon.dev/hozon/internal/budget"
	"hozon.dev/hozon/internal/cluster"
	"hozon.dev/hozon/internal/fail"
	"hozon.dev/hozon/internal/object"
)

var configMapType = object.Type{Version: "v1", Resource: "configmaps", Kind: "ConfigMap", Namespaced: true}

// settle gives a mover what the ConfigMap of the agents says of pods that data are moved through. Its affinity is a wish: a claim has to be bound where its
// workload can run. What cannot be read keeps nobody from being restored.
func (f *Filler) settle(ctx context.Context, name string, pod *corev1.Pod) {
	if name == "" {
		return
	}
	var m corev1.ConfigMap
	body, err := f.Server.Cluster.Get(ctx, configMapType, f.Server.Namespace, name)
	if err == nil {
		err = json.Unmarshal(body, &m)
	}
	var c budget.Config
	if err == nil {
		c, err = budget.Parse(m.Data)
	}
	if err != nil {
		f.Log.Warn("the ConfigMap of the node agents does not count", "configMap", name, "error", err)
		return
	}
	for key, value := range c.PodLabels {
		if _, ours := pod.Labels[key]; !ours {
			pod.Labels[key] = value
		}
	}
	pod.Annotations = maps.Clone(c.PodAnnotations)
	terms := budget.Preferred(f.affine(ctx, c, pod))
	if len(terms) == 0 {
		return
	}
	affinity := &corev1.NodeAffinity{}
	if a := pod.Spec.Affinity; a != nil && a.NodeAffinity != nil {
		affinity = a.NodeAffinity.DeepCopy()
	}
	affinity.PreferredDuringSchedulingIgnoredDuringExecution = append(affinity.PreferredDuringSchedulingIgnoredDuringExecution, terms...)
	pod.Spec.Affinity = &corev1.Affinity{NodeAffinity: affinity}
}

// affine is what the ConfigMap says of the nodes for the claims of a mover: of their storage classes, or else of all.
func (f *Filler) affine(ctx context.Context, c budget.Config, pod *corev1.Pod) []metav1.LabelSelector {
	classes := map[string]bool{}
	for _, v := range pod.Spec.Volumes {
		if v.PersistentVolumeClaim == nil || len(c.LoadAffinity) == 0 {
			continue
		}
		var claim corev1.PersistentVolumeClaim
		body, err := f.Server.Cluster.Get(ctx, claimType, pod.Namespace, v.PersistentVolumeClaim.ClaimName)
		if err == nil && json.Unmarshal(body, &claim) == nil && claim.Spec.StorageClassName != nil {
			classes[*claim.Spec.StorageClassName] = true
		}
	}
	if len(classes) == 0 {
		return c.Affine("")
	}
	var all []metav1.LabelSelector
	for _, class := range slices.Sorted(maps.Keys(classes)) {
		all = append(all, c.Affine(class)...)
	}
	return all
}

// waitSettings are what a user wants of the init containers that hold pods: the ConfigMap of Velero's restore action velero.io/pod-volume-restore. Its image and
// command do not count: the program that waits is in the agents' image, which is on the node.
type waitSettings struct {
	resources corev1.ResourceRequirements
	security  *corev1.SecurityContext
}

const waitLabel = "velero.io/pod-volume-restore"

func (f *Filler) waitSettings(ctx context.Context) (set waitSettings, err error) {
	body, err := f.Server.Cluster.List(ctx, configMapType, cluster.ListOptions{
		Namespace: f.Server.Namespace, LabelSelector: velerov1.LabelPluginConfig + "," + waitLabel + "=RestoreItemAction",
	})
	if err != nil {
		return set, fmt.Errorf("look for the ConfigMap of %s: %w", waitLabel, err)
	}
	defer body.Close()
	var all []corev1.ConfigMap
	_, err = object.Split(body, nil, func(item []byte) error {
		var m corev1.ConfigMap
		if err := json.Unmarshal(item, &m); err != nil {
			return fail.As(fail.Corrupt, err)
		}
		all = append(all, m)
		return nil
	})
	switch {
	case err != nil:
		return set, err
	case len(all) == 0:
		return set, nil
	case len(all) > 1:
		return set, fail.Errorf(fail.Invalid, "ConfigMaps %s and %s both have the label %s=RestoreItemAction: expected one", all[0].Name, all[1].Name, waitLabel)
	}
	m := &all[0]
	for _, key := range []string{"image", "command"} {
		if m.Data[key] != "" {
			f.Log.Warn("setting of pods that wait for their volumes is ignored", "configMap", m.Name, "setting", key, "reason", "they run the image of the node agents")
		}
	}
	return readWait(m)
}

func readWait(m *corev1.ConfigMap) (set waitSettings, err error) {
	bad := func(key string, err error) error {
		return fail.Errorf(fail.Invalid, "ConfigMap %s/%s, key %s: %q: %w", m.Namespace, m.Name, key, m.Data[key], err)
	}
	set.resources = small()
	for _, q := range []struct {
		key  string
		list corev1.ResourceList
		name corev1.ResourceName
	}{
		{"cpuRequest", set.resources.Requests, corev1.ResourceCPU}, {"memRequest", set.resources.Requests, corev1.ResourceMemory},
		{"cpuLimit", set.resources.Limits, corev1.ResourceCPU}, {"memLimit", set.resources.Limits, corev1.ResourceMemory},
	} {
		text := m.Data[q.key]
		if text == "" {
			continue
		}
		n, err := resource.ParseQuantity(text)
		if err != nil {
			return set, bad(q.key, err)
		}
		if q.list[q.name] = n; n.IsZero() {
			delete(q.list, q.name)
		}
	}
	var c corev1.SecurityContext
	for _, id := range []struct {
		key string
		to  **int64
	}{{"secCtxRunAsUser", &c.RunAsUser}, {"secCtxRunAsGroup", &c.RunAsGroup}} {
		text := m.Data[id.key]
		if text == "" {
			continue
		}
		n, err := strconv.ParseInt(text, 10, 64)
		if err != nil {
			return set, bad(id.key, err)
		}
		*id.to, set.security = &n, &c
	}
	if text := m.Data["secCtxAllowPrivilegeEscalation"]; text != "" {
		yes, err := strconv.ParseBool(text)
		if err != nil {
			return set, bad("secCtxAllowPrivilegeEscalation", err)
		}
		c.AllowPrivilegeEscalation, set.security = &yes, &c
	}
	if text := m.Data["secCtx"]; strings.TrimSpace(text) != "" {
		if err := yaml.UnmarshalStrict([]byte(text), &c); err != nil {
			return set, bad("secCtx", err)
		}
		set.security = &c
	}
	return set, nil
}

func (s waitSettings) apply(c *corev1.Container) {
	if s.resources.Limits != nil {
		c.Resources = s.resources
	}
	if s.security != nil {
		c.SecurityContext = s.security.DeepCopy()
	}
}
