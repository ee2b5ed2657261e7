// SPDX-License-Identifier: Apache-2.0

// Package schedule says what a Schedule asks for.
//
// It does not say when: that needs a clock.
package schedule

import (
	"maps"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	velerov1 "hozon.dev/hozon/api/velero/v1"
)

// Name is the name of a schedule's Backup that is made at a time.
func Name(schedule string, at time.Time) string {
	return schedule + "-" + at.UTC().Format("20060102150405")
}

// Backup is the Backup that a schedule asks for, under the given name, with the labels and annotations that Velero gives it:
// the template's labels or else the schedule's own, the schedule's name, and the schedule's annotations.
func Backup(s *velerov1.Schedule, name string) *velerov1.Backup {
	labels := maps.Clone(s.Spec.Template.Metadata.Labels)
	if labels == nil {
		labels = maps.Clone(s.Labels)
	}
	if labels == nil {
		labels = map[string]string{}
	}
	labels[velerov1.LabelScheduleName] = velerov1.LabelValue(s.Name)
	b := &velerov1.Backup{
		TypeMeta: metav1.TypeMeta{APIVersion: velerov1.APIVersion, Kind: "Backup"},
		ObjectMeta: metav1.ObjectMeta{
			Namespace: s.Namespace, Name: name, Labels: labels, Annotations: maps.Clone(s.Annotations),
		},
		Spec: *s.Spec.Template.DeepCopy(),
	}
	if owned := s.Spec.UseOwnerReferencesInBackup; owned != nil && *owned {
		yes := true
		b.OwnerReferences = []metav1.OwnerReference{{
			APIVersion: velerov1.APIVersion, Kind: "Schedule", Name: s.Name, UID: s.UID, Controller: &yes,
		}}
	}
	return b
}
