// SPDX-License-Identifier: Apache-2.0

package backup

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"

	"hozon.dev/hozon/internal/policy"
	"hozon.dev/hozon/internal/report"
	"hozon.dev/hozon/internal/store"
)

// Snapshotter takes snapshots of volumes where they are kept.
type Snapshotter interface {
	// Take takes a snapshot of a volume. Both results are nil if the volume is none that it knows. An error comes with a snapshot that failed,
	// or without one if the volume could not even be looked at.
	Take(ctx context.Context, v Volume) (*store.Snapshot, error)
	Dropper // of snapshots of a backup that will not exist
	// Reason says why it took no snapshot of a volume that it does not know.
	Reason() string
}

// Volume is a PersistentVolume of which a snapshot is to be taken.
type Volume struct {
	Name string
	PV   []byte // the object, as JSON
	Zone string // "": not known
	Tags map[string]string
	// Intend is told what is taken right before it is; where that fails, nothing may be taken.
	Intend func(ctx context.Context, s store.Snapshot) error
}

// notSaved is the reason given for a volume of which nobody takes a snapshot.
const notSaved = "only objects are saved; the bytes in the volume are not"

// wantsSnapshots says that the backup asks for snapshots, or leaves it open.
func (r *run) wantsSnapshots() bool {
	return r.backup.Spec.SnapshotVolumes == nil || *r.backup.Spec.SnapshotVolumes
}

// snapshotted says whether a snapshot of a volume is to be taken: a policy comes before the spec, and files that are saved are enough.
func (r *run) snapshotted(v *volume) bool {
	if v.files {
		return false
	}
	if v.action != "" {
		return v.action == policy.Snapshot
	}
	return r.wantsSnapshots()
}

// snapshots has a snapshot taken of every volume in the backup that is to have one, one after the other: what takes them is somebody else's program.
func (r *run) snapshots(ctx context.Context) error {
	if r.options.Snapshots == nil {
		return nil
	}
	if len(r.sink.volumes) > 0 {
		r.Observe.Step("Taking snapshots of volumes")
	}
	slices.SortFunc(r.sink.volumes, func(a, b volume) int { return cmp.Compare(a.Metadata.Name, b.Metadata.Name) })
	tags := maps.Clone(r.backup.Labels)
	tags["velero.io/backup"] = r.backup.Name
	for i := range r.sink.volumes {
		if err := context.Cause(ctx); err != nil {
			return err
		}
		v := &r.sink.volumes[i]
		if !r.snapshotted(v) {
			continue
		}
		tags["velero.io/pv"] = v.Metadata.Name
		s, err := r.options.Snapshots.Take(ctx, Volume{Name: v.Metadata.Name, PV: v.body, Zone: v.zone(), Tags: maps.Clone(tags), Intend: r.intend(v)})
		if err != nil && ctx.Err() != nil {
			return context.Cause(ctx)
		}
		v.body = nil
		r.note(v, s, err)
		if err := r.settleTaking(ctx, s); err != nil {
			return err
		}
	}
	return nil
}

// note writes down what became of a volume.
func (r *run) note(v *volume, s *store.Snapshot, err error) {
	st := &r.backup.Status
	if s != nil {
		s.Spec.BackupName, s.Spec.BackupUID, s.Spec.Volume = r.backup.Name, string(r.backup.UID), v.Metadata.Name
		v.snapshot = s
		st.VolumeSnapshotsAttempted++
	}
	switch {
	case err != nil:
		text := fmt.Sprintf("snapshot of volume %s: %v", v.Metadata.Name, err)
		r.report.Errors = append(r.report.Errors, report.Note{Cluster: true, Text: text})
		r.log.err(text)
	case s != nil:
		st.VolumeSnapshotsCompleted++
		r.log.info("snapshot taken", "volume", v.Metadata.Name, "snapshot", s.Status.ID, "location", s.Spec.Location)
	}
}

// unsaved warns of each volume whose bytes nobody has saved.
func (r *run) unsaved() {
	for _, v := range r.sink.volumes {
		if v.snapshot != nil || v.files || v.unread != "" || v.action == policy.Skip || v.action == "" && !r.wantsSnapshots() {
			continue
		}
		switch c := v.Spec.ClaimRef; {
		case c != nil:
			r.report.Warn(c.Namespace, "PersistentVolumeClaim %s (volume %s): %s", c.Name, v.Metadata.Name, r.reason(v))
		case r.options.Snapshots != nil:
			r.report.Warn("", "PersistentVolume %s: %s", v.Metadata.Name, r.reason(v))
		}
	}
	for _, n := range r.report.Warnings {
		r.log.warn(n.Text)
	}
}

