// SPDX-License-Identifier: Apache-2.0

package controller

import (
	"context"
	"fmt"
	"slices"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"sigs.k8s.io/controller-runtime/pkg/client"

	velerov1 "hozon.dev/hozon/api/velero/v1"
	"hozon.dev/hozon/internal/filter"
)

// complete fills in what the Restore leaves open, as the server of Velero does, and returns what is wrong with it, in Velero's words.
func (r *Restores) complete(ctx context.Context, o *velerov1.Restore) ([]string, error) {
	s := &o.Spec
	fill(&s.ItemOperationTimeout, r.ItemTimeout)
	problems := filter.ValidateRestore(*s)
	if _, err := volumeTimeout(o); err != nil {
		problems = append(problems, err.Error())
	}
	for _, kind := range filter.NonRestorable() {
		if !slices.Contains(s.ExcludedResources, kind) {
			s.ExcludedResources = append(s.ExcludedResources, kind)
		}
	}
	if len(problems) > 0 {
		return problems, nil
	}
	if s.BackupName == "" {
		text, err := r.newest(ctx, o)
		if text != "" || err != nil {
			return []string{text}, err
		}
	}
	return r.checkBackup(ctx, o)
}

// newest finds the newest completed Backup of the schedule that a Restore names.
func (r *Restores) newest(ctx context.Context, o *velerov1.Restore) (string, error) {
	var all velerov1.BackupList
	named := client.MatchingLabels{velerov1.LabelScheduleName: velerov1.LabelValue(o.Spec.ScheduleName)}
	if err := r.Client.List(ctx, &all, client.InNamespace(r.Namespace), named); err != nil {
		return "", err
	}
	if len(all.Items) == 0 {
		return "No backups found for schedule", nil
	}
	var best *velerov1.Backup
	for i := range all.Items {
		b := &all.Items[i]
		if b.Status.Phase != velerov1.BackupPhaseCompleted || b.Status.StartTimestamp == nil {
			continue
		}
		if best == nil || best.Status.StartTimestamp.Before(b.Status.StartTimestamp) {
			best = b
		}
	}
	if best == nil {
		return "No completed backups found for schedule", nil
	}
	o.Spec.BackupName = best.Name
	return "", nil
}

// checkBackup looks at the Backup that is restored from, and at its location.
func (r *Restores) checkBackup(ctx context.Context, o *velerov1.Restore) ([]string, error) {
	var b velerov1.Backup
	if err := r.Client.Get(ctx, r.key(o.Spec.BackupName), &b); apierrors.IsNotFound(err) {
		return []string{fmt.Sprintf("Error retrieving backup: %v", err)}, nil
	} else if err != nil {
		return nil, err
	}
	if schedule := b.Labels[velerov1.LabelScheduleName]; schedule != "" {
		if o.Spec.ScheduleName == "" {
			o.Spec.ScheduleName = schedule
		}
		label(o, velerov1.LabelScheduleName, schedule)
	}
	switch b.Status.Phase {
	case velerov1.BackupPhaseCompleted, velerov1.BackupPhasePartiallyFailed, "":
	case velerov1.BackupPhaseFailed:
		if o.Annotations[velerov1.AnnotationAllowFailed] != "true" {
			return []string{fmt.Sprintf("backup %s is Failed: it may hold a part only, or nothing; to restore what there is, create the restore anew with the annotation %s=true",
				b.Name, velerov1.AnnotationAllowFailed)}, nil
		}
	default:
		return []string{fmt.Sprintf("backup %s is %s: it cannot be restored from; create the restore anew when the backup is Completed", b.Name, b.Status.Phase)}, nil
	}
	var l velerov1.BackupStorageLocation
	if err := r.Client.Get(ctx, r.key(b.Spec.StorageLocation), &l); apierrors.IsNotFound(err) {
		return []string{fmt.Sprintf("Error retrieving backup: %v", err)}, nil
	} else if err != nil {
		return nil, err
	}
	if l.Status.Phase == velerov1.BackupStorageLocationPhaseUnavailable {
		return []string{fmt.Sprintf("The BSL %s is unavailable, cannot retrieve the backup", l.Name)}, nil
	}
	return nil, nil
}

// leftOut names what a Restore asks for and does not get yet.
func leftOut(o *velerov1.Restore) []string {
	var notes []string
	if is(o.Spec.RestorePVs) {
		notes = append(notes, "of the data of volumes, this version restores native snapshots and files, but no CSI snapshots (spec.restorePVs)")
	}
	return notes
}
