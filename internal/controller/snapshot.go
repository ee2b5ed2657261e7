// SPDX-License-Identifier: Apache-2.0

package controller

import (
	"context"
	"errors"
	"fmt"
	"strings"

	apierrors "k8s.io/apimachinery/pkg/api/errors"

	velerov1 "hozon.dev/hozon/api/velero/v1"
	"hozon.dev/hozon/internal/backup"
	"hozon.dev/hozon/internal/fail"
	"hozon.dev/hozon/internal/plugin"
	"hozon.dev/hozon/internal/store"
)

// snapshotter is a plugin with the settings of a VolumeSnapshotLocation.
func (s *Stores) snapshotter(ctx context.Context, location string) (*plugin.Snapshotter, error) {
	var l velerov1.VolumeSnapshotLocation
	if err := s.Client.Get(ctx, s.key(location), &l); apierrors.IsNotFound(err) {
		return nil, fail.Errorf(fail.NotFound, "volume snapshot location %s not found", location)
	} else if err != nil {
		return nil, fail.Errorf(fail.Transient, "read volume snapshot location %s: %w", location, err)
	}
	credential, err := s.secret(ctx, l.Spec.Credential)
	if err != nil {
		return nil, fmt.Errorf("error adding credentials to volume snapshot location named %s: %w", location, err)
	}
	p, err := s.Plugins.Snapshotter(ctx, l.Spec.Provider, plugin.Config{Settings: l.Spec.Config, Credential: credential})
	if err != nil {
		return nil, fmt.Errorf("open volume snapshot location %s: %w", location, err)
	}
	return p, nil
}

// snapshots are the snapshot locations of one run, opened when they are first needed.
type snapshots struct {
	stores    *Stores
	locations []string // in which a volume may be, in order
	asked     bool     // for snapshots: a location without a plugin is an error, and not only a reason to warn
	opened    map[string]*plugin.Snapshotter
	failed    map[string]error
}

// snapshots opens locations for one run, which closes them at its end.
func (s *Stores) snapshots(locations ...string) *snapshots {
	return &snapshots{stores: s, locations: locations, opened: map[string]*plugin.Snapshotter{}, failed: map[string]error{}}
}

func (s *snapshots) close() {
	for _, p := range s.opened {
		p.Close()
	}
}

// Reason implements backup.Snapshotter.
func (s *snapshots) Reason() string {
	text := "no volume snapshot location of the backup (" + strings.Join(s.locations, ", ") + ") knows it"
	for _, location := range s.locations {
		if err := s.failed[location]; err != nil {
			text += "; " + err.Error()
		}
	}
	return text
}

// at opens a location, once: one that cannot be opened is the same error for each volume.
func (s *snapshots) at(ctx context.Context, location string) (*plugin.Snapshotter, error) {
	if p := s.opened[location]; p != nil || s.failed[location] != nil {
		return p, s.failed[location]
	}
	p, err := s.stores.snapshotter(ctx, location)
	if err != nil {
		s.failed[location] = err
		return nil, err
	}
	s.opened[location] = p
	return p, nil
}

// Take implements backup.Snapshotter: the first location whose plugin knows the volume has it.
func (s *snapshots) Take(ctx context.Context, v backup.Volume) (*store.Snapshot, error) {
	var problems []error
	for _, location := range s.locations {
		p, err := s.at(ctx, location)
		if fail.Is(err, fail.Unsupported) && !s.asked {
			continue // String says it
		}
		if err != nil {
			problems = append(problems, err)
			continue
		}
		id, err := p.VolumeID(ctx, v.PV)
		if err != nil {
			problems = append(problems, fmt.Errorf("volume snapshot location %s: %w", location, err))
			continue
		}
		if id == "" {
			continue
		}
		return take(ctx, p, location, id, v)
	}
	return nil, errors.Join(problems...)
}

func take(ctx context.Context, p *plugin.Snapshotter, location, id string, v backup.Volume) (*store.Snapshot, error) {
	info, err := p.Info(ctx, id, v.Zone)
	if err != nil {
		return nil, fmt.Errorf("volume snapshot location %s: look at volume %s: %w", location, id, err)
	}
	out := &store.Snapshot{
		Spec:   store.SnapshotSpec{Location: location, VolumeID: id, VolumeType: info.Type, Zone: v.Zone},
		Status: store.SnapshotStatus{Phase: store.SnapshotFailed},
	}
	if info.IOPS != 0 {
		out.Spec.IOPS = &info.IOPS
	}
	if err := v.Intend(ctx, *out); err != nil {
		return nil, err
	}
	out.Status.ID, err = p.Take(ctx, id, v.Zone, v.Tags)
	if err == nil && out.Status.ID == "" {
		err = fail.Errorf(fail.Unsupported, "the plugin gave no id of the snapshot")
	}
	if err != nil {
		return out, fmt.Errorf("volume snapshot location %s: take a snapshot of volume %s: %w", location, id, err)
	}
	out.Status.Phase = store.SnapshotCompleted
	return out, nil
}

// Drop implements backup.Snapshotter.
func (s *snapshots) Drop(ctx context.Context, taken store.Snapshot) error {
	p, err := s.at(ctx, taken.Spec.Location)
	if err != nil {
		return err
	}
	return p.Delete(ctx, taken.Status.ID)
}

// Restore implements restore.Volumes.
func (s *snapshots) Restore(ctx context.Context, taken store.Snapshot, pv []byte) ([]byte, error) {
	p, err := s.at(ctx, taken.Spec.Location)
	if err != nil {
		return nil, err
	}
	v := plugin.Volume{Type: taken.Spec.VolumeType, Zone: taken.Spec.Zone}
	if taken.Spec.IOPS != nil {
		v.IOPS = *taken.Spec.IOPS
	}
	id, err := p.Restore(ctx, taken.Status.ID, v)
	if err != nil {
		return nil, fmt.Errorf("volume snapshot location %s: %w", taken.Spec.Location, err)
	}
	return p.Name(ctx, pv, id)
}
