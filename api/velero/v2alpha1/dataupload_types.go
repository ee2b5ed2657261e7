// SPDX-License-Identifier: Apache-2.0

package v2alpha1

import (
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	velerov1 "hozon.dev/hozon/api/velero/v1"
)

// DataUpload asks a node to copy the data of one snapshot into the storage location, and records how that went.
// +kubebuilder:object:root=true
// +kubebuilder:printcolumn:name="Status",type="string",JSONPath=".status.phase",description="Where the operation stands"
// +kubebuilder:printcolumn:name="Started",type="date",JSONPath=".status.startTimestamp",description="When copying began"
// +kubebuilder:printcolumn:name="Bytes Done",type="integer",format="int64",JSONPath=".status.progress.bytesDone",description="Bytes copied"
// +kubebuilder:printcolumn:name="Total Bytes",type="integer",format="int64",JSONPath=".status.progress.totalBytes",description="Bytes to copy"
// +kubebuilder:printcolumn:name="Incremental Bytes",type="integer",format="int64",JSONPath=".status.incrementalBytes",description="Bytes that were new",priority=10
// +kubebuilder:printcolumn:name="Storage Location",type="string",JSONPath=".spec.backupStorageLocation",description="The location with the data"
// +kubebuilder:printcolumn:name="Age",type="date",JSONPath=".metadata.creationTimestamp"
// +kubebuilder:printcolumn:name="Node",type="string",JSONPath=".status.node",description="The node that does the work"
type DataUpload struct {
	metav1.TypeMeta   `json:",inline"`
	metav1.ObjectMeta `json:"metadata,omitempty"`

	Spec   DataUploadSpec   `json:"spec,omitempty"`
	Status DataUploadStatus `json:"status,omitempty"`
}

// DataUploadList is a list of DataUploads.
// +kubebuilder:object:root=true
type DataUploadList struct {
	metav1.TypeMeta `json:",inline"`
	metav1.ListMeta `json:"metadata,omitempty"`

	Items []DataUpload `json:"items"`
}

// SnapshotType is the kind of a snapshot.
type SnapshotType string

// SnapshotTypeCSI is a CSI snapshot; there is no other kind.
const SnapshotTypeCSI SnapshotType = "CSI"

// DataUploadSpec says which snapshot is copied, and where to.
type DataUploadSpec struct {
	// SnapshotType is the kind of the snapshot: CSI.
	SnapshotType SnapshotType `json:"snapshotType"`
	// CSISnapshot is the snapshot.
	// +optional
	// +nullable
	CSISnapshot *CSISnapshotSpec `json:"csiSnapshot"`
	// SourcePVC is the claim that was snapshotted.
	SourcePVC string `json:"sourcePVC"`
	// DataMover is who copies the data; "" and "velero" are the built-in one.
	DataMover string `json:"datamover,omitempty"`
	// BackupStorageLocation is the location of the repository.
	BackupStorageLocation string `json:"backupStorageLocation"`
	// SourceNamespace is the namespace of the claim and the snapshot.
	SourceNamespace string `json:"sourceNamespace"`
	// DataMoverConfig is the data mover's own settings.
	// +nullable
	DataMoverConfig map[string]string `json:"dataMoverConfig,omitempty"`
	// Cancel asks the data mover to stop.
	Cancel bool `json:"cancel,omitempty"`
	// OperationTimeout bounds the preparations.
	OperationTimeout velerov1.Duration `json:"operationTimeout"`
}

// CSISnapshotSpec is a CSI snapshot and what a volume can be made of it with.
type CSISnapshotSpec struct {
	// VolumeSnapshot is the VolumeSnapshot's name.
	VolumeSnapshot string `json:"volumeSnapshot"`
	// StorageClass is the StorageClass for that volume.
	StorageClass string `json:"storageClass"`
	// SnapshotClass is the VolumeSnapshotClass that the snapshot was taken with.
	// +optional
	SnapshotClass string `json:"snapshotClass"`
	// Driver is the CSI driver's name.
	Driver string `json:"driver,omitempty"`
}

// NodeOS is the operating system that a volume needs on its node.
// +kubebuilder:validation:Enum=auto;linux;windows
type NodeOS string

const (
	NodeOSAuto    NodeOS = "auto"
	NodeOSLinux   NodeOS = "linux"
	NodeOSWindows NodeOS = "windows"
)

