// SPDX-License-Identifier: Apache-2.0

package controller

import (
	"cmp"
	"context"
	"fmt"
	"strings"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"sigs.k8s.io/controller-runtime/pkg/client"

	velerov1 "hozon.dev/hozon/api/velero/v1"
	"hozon.dev/hozon/internal/filter"
	"hozon.dev/hozon/internal/velero"
)

// complete fills in what the Backup leaves open, as the server of Velero does, and returns what is wrong with it, in Velero's words.
func (r *Backups) complete(ctx context.Context, b *velerov1.Backup) ([]string, error) {
	s := &b.Spec
	fill(&s.TTL, r.Defaults.TTL)
	fill(&s.CSISnapshotTimeout, 10*time.Minute)
	fill(&s.ItemOperationTimeout, r.Defaults.ItemTimeout)
	s.VolumeGroupSnapshotLabelKey = cmp.Or(s.VolumeGroupSnapshotLabelKey, r.Defaults.GroupLabel)
	if s.DefaultVolumesToFsBackup == nil {
		s.DefaultVolumesToFsBackup = &r.Defaults.FSBackup
	}
	if s.SnapshotMoveData == nil {
		s.SnapshotMoveData = &r.Defaults.MoveData
	}
	problems := filter.ValidateBackup(*s)
	if len(s.IncludedNamespaces) == 0 {
		s.IncludedNamespaces = []string{"*"}
	}
	if s.TTL.Duration < 0 {
		problems = append(problems, fmt.Sprintf("spec.ttl must be above zero, and is %s", s.TTL.Duration))
	}
	if _, err := volumeTimeout(b); err != nil {
		problems = append(problems, err.Error())
	}
	text, err := r.checkLocation(ctx, b)
	if err != nil {
		return nil, err
	}
	if text != "" {
		problems = append(problems, text)
	}
	label(b, velerov1.LabelStorageLocation, velerov1.LabelValue(s.StorageLocation))
	velero.Annotate(b, velerov1.AnnotationResourceTimeout, r.Defaults.ResourceTimeout.String())
	texts, err := r.checkSnapshotLocations(ctx, b)
	return append(problems, texts...), err
}

func fill(d *velerov1.Duration, value time.Duration) {
	if d.Duration == 0 {
		d.Duration = value
	}
}

// checkLocation finds the location of a Backup and returns why it cannot be used.
func (r *Backups) checkLocation(ctx context.Context, b *velerov1.Backup) (string, error) {
	named := b.Spec.StorageLocation != ""
	if !named {
		l, err := r.defaultLocation(ctx)
		if err != nil {
			return "", err
		}
		b.Spec.StorageLocation = r.DefaultLocation
		if l != nil {
			b.Spec.StorageLocation = l.Name
		}
	}
	name := b.Spec.StorageLocation
	var l velerov1.BackupStorageLocation
	err := r.Live.Get(ctx, r.key(name), &l) // the cache may not have heard that it cannot be used
	switch {
	case apierrors.IsNotFound(err) && named:
		return fmt.Sprintf("an existing backup storage location was not specified at backup creation time and the default %s was not found. "+
			"Please address this issue (see `velero backup-location -h` for options) and create a new backup. Error: %v", name, err), nil
	case apierrors.IsNotFound(err):
		return fmt.Sprintf("an existing backup storage location was not specified at backup creation time and the server default %s does not exist. "+
			"Please address this issue (see `velero backup-location -h` for options) and create a new backup. Error: %v", name, err), nil
	case err != nil:
		return "", err
	case l.Spec.AccessMode == velerov1.BackupStorageLocationAccessModeReadOnly:
		return fmt.Sprintf("backup can't be created because backup storage location %s is currently in read-only mode", name), nil
	case l.Status.Phase == velerov1.BackupStorageLocationPhaseUnavailable:
		return fmt.Sprintf("backup can't be created because BackupStorageLocation %s is in Unavailable status.", name), nil
	}
	return "", nil
}

// checkSnapshotLocations finds the VolumeSnapshotLocation of each provider for a Backup that may take snapshots.
func (r *Backups) checkSnapshotLocations(ctx context.Context, b *velerov1.Backup) ([]string, error) {
	if b.Spec.SnapshotVolumes != nil && !*b.Spec.SnapshotVolumes {
		return nil, nil
	}
	var problems []string
	chosen := map[string]string{} // by provider
	for _, name := range b.Spec.VolumeSnapshotLocations {
		var l velerov1.VolumeSnapshotLocation
		err := r.Client.Get(ctx, r.key(name), &l)
		if apierrors.IsNotFound(err) {
			problems = append(problems, fmt.Sprintf("a VolumeSnapshotLocation CRD for the location %s with the name specified in the backup spec "+
				"needs to be created before this snapshot can be executed. Error: %v", name, err))
			continue
		}
		if err != nil {
			return nil, err
		}
		if first, ok := chosen[l.Spec.Provider]; ok && first != name {
			problems = append(problems, fmt.Sprintf("more than one VolumeSnapshotLocation name specified for provider %s: %s; unexpected name was %s",
				l.Spec.Provider, name, first))
			continue
		}
		chosen[l.Spec.Provider] = name
	}
	if len(problems) > 0 {
		return problems, nil
	}
	return r.defaultSnapshotLocations(ctx, b, chosen)
}

// defaultSnapshotLocations adds those of the providers that the Backup does not name.
func (r *Backups) defaultSnapshotLocations(ctx context.Context, b *velerov1.Backup, chosen map[string]string) ([]string, error) {
	var all velerov1.VolumeSnapshotLocationList
	if err := r.Client.List(ctx, &all, client.InNamespace(r.Namespace)); err != nil {
		return nil, err
	}
	byProvider := map[string][]string{}
	for _, l := range all.Items {
		byProvider[l.Spec.Provider] = append(byProvider[l.Spec.Provider], l.Name)
	}
	var problems []string
	for _, provider := range sortedKeys(byProvider) {
		names := byProvider[provider]
		switch preset := r.Defaults.SnapshotLocation[provider]; {
		case chosen[provider] != "":
		case preset != "":
			chosen[provider] = preset
		case len(names) > 1:
			problems = append(problems, fmt.Sprintf("provider %s has more than one possible volume snapshot location, and none were specified explicitly or as a default", provider))
		default:
			chosen[provider] = names[0]
		}
	}
	b.Spec.VolumeSnapshotLocations = nil
	for _, provider := range sortedKeys(chosen) {
		b.Spec.VolumeSnapshotLocations = append(b.Spec.VolumeSnapshotLocations, chosen[provider])
	}
	return problems, nil
}

// undone names what a Backup asks for and does not get yet.
func undone(b *velerov1.Backup) []string {
	s := &b.Spec
	var notes []string
	add := func(asked bool, what string) {
		if asked {
			notes = append(notes, "not done by this version: "+what)
		}
	}
	add(is(s.SnapshotMoveData), "moving the data of snapshots (spec.snapshotMoveData)")
	return notes
}

func is(b *bool) bool { return b != nil && *b }

func join(texts []string) string { return strings.Join(texts, "; ") }
