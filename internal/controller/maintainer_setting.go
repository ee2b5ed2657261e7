// SPDX-License-Identifier: Apache-2.0

package controller

import (
	"cmp"
	"context"
	"encoding/json"
	"maps"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	velerov1 "hozon.dev/hozon/api/velero/v1"
	"hozon.dev/hozon/internal/fail"
)

// maintenanceMemory is what a Job may have that nobody gave another bound.
const maintenanceMemory = "1Gi"

// jobSettings are those of the Jobs that maintain repositories, as Velero's ConfigMap has them.
type jobSettings struct {
	Resources     jobResources      `json:"podResources"`
	PriorityClass string            `json:"priorityClassName"`
	Labels        map[string]string `json:"podLabels"`
	Annotations   map[string]string `json:"podAnnotations"`
	Affinity      []struct {
		Nodes metav1.LabelSelector `json:"nodeSelector"`
	} `json:"loadAffinity"`
}

type jobResources struct {
	CPURequest    string `json:"cpuRequest"`
	CPULimit      string `json:"cpuLimit"`
	MemoryRequest string `json:"memoryRequest"`
	MemoryLimit   string `json:"memoryLimit"`
}

// settings are those for all repositories, and over them those of this one.
func (m *MaintainJob) settings(ctx context.Context, r *velerov1.BackupRepository) (set jobSettings, err error) {
	if m.ConfigMap == "" {
		return set, nil
	}
	var c corev1.ConfigMap
	if err := m.Live.Get(ctx, m.key(m.ConfigMap), &c); err != nil {
		return set, fail.Errorf(fail.Invalid, "read the ConfigMap %s with the settings of maintenance jobs: %w", m.ConfigMap, err)
	}
	for _, key := range []string{"global", r.Name} {
		if text, ok := c.Data[key]; ok {
			if err := json.Unmarshal([]byte(text), &set); err != nil {
				return set, fail.Errorf(fail.Invalid, "ConfigMap %s, key %s: %w", m.ConfigMap, key, err)
			}
		}
	}
	return set, nil
}

// nodes are the labels of the nodes on which the pods may run.
func (s *jobSettings) nodes() map[string]string {
	if len(s.Affinity) == 0 {
		return nil
	}
	return s.Affinity[0].Nodes.MatchLabels
}

// with is a with all of b.
func with(a, b map[string]string) map[string]string {
	all := maps.Clone(a)
	if all == nil {
		return b
	}
	maps.Copy(all, b)
	return all
}

func (s jobResources) requirements() (corev1.ResourceRequirements, error) {
	r := corev1.ResourceRequirements{Requests: corev1.ResourceList{}, Limits: corev1.ResourceList{}}
	for _, q := range []struct {
		text string
		list corev1.ResourceList
		name corev1.ResourceName
	}{
		{s.CPURequest, r.Requests, corev1.ResourceCPU}, {s.MemoryRequest, r.Requests, corev1.ResourceMemory},
		{s.CPULimit, r.Limits, corev1.ResourceCPU}, {cmp.Or(s.MemoryLimit, maintenanceMemory), r.Limits, corev1.ResourceMemory},
	} {
		if q.text == "" {
			continue
		}
		parsed, err := resource.ParseQuantity(q.text)
		if err != nil {
			return r, fail.Errorf(fail.Invalid, "%s %q of maintenance jobs: %w", q.name, q.text, err)
		}
		if !parsed.IsZero() {
			q.list[q.name] = parsed
		}
	}
	return r, nil
}
