// SPDX-License-Identifier: Apache-2.0

package volume

import (
	"cmp"
	"context"
	"slices"
	"strings"
	"time"

	velerov1 "hozon.dev/hozon/api/velero/v1"
	"hozon.dev/hozon/internal/fail"
	"hozon.dev/hozon/internal/store"
)

// Volume is one volume of a backup.
type Volume struct {
	Namespace  string    `json:"namespace"`
	Claim      string    `json:"claim,omitempty"`  // empty: the volume is not a claim's, or the backup does not say
	Pod        string    `json:"pod,omitempty"`    // empty: moved from a snapshot, without a pod
	Name       string    `json:"volume,omitempty"` // in the pod
	Uploader   string    `json:"uploader"`         // kopia or restic
	Phase      string    `json:"phase"`
	Message    string    `json:"message,omitempty"`
	SnapshotID string    `json:"snapshotID,omitempty"`
	Bytes      int64     `json:"bytes,omitempty"`
	Completed  time.Time `json:"completed,omitzero"`
}

// String is how people name it: NAMESPACE/POD:VOLUME, or NAMESPACE/CLAIM.
func (v *Volume) String() string {
	if v.Pod == "" {
		return v.Namespace + "/" + v.Claim
	}
	return v.Namespace + "/" + v.Pod + ":" + v.Name
}

// claimAnnotation is how Velero notes the claim behind a pod's volume. Its releases before 1.6 do not.
const claimAnnotation = "velero.io/pvc-name"

// List returns the volumes of a backup whose bytes are in a repository, or should be, sorted by their names.
func List(ctx context.Context, s *store.Store, backup string) ([]Volume, error) {
	if _, err := s.Backup(ctx, backup); err != nil {
		return nil, err
	}
	var saved []velerov1.PodVolumeBackup
	if err := s.ReadJSON(ctx, store.Backup, backup, store.PodVolumeBackups, &saved); err != nil && !fail.Is(err, fail.NotFound) {
		return nil, err
	}
	var volumes []Volume
	for i := range saved {
		volumes = append(volumes, Of(&saved[i]))
	}
	moved, err := moved(ctx, s, backup)
	volumes = append(volumes, moved...)
	slices.SortStableFunc(volumes, func(a, b Volume) int { return strings.Compare(a.String(), b.String()) })
	return volumes, err
}

// Of is the volume that a PodVolumeBackup speaks of.
func Of(b *velerov1.PodVolumeBackup) Volume {
	v := Volume{
		Namespace: b.Spec.Pod.Namespace, Claim: b.Annotations[claimAnnotation], Pod: b.Spec.Pod.Name, Name: b.Spec.Volume,
		Uploader: cmp.Or(b.Spec.UploaderType, "restic"), // there was no other, once
		Phase:    string(b.Status.Phase), Message: b.Status.Message, SnapshotID: b.Status.SnapshotID, Bytes: b.Status.Progress.TotalBytes,
	}
	if b.Status.CompletionTimestamp != nil {
		v.Completed = b.Status.CompletionTimestamp.UTC()
	}
	return v
}

// movedInfo is the part of Velero's BackupVolumeInfo that is about data movement.
type movedInfo struct {
	Claim     string     `json:"pvcName"`
	Namespace string     `json:"pvcNamespace"`
	Moved     bool       `json:"snapshotDataMoved"`
	Completed *time.Time `json:"completionTimestamp"`
	Movement  *struct {
		Mover    string `json:"dataMover"`
		Uploader string `json:"uploaderType"`
		Snapshot string `json:"snapshotHandle"`
		Size     int64  `json:"size"`
		Phase    string `json:"Phase"`
	} `json:"snapshotDataMovementInfo"`
}

// moved are volumes whose snapshots Velero's own data mover has copied into the repository of their namespace.
func moved(ctx context.Context, s *store.Store, backup string) ([]Volume, error) {
	var infos []movedInfo
	if err := s.ReadJSON(ctx, store.Backup, backup, store.VolumeInfo, &infos); err != nil {
		if fail.Is(err, fail.NotFound) {
			err = nil
		}
		return nil, err
	}
	var volumes []Volume
	for _, i := range infos {
		if m := i.Movement; i.Moved && m != nil && (m.Mover == "" || m.Mover == "velero") {
			v := Volume{Namespace: i.Namespace, Claim: i.Claim, Uploader: cmp.Or(m.Uploader, "kopia"), Phase: m.Phase, SnapshotID: m.Snapshot, Bytes: m.Size}
			if i.Completed != nil {
				v.Completed = *i.Completed
			}
			volumes = append(volumes, v)
		}
	}
	return volumes, nil
}

// Find returns the volume that text names: NAMESPACE/CLAIM or NAMESPACE/POD:VOLUME. Of several that were saved, the latest.
func Find(volumes []Volume, text string) (Volume, error) {
	namespace, name, ok := strings.Cut(text, "/")
	pod, volume, inPod := strings.Cut(name, ":")
	if !ok || namespace == "" || pod == "" || inPod && volume == "" || strings.Contains(name, "/") {
		return Volume{}, fail.Errorf(fail.Invalid, "volume %q: write it as NAMESPACE/CLAIM or NAMESPACE/POD:VOLUME", text)
	}
	var found *Volume
	for i := range volumes {
		v := &volumes[i]
		if v.Namespace != namespace || inPod && (v.Pod != pod || v.Name != volume) || !inPod && v.Claim != name {
			continue
		}
		if found == nil || found.SnapshotID == "" || v.SnapshotID != "" && v.Completed.After(found.Completed) {
			found = v
		}
	}
	if found == nil {
		return Volume{}, fail.Errorf(fail.NotFound, "the backup has no volume %s%s", text, others(volumes))
	}
	if found.SnapshotID == "" {
		return Volume{}, fail.Errorf(fail.NotFound, "volume %s was not saved: phase %s%s", text, cmp.Or(found.Phase, "New"), because(found.Message))
	}
	return *found, nil
}

func because(message string) string {
	if message == "" {
		return ""
	}
	return ": " + message
}

// others names what there is instead.
func others(volumes []Volume) string {
	const most = 10
	var names []string
	for i := range volumes {
		names = append(names, volumes[i].String())
	}
	switch {
	case len(names) == 0:
		return ", nor any other whose files were saved"
	case len(names) > most:
		names = append(names[:most], "…")
	}
	return ": there are " + strings.Join(names, ", ")
}