// reason says why a volume was not saved.
func (r *run) reason(v volume) string {
	switch {
	case v.unread != "":
		return v.unread + ": " + notSaved
	case v.action == policy.Skip:
		return v.why
	case v.action == policy.Snapshot && r.options.Snapshots != nil:
		return v.why + ", and " + r.options.Snapshots.Reason() + ": " + notSaved
	case v.action != "":
		return v.why + ": " + notSaved
	}
	if r.options.Snapshots == nil || !r.wantsSnapshots() {
		return notSaved
	}
	return r.options.Snapshots.Reason() + ": " + notSaved
}

// taken are the snapshots, for the backup's list of them.
func (r *run) taken() []*store.Snapshot {
	all := []*store.Snapshot{}
	for _, v := range r.sink.volumes {
		if v.snapshot != nil {
			all = append(all, v.snapshot)
		}
	}
	return all
}

// volumeInfos has a record for each volume that a claim is bound to, or that has a snapshot.
func (r *run) volumeInfos() []store.BackedUpVolume {
	claimed := map[string]*volume{}
	for i := range r.sink.volumes {
		if c := r.sink.volumes[i].Spec.ClaimRef; c != nil {
			claimed[c.Namespace+"/"+c.Name] = &r.sink.volumes[i]
		}
	}
	infos := append([]store.BackedUpVolume{}, r.fileInfos(claimed)...)
	for _, v := range r.sink.volumes {
		if v.files || v.Spec.ClaimRef == nil && v.snapshot == nil {
			continue
		}
		info := store.BackedUpVolume{
			PVName: v.Metadata.Name, PVInfo: &store.PVInfo{ReclaimPolicy: v.Spec.ReclaimPolicy, Labels: v.Metadata.Labels},
		}
		if c := v.Spec.ClaimRef; c != nil {
			info.PVCName, info.PVCNamespace = c.Name, c.Namespace
		}
		if v.snapshot == nil {
			info.Skipped, info.SkippedReason = true, r.reason(v)
		} else {
			info.BackupMethod, info.Native, info.Result = store.MethodNative, v.snapshot.Native(), store.ResultFailed
			if v.snapshot.Usable() {
				info.Result = store.ResultSucceeded
			}
		}
		infos = append(infos, info)
	}
	slices.SortFunc(infos, func(a, b store.BackedUpVolume) int {
		return cmp.Or(cmp.Compare(a.PVCNamespace, b.PVCNamespace), cmp.Compare(a.PVCName, b.PVCName), cmp.Compare(a.PVName, b.PVName))
	})
	return infos
}

// affinity is one of the sets of nodes that can reach a volume.
type affinity struct {
	Expressions []struct {
		Key      string   `json:"key"`
		Operator string   `json:"operator"`
		Values   []string `json:"values"`
	} `json:"matchExpressions"`
}

const gkeZone = "topology.gke.io/zone"

// Where a volume may say in what zone it is: labels, and keys of its node affinity, first come first.
var (
	zoneLabels = []string{"topology.kubernetes.io/zone", "failure-domain.beta.kubernetes.io/zone"}
	zoneKeys   = append([]string{
		"topology.ebs.csi.aws.com/zone", "topology.disk.csi.azure.com/zone", gkeZone, "topology.manila.csi.openstack.org/zone", "topology.cinder.csi.openstack.org/zone",
	}, zoneLabels...)
)

// zone is where the volume is, as Velero finds it out. Regional volumes of Google's have several zones, joined by "__".
func (v *volume) zone() string {
	for _, label := range zoneLabels {
		if zone, ok := v.Metadata.Labels[label]; ok {
			return zone
		}
	}
	var regional []string
	for _, term := range v.Spec.NodeAffinity.Required.Terms {
		for _, e := range term.Expressions {
			switch {
			case e.Operator != "In" || len(e.Values) == 0 || !slices.Contains(zoneKeys, e.Key):
			case e.Key == gkeZone:
				regional = append(regional, e.Values[0])
			default:
				return e.Values[0]
			}
		}
	}
	return strings.Join(regional, "__")
}
