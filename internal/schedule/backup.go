// SPDX-License-Identifier: Apache-2.0

// Package schedule says what a Schedule asks for.
//
// It does not say when: that needs a clock.
package schedule

import (
	"maps"
	"slices"
	"strings"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	velerov1 "hozon.dev/hozon/api/velero/v1"
)

// Name is the name of a schedule's Backup that is made at a time.
func Name(schedule string, at time.Time) string {
	return schedule + "-" + at.UTC().Format("20060102150405")
}

// trackers are the marks by which GitOps tools know what is theirs. A Backup with the mark of its Schedule is not in Git: it would be pruned.
var trackers = []string{"argocd.argoproj.io/", "app.kubernetes.io/instance", "kustomize.toolkit.fluxcd.io/", "helm.toolkit.fluxcd.io/", "kubectl.kubernetes.io/last-applied-configuration"}

// untracked is a copy of labels or annotations without such marks.
func untracked(from map[string]string) map[string]string {
	to := maps.Clone(from)
	maps.DeleteFunc(to, func(key, _ string) bool {
		return slices.ContainsFunc(trackers, func(mark string) bool { return strings.HasPrefix(key, mark) })
	})
	return to
}

// Backup is the Backup that a schedule asks for, under the given name, with the labels and annotations that Velero gives it:
// the template's labels or else the schedule's own, the schedule's name, and the schedule's annotations; but not the marks of GitOps tools.
func Backup(s *velerov1.Schedule, name string) *velerov1.Backup {
	labels := maps.Clone(s.Spec.Template.Metadata.Labels)
	if labels == nil {
		labels = untracked(s.Labels)
	}
	if labels == nil {
		labels = map[string]string{}
	}
	labels[velerov1.LabelScheduleName] = velerov1.LabelValue(s.Name)
	b := &velerov1.Backup{
		TypeMeta: metav1.TypeMeta{APIVersion: velerov1.APIVersion, Kind: "Backup"},
		ObjectMeta: metav1.ObjectMeta{
			Namespace: s.Namespace, Name: name, Labels: labels, Annotations: untracked(s.Annotations),
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
