// SPDX-License-Identifier: Apache-2.0

package store

import (
	"strconv"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// Snapshot is an entry of a backup's list of native snapshots (VolumeSnapshots): what a storage system has kept of one volume. Names are Velero's.
type Snapshot struct {
	Spec   SnapshotSpec   `json:"spec"`
	Status SnapshotStatus `json:"status"`
}

// SnapshotSpec says of what a snapshot is.
type SnapshotSpec struct {
	BackupName string `json:"backupName"`
	BackupUID  string `json:"backupUID"`
	Location   string `json:"location"` // a VolumeSnapshotLocation
	Volume     string `json:"persistentVolumeName"`
	VolumeID   string `json:"providerVolumeID"`
	VolumeType string `json:"volumeType"`
	Zone       string `json:"volumeAZ,omitempty"`
	IOPS       *int64 `json:"volumeIOPS,omitempty"`
}

// SnapshotStatus says what became of it.
type SnapshotStatus struct {
	ID    string        `json:"providerSnapshotID,omitempty"`
	Phase SnapshotPhase `json:"phase,omitempty"`
}

// SnapshotPhase is Completed, Failed, or New while it is taken.
type SnapshotPhase string

// The phases of snapshots that are over.
const (
	SnapshotCompleted SnapshotPhase = "Completed"
	SnapshotFailed    SnapshotPhase = "Failed"
)

// Usable says that a volume can be made out of a snapshot.
func (s Snapshot) Usable() bool { return s.Status.Phase == SnapshotCompleted && s.Status.ID != "" }

// place tells snapshots apart.
func (s Snapshot) place() string { return s.Spec.Location + "/" + s.Status.ID }

// BackedUpVolume is an entry of a backup's list of volumes (file VolumeInfo). Names are Velero's, capital letters too.
type BackedUpVolume struct {
	PVCName               string          `json:"pvcName,omitempty"`
	PVCNamespace          string          `json:"pvcNamespace,omitempty"`
	PVName                string          `json:"pvName,omitempty"`
	BackupMethod          string          `json:"backupMethod,omitempty"`
	SnapshotDataMoved     bool            `json:"snapshotDataMoved"`
	PreserveLocalSnapshot bool            `json:"preserveLocalSnapshot"`
	Skipped               bool            `json:"skipped"`
	SkippedReason         string          `json:"skippedReason,omitempty"`
	Start                 *metav1.Time    `json:"startTimestamp,omitempty"`
	Completion            *metav1.Time    `json:"completionTimestamp,omitempty"`
	Result                string          `json:"result,omitempty"`
	Native                *NativeSnapshot `json:"nativeSnapshotInfo,omitempty"`
	PodVolume             *PodVolume      `json:"pvbInfo,omitempty"`
	PVInfo                *PVInfo         `json:"pvInfo,omitempty"`
}

// RestoredVolume is an entry of a restore's list of volumes (file RestoreVolumeInfo).
type RestoredVolume struct {
	PVCName           string          `json:"pvcName,omitempty"`
	PVCNamespace      string          `json:"pvcNamespace,omitempty"`
	PVName            string          `json:"pvName,omitempty"`
	RestoreMethod     string          `json:"restoreMethod,omitempty"`
	SnapshotDataMoved bool            `json:"snapshotDataMoved"`
	Native            *NativeSnapshot `json:"nativeSnapshotInfo,omitempty"`
	PodVolume         *PodVolume      `json:"pvrInfo,omitempty"`
}

// PodVolume is what lists of volumes say about files of a pod's volume in a repository.
type PodVolume struct {
	Handle    string `json:"snapshotHandle,omitempty"`
	Size      int64  `json:"size"`
	New       int64  `json:"incrementalSize,omitempty"`
	Uploader  string `json:"uploaderType"`
	Volume    string `json:"volumeName"`
	Pod       string `json:"podName"`
	Namespace string `json:"podNamespace"`
	Node      string `json:"nodeName,omitempty"`
	Phase     string `json:"Phase"`
}

// Native is what lists of volumes say about the snapshot.
func (s Snapshot) Native() *NativeSnapshot {
	iops := int64(0)
	if s.Spec.IOPS != nil {
		iops = *s.Spec.IOPS
	}
	return &NativeSnapshot{
		Handle: s.Status.ID, Type: s.Spec.VolumeType, Zone: s.Spec.Zone, IOPS: strconv.FormatInt(iops, 10), Phase: s.Status.Phase,
	}
}

// Methods by which volumes are kept, and brought back.
const (
	MethodNative           = "NativeSnapshot"
	MethodPodVolume        = "PodVolumeBackup"
	MethodPodVolumeRestore = "PodVolumeRestore"
)

// Results of volumes.
const (
	ResultSucceeded = "succeeded"
	ResultFailed    = "failed"
)

// NativeSnapshot is what lists of volumes say about a snapshot.
type NativeSnapshot struct {
	Handle string        `json:"snapshotHandle"`
	Type   string        `json:"volumeType"`
	Zone   string        `json:"volumeAZ"`
	IOPS   string        `json:"iops"`
	Phase  SnapshotPhase `json:"Phase"`
}

// PVInfo is what a restore gives back to a volume that was made anew.
type PVInfo struct {
	ReclaimPolicy string            `json:"reclaimPolicy"`
	Labels        map[string]string `json:"labels"`
}
