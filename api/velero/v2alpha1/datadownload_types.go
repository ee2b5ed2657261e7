// SPDX-License-Identifier: Apache-2.0

package v2alpha1

import (
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	velerov1 "hozon.dev/hozon/api/velero/v1"
)

// DataDownload asks a node to fill one new volume with data that a DataUpload copied, and records how that went.
// +kubebuilder:object:root=true
// +kubebuilder:printcolumn:name="Status",type="string",JSONPath=".status.phase",description="Where the operation stands"
// +kubebuilder:printcolumn:name="Started",type="date",JSONPath=".status.startTimestamp",description="When copying began"
// +kubebuilder:printcolumn:name="Bytes Done",type="integer",format="int64",JSONPath=".status.progress.bytesDone",description="Bytes copied"
// +kubebuilder:printcolumn:name="Total Bytes",type="integer",format="int64",JSONPath=".status.progress.totalBytes",description="Bytes to copy"
// +kubebuilder:printcolumn:name="Storage Location",type="string",JSONPath=".spec.backupStorageLocation",description="The location with the data"
// +kubebuilder:printcolumn:name="Age",type="date",JSONPath=".metadata.creationTimestamp"
// +kubebuilder:printcolumn:name="Node",type="string",JSONPath=".status.node",description="The node that does the work"
type DataDownload struct {
	metav1.TypeMeta   `json:",inline"`
	metav1.ObjectMeta `json:"metadata,omitempty"`

	Spec   DataDownloadSpec   `json:"spec,omitempty"`
	Status DataDownloadStatus `json:"status,omitempty"`
}

// DataDownloadList is a list of DataDownloads.
// +kubebuilder:object:root=true
type DataDownloadList struct {
	metav1.TypeMeta `json:",inline"`
	metav1.ListMeta `json:"metadata,omitempty"`

	Items []DataDownload `json:"items"`
}

// DataDownloadSpec says which volume is filled, and from what.
type DataDownloadSpec struct {
	// TargetVolume is the volume to fill.
	TargetVolume TargetVolumeSpec `json:"targetVolume"`
	// BackupStorageLocation is the location of the repository.
	BackupStorageLocation string `json:"backupStorageLocation"`
	// DataMover is who copies the data; "" and "velero" are the built-in one.
	DataMover string `json:"datamover,omitempty"`
	// SnapshotID is the snapshot in the repository.
	SnapshotID string `json:"snapshotID"`
	// SourceNamespace is the namespace that the volume was saved in.
	SourceNamespace string `json:"sourceNamespace"`
	// DataMoverConfig is the data mover's own settings.
	DataMoverConfig map[string]string `json:"dataMoverConfig,omitempty"`
	// Cancel asks the data mover to stop.
	Cancel bool `json:"cancel,omitempty"`
	// OperationTimeout bounds the preparations.
	OperationTimeout velerov1.Duration `json:"operationTimeout"`
	// NodeOS is the operating system that the volume needs on its node.
	NodeOS NodeOS `json:"nodeOS,omitempty"`
	// SnapshotSize is the snapshot's size in bytes, if it is known.
	SnapshotSize int64 `json:"snapshotSize,omitempty"`
}

// TargetVolumeSpec is a volume to fill.
type TargetVolumeSpec struct {
	// PVC is the restored claim.
	PVC string `json:"pvc"`
	// PV is the volume that the claim had.
	PV string `json:"pv"`
	// Namespace is the claim's namespace.
	Namespace string `json:"namespace"`
}

// DataDownloadPhase is where the operation stands. An empty phase is New.
// +kubebuilder:validation:Enum=New;Accepted;Prepared;InProgress;Canceling;Canceled;Completed;Failed
type DataDownloadPhase string

const (
	// DataDownloadPhaseNew: nobody has looked at it.
	DataDownloadPhaseNew DataDownloadPhase = "New"
	// DataDownloadPhaseAccepted: a node has taken it.
	DataDownloadPhaseAccepted DataDownloadPhase = "Accepted"
	// DataDownloadPhasePrepared: its volume can be reached.
	DataDownloadPhasePrepared DataDownloadPhase = "Prepared"
	// DataDownloadPhaseInProgress: data are being copied.
	DataDownloadPhaseInProgress DataDownloadPhase = "InProgress"
	// DataDownloadPhaseCanceling: it was asked to stop.
	DataDownloadPhaseCanceling DataDownloadPhase = "Canceling"
	// DataDownloadPhaseCanceled: it was stopped. Final.
	DataDownloadPhaseCanceled DataDownloadPhase = "Canceled"
	// DataDownloadPhaseCompleted: all data are copied. Final.
	DataDownloadPhaseCompleted DataDownloadPhase = "Completed"
	// DataDownloadPhaseFailed: they are not; Message says why. Final.
	DataDownloadPhaseFailed DataDownloadPhase = "Failed"
)

// DataDownloadStatus is what became of it.
type DataDownloadStatus struct {
	// Phase is where the operation stands.
	Phase DataDownloadPhase `json:"phase,omitempty"`
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
	// Node is the node that does the work.
	Node string `json:"node,omitempty"`
	// AcceptedByNode is the node that took it and made the preparations.
	AcceptedByNode string `json:"acceptedByNode,omitempty"`
	// AcceptedTimestamp is when that was.
	// +nullable
	AcceptedTimestamp *metav1.Time `json:"acceptedTimestamp,omitempty"`
}

// UnmarshalJSON implements json.Unmarshaler.
func (s *DataDownloadStatus) UnmarshalJSON(data []byte) error {
	type plain DataDownloadStatus
	return velerov1.ReadStatus(data, (*plain)(s))
}