// DataUploadPhase is where the operation stands. An empty phase is New.
// +kubebuilder:validation:Enum=New;Accepted;Prepared;InProgress;Canceling;Canceled;Completed;Failed
type DataUploadPhase string

const (
	// DataUploadPhaseNew: nobody has looked at it.
	DataUploadPhaseNew DataUploadPhase = "New"
	// DataUploadPhaseAccepted: a node has taken it.
	DataUploadPhaseAccepted DataUploadPhase = "Accepted"
	// DataUploadPhasePrepared: its volume can be reached.
	DataUploadPhasePrepared DataUploadPhase = "Prepared"
	// DataUploadPhaseInProgress: data are being copied.
	DataUploadPhaseInProgress DataUploadPhase = "InProgress"
	// DataUploadPhaseCanceling: it was asked to stop.
	DataUploadPhaseCanceling DataUploadPhase = "Canceling"
	// DataUploadPhaseCanceled: it was stopped. Final.
	DataUploadPhaseCanceled DataUploadPhase = "Canceled"
	// DataUploadPhaseCompleted: all data are copied. Final.
	DataUploadPhaseCompleted DataUploadPhase = "Completed"
	// DataUploadPhaseFailed: they are not; Message says why. Final.
	DataUploadPhaseFailed DataUploadPhase = "Failed"
)

// DataUploadStatus is what became of it.
type DataUploadStatus struct {
	// Phase is where the operation stands.
	Phase DataUploadPhase `json:"phase,omitempty"`
	// Path is where the node found the volume.
	Path string `json:"path,omitempty"`
	// SnapshotID is the snapshot in the repository.
	SnapshotID string `json:"snapshotID,omitempty"`
	// DataMoverResult is what the data mover wants to know at the restore.
	// +nullable
	DataMoverResult *map[string]string `json:"dataMoverResult,omitempty"`
	// Message is what there is to say: why it failed, or was cancelled.
	Message string `json:"message,omitempty"`
	// StartTimestamp is when copying began.
	// +nullable
	StartTimestamp *metav1.Time `json:"startTimestamp,omitempty"`
	// CompletionTimestamp is when the phase became final.
	// +nullable
	CompletionTimestamp *metav1.Time `json:"completionTimestamp,omitempty"`
	// Progress counts bytes.
	// +optional
	Progress velerov1.DataMoveOperationProgress `json:"progress,omitempty"`
	// IncrementalBytes is how many bytes the repository did not have.
	IncrementalBytes int64 `json:"incrementalBytes,omitempty"`
	// Node is the node that does the work.
	Node string `json:"node,omitempty"`
	// NodeOS is that node's operating system.
	NodeOS NodeOS `json:"nodeOS,omitempty"`
	// AcceptedByNode is the node that took it and made the preparations.
	AcceptedByNode string `json:"acceptedByNode,omitempty"`
	// AcceptedTimestamp is when that was.
	// +nullable
	AcceptedTimestamp *metav1.Time `json:"acceptedTimestamp,omitempty"`
}

// UnmarshalJSON implements json.Unmarshaler.
func (s *DataUploadStatus) UnmarshalJSON(data []byte) error {
	type plain DataUploadStatus
	return velerov1.ReadStatus(data, (*plain)(s))
}

// DataUploadResult is what a restore must know of a DataUpload. It is no object: it travels as JSON in a ConfigMap.
type DataUploadResult struct {
	// BackupStorageLocation is the location of the repository.
	BackupStorageLocation string `json:"backupStorageLocation"`
	// DataMover is who copied the data.
	DataMover string `json:"datamover,omitempty"`
	// SnapshotID is the snapshot in the repository.
	SnapshotID string `json:"snapshotID,omitempty"`
	// SourceNamespace is the namespace of the claim.
	SourceNamespace string `json:"sourceNamespace"`
	// DataMoverResult is what the data mover left for itself.
	DataMoverResult *map[string]string `json:"dataMoverResult,omitempty"`
	// NodeOS is the operating system that the volume needs.
	NodeOS NodeOS `json:"nodeOS,omitempty"`
	// SnapshotSize is the snapshot's size in bytes, if it is known.
	SnapshotSize int64 `json:"snapshotSize,omitempty"`
}
