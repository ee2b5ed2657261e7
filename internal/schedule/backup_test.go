// SPDX-License-Identifier: Apache-2.0

package schedule

import (
	"maps"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	velerov1 "hozon.dev/hozon/api/velero/v1"
)

func TestBackup(t *testing.T) {
	yes := true
	s := &velerov1.Schedule{
		ObjectMeta: metav1.ObjectMeta{
			Namespace: "velero", Name: "nightly", UID: "u-1",
			Labels: map[string]string{"team": "shop"}, Annotations: map[string]string{"note": "x"},
		},
		Spec: velerov1.ScheduleSpec{Template: velerov1.BackupSpec{IncludedNamespaces: []string{"shop"}}, UseOwnerReferencesInBackup: &yes},
	}
	b := Backup(s, Name(s.Name, time.Date(2026, 11, 21, 3, 4, 5, 0, time.FixedZone("JST", 9*3600))))
	want := metav1.ObjectMeta{
		Namespace: "velero", Name: "nightly-20261120180405",
		Labels:          map[string]string{"team": "shop", "velero.io/schedule-name": "nightly"},
		Annotations:     map[string]string{"note": "x"},
		OwnerReferences: []metav1.OwnerReference{{APIVersion: "velero.io/v1", Kind: "Schedule", Name: "nightly", UID: "u-1", Controller: &yes}},
	}
	if diff := cmp.Diff(want, b.ObjectMeta); diff != "" {
		t.Error(diff)
	}
	b.Spec.IncludedNamespaces[0], b.Labels["team"] = "changed", "changed"
	if s.Spec.Template.IncludedNamespaces[0] != "shop" || s.Labels["team"] != "shop" {
		t.Error("the Backup shares memory with its Schedule")
	}
	s.Spec.Template.Metadata.Labels = map[string]string{"only": "these"}
	if diff := cmp.Diff(map[string]string{"only": "these", "velero.io/schedule-name": "nightly"}, Backup(s, "a").Labels); diff != "" {
		t.Error(diff)
	}
}

// TestUntracked: a Backup does not bear the marks of the GitOps tool that its Schedule belongs to.
func TestUntracked(t *testing.T) {
	s := &velerov1.Schedule{}
	s.Name = "s"
	s.Labels = map[string]string{"app.kubernetes.io/instance": "app", "argocd.argoproj.io/instance": "app", "kustomize.toolkit.fluxcd.io/name": "k", "team": "a"}
	s.Annotations = map[string]string{"argocd.argoproj.io/tracking-id": "x", "note": "n"}
	b := Backup(s, "b")
	if want := (map[string]string{"team": "a", velerov1.LabelScheduleName: "s"}); !maps.Equal(b.Labels, want) {
		t.Errorf("labels %v", b.Labels)
	}
	if want := (map[string]string{"note": "n"}); !maps.Equal(b.Annotations, want) {
		t.Errorf("annotations %v", b.Annotations)
	}
}
