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
	"hozon.dev/hozon/internal/budget"
	"hozon.dev/hozon/internal/fail"
)

const (
	// maintenanceMemory is what a Job may have that nobody gave another bound.
	maintenanceMemory = "1Gi"
	// maintenanceJobs is how many Jobs of a repository that have ended are kept, for their logs.
	maintenanceJobs = 3
)

// jobSettings are those of the Jobs that maintain repositories, as Velero's ConfigMap has them.
type jobSettings struct {
	Resources     jobResources      `json:"podResources"`
	Keep          *int              `json:"keepLatestMaintenanceJobs"`
	PriorityClass string            `json:"priorityClassName"` // of all repositories only
	Labels        map[string]string `json:"podLabels"`
	Annotations   map[string]string `json:"podAnnotations"`
	Affinity      []budget.Affinity `json:"loadAffinity"`
}

type jobResources struct {
	CPURequest     string `json:"cpuRequest"`
	CPULimit       string `json:"cpuLimit"`
	MemoryRequest  string `json:"memoryRequest"`
	MemoryLimit    string `json:"memoryLimit"`
	StorageRequest string `json:"ephemeralStorageRequest"`
	StorageLimit   string `json:"ephemeralStorageLimit"`
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
	var own jobSettings
	for _, part := range []struct {
		key  string
		into *jobSettings
	}{{"global", &set}, {r.Name, &own}} {
		text, ok := c.Data[part.key]
		if !ok {
			continue
		}
		err := json.Unmarshal([]byte(text), part.into)
		if err == nil {
			err = part.into.check()
		}
		if err != nil {
			return set, fail.Errorf(fail.Invalid, "ConfigMap %s, key %s: %w", m.ConfigMap, part.key, err)
		}
	}
	return set.with(own), nil
}

func (s *jobSettings) check() error {
	if s.Keep != nil && *s.Keep < 0 {
		return fail.Errorf(fail.Invalid, "keepLatestMaintenanceJobs %d: it is not below zero", *s.Keep)
	}
	for i, a := range s.Affinity {
		if _, err := metav1.LabelSelectorAsSelector(&a.NodeSelector); err != nil {
			return fail.Errorf(fail.Invalid, "loadAffinity[%d].nodeSelector: %w", i, err)
		}
	}
	_, err := s.Resources.requirements()
	return err
}

// with is s with what own says of one repository. What own does not say stays.
func (s jobSettings) with(own jobSettings) jobSettings {
	a, b := &s.Resources, own.Resources
	for _, q := range []struct {
		to   *string
		from string
	}{
		{&a.CPURequest, b.CPURequest}, {&a.CPULimit, b.CPULimit}, {&a.MemoryRequest, b.MemoryRequest}, {&a.MemoryLimit, b.MemoryLimit},
		{&a.StorageRequest, b.StorageRequest}, {&a.StorageLimit, b.StorageLimit},
	} {
		*q.to = cmp.Or(q.from, *q.to)
	}
	if own.Keep != nil {
		s.Keep = own.Keep
	}
	if len(own.Affinity) > 0 {
		s.Affinity = own.Affinity
	}
	s.Labels, s.Annotations = with(s.Labels, own.Labels), with(s.Annotations, own.Annotations)
	return s
}

// kept is how many Jobs that have ended are kept.
func (s *jobSettings) kept() int {
	if s.Keep == nil {
		return maintenanceJobs
	}
	return *s.Keep
}

// place says on which nodes a pod may run: those of the settings, else those of the server.
func (s *jobSettings) place(p *corev1.PodSpec, server *corev1.PodSpec) {
	if len(s.Affinity) == 0 {
		p.NodeSelector = server.NodeSelector
		return
	}
	var selectors []metav1.LabelSelector
	for _, a := range s.Affinity {
		selectors = append(selectors, a.NodeSelector)
	}
	p.Affinity = &corev1.Affinity{NodeAffinity: budget.Required(selectors)}
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
		{s.CPURequest, r.Requests, corev1.ResourceCPU}, {s.MemoryRequest, r.Requests, corev1.ResourceMemory}, {s.StorageRequest, r.Requests, corev1.ResourceEphemeralStorage},
		{s.CPULimit, r.Limits, corev1.ResourceCPU}, {cmp.Or(s.MemoryLimit, maintenanceMemory), r.Limits, corev1.ResourceMemory}, {s.StorageLimit, r.Limits, corev1.ResourceEphemeralStorage},
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
