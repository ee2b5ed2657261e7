// SPDX-License-Identifier: Apache-2.0

package plugin

import (
	"context"

	"hozon.dev/hozon/internal/plugin/wire"
)

// Snapshotter is a plugin that takes snapshots of volumes, with its configuration. Calls that make something are made once: one whose answer is lost may
// have made it.
type Snapshotter struct {
	name    string
	process *process
	secret  *Secret // alive as long as the configuration that names it
}

// Volume is what a snapshotter says about a volume, and needs to make it anew.
type Volume struct {
	Type string
	Zone string
	IOPS int64 // 0: not given
}

// Snapshotter returns the plugin for a provider. It gets its configuration at the first call.
func (f *Folder) Snapshotter(ctx context.Context, provider string, c Config) (*Snapshotter, error) {
	p, err := f.find(ctx, KindSnapshotter, provider)
	if err != nil {
		return nil, err
	}
	s := &Snapshotter{name: p.Name}
	s.process, s.secret, err = f.open(p, c, func(settings map[string]string) any {
		return &wire.VolumeSnapshotterInitRequest{Plugin: p.Name, Config: settings}
	})
	return s, err
}

// Close stops the program.
func (s *Snapshotter) Close() { s.process.stop() }

func (s *Snapshotter) call(ctx context.Context, name string, request, response any, twice bool) error {
	return s.process.call(ctx, wire.Method("VolumeSnapshotter", name), request, response, twice)
}

// VolumeID is the plugin's name for the volume of a PersistentVolume; "": it is none of its own.
func (s *Snapshotter) VolumeID(ctx context.Context, pv []byte) (string, error) {
	var out wire.GetVolumeIDResponse
	err := s.call(ctx, "GetVolumeID", &wire.GetVolumeIDRequest{Plugin: s.name, PersistentVolume: pv}, &out, true)
	return out.GetVolumeID(), err
}

// Info says of what type a volume is.
func (s *Snapshotter) Info(ctx context.Context, id, zone string) (Volume, error) {
	var out wire.GetVolumeInfoResponse
	err := s.call(ctx, "GetVolumeInfo", &wire.GetVolumeInfoRequest{Plugin: s.name, VolumeID: id, VolumeAZ: zone}, &out, true)
	return Volume{Type: out.GetVolumeType(), Zone: zone, IOPS: out.GetIops()}, err
}

// Take takes a snapshot of a volume and returns its id.
func (s *Snapshotter) Take(ctx context.Context, id, zone string, tags map[string]string) (string, error) {
	var out wire.CreateSnapshotResponse
	err := s.call(ctx, "CreateSnapshot", &wire.CreateSnapshotRequest{Plugin: s.name, VolumeID: id, VolumeAZ: zone, Tags: tags}, &out, false)
	return out.GetSnapshotID(), err
}

// Delete removes a snapshot.
func (s *Snapshotter) Delete(ctx context.Context, snapshot string) error {
	return s.call(ctx, "DeleteSnapshot", &wire.DeleteSnapshotRequest{Plugin: s.name, SnapshotID: snapshot}, &wire.Empty{}, true)
}

// Restore makes a volume out of a snapshot and returns its id.
func (s *Snapshotter) Restore(ctx context.Context, snapshot string, v Volume) (string, error) {
	var out wire.CreateVolumeResponse
	err := s.call(ctx, "CreateVolumeFromSnapshot", &wire.CreateVolumeRequest{
		Plugin: s.name, SnapshotID: snapshot, VolumeType: v.Type, VolumeAZ: v.Zone, Iops: v.IOPS,
	}, &out, false)
	return out.GetVolumeID(), err
}

// Name writes a volume's id into a PersistentVolume, and returns that.
func (s *Snapshotter) Name(ctx context.Context, pv []byte, id string) ([]byte, error) {
	var out wire.SetVolumeIDResponse
	err := s.call(ctx, "SetVolumeID", &wire.SetVolumeIDRequest{Plugin: s.name, PersistentVolume: pv, VolumeID: id}, &out, true)
	return out.GetPersistentVolume(), err
}
