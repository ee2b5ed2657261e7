// SPDX-License-Identifier: Apache-2.0

package v1

import metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

// DownloadRequest asks for a URL by which one file of a Backup or Restore can be read for ten minutes.
// +kubebuilder:object:root=true
type DownloadRequest struct {
	metav1.TypeMeta   `json:",inline"`
	metav1.ObjectMeta `json:"metadata,omitempty"`

	Spec   DownloadRequestSpec   `json:"spec,omitempty"`
	Status DownloadRequestStatus `json:"status,omitempty"`
}

// DownloadRequestList is a list of DownloadRequests.
// +kubebuilder:object:root=true
type DownloadRequestList struct {
	metav1.TypeMeta `json:",inline"`
	metav1.ListMeta `json:"metadata,omitempty"`

	Items []DownloadRequest `json:"items"`
}

// DownloadRequestSpec names the file.
type DownloadRequestSpec struct {
	// Target is the file.
	Target DownloadTarget `json:"target"`
}

// DownloadTarget is one file of a Backup or Restore.
type DownloadTarget struct {
	// Kind is which file.
	Kind DownloadTargetKind `json:"kind"`
	// Name is whose: the Backup's or the Restore's name, as the kind says.
	Name string `json:"name"`
}

// DownloadTargetKind is which file of a Backup or Restore.
// +kubebuilder:validation:Enum=BackupLog;BackupContents;BackupVolumeSnapshots;BackupItemOperations;BackupResourceList;BackupResults;RestoreLog;RestoreResults;RestoreResourceList;RestoreItemOperations;CSIBackupVolumeSnapshots;CSIBackupVolumeSnapshotContents;BackupVolumeInfos;RestoreVolumeInfo
type DownloadTargetKind string

const (
	DownloadTargetKindBackupLog                       DownloadTargetKind = "BackupLog"
	DownloadTargetKindBackupContents                  DownloadTargetKind = "BackupContents"
	DownloadTargetKindBackupVolumeSnapshots           DownloadTargetKind = "BackupVolumeSnapshots"
	DownloadTargetKindBackupItemOperations            DownloadTargetKind = "BackupItemOperations"
	DownloadTargetKindBackupResourceList              DownloadTargetKind = "BackupResourceList"
	DownloadTargetKindBackupResults                   DownloadTargetKind = "BackupResults"
	DownloadTargetKindRestoreLog                      DownloadTargetKind = "RestoreLog"
	DownloadTargetKindRestoreResults                  DownloadTargetKind = "RestoreResults"
	DownloadTargetKindRestoreResourceList             DownloadTargetKind = "RestoreResourceList"
	DownloadTargetKindRestoreItemOperations           DownloadTargetKind = "RestoreItemOperations"
	DownloadTargetKindCSIBackupVolumeSnapshots        DownloadTargetKind = "CSIBackupVolumeSnapshots"
	DownloadTargetKindCSIBackupVolumeSnapshotContents DownloadTargetKind = "CSIBackupVolumeSnapshotContents"
	DownloadTargetKindBackupVolumeInfos               DownloadTargetKind = "BackupVolumeInfos"
	DownloadTargetKindRestoreVolumeInfo               DownloadTargetKind = "RestoreVolumeInfo"
)

// DownloadRequestPhase is where a request stands. An empty phase is New.
// +kubebuilder:validation:Enum=New;Processed
type DownloadRequestPhase string

const (
	// DownloadRequestPhaseNew: nobody has looked at it.
	DownloadRequestPhaseNew DownloadRequestPhase = "New"
	// DownloadRequestPhaseProcessed: DownloadURL can be used until Expiration. Whether the file exists is not looked at.
	DownloadRequestPhaseProcessed DownloadRequestPhase = "Processed"
)

// DownloadRequestStatus is the answer to a request.
type DownloadRequestStatus struct {
	// Phase is where the request stands.
	Phase DownloadRequestPhase `json:"phase,omitempty"`
	// DownloadURL is where the file can be read, without further credentials.
	DownloadURL string `json:"downloadURL,omitempty"`
	// Expiration is until when; the request itself is removed after it.
	// +nullable
	Expiration *metav1.Time `json:"expiration,omitempty"`
}

// UnmarshalJSON implements json.Unmarshaler.
func (s *DownloadRequestStatus) UnmarshalJSON(data []byte) error {
	type plain DownloadRequestStatus
	return ReadStatus(data, (*plain)(s))
}
