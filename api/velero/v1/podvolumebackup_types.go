// SPDX-License-Identifier: Apache-2.0

package v1

import (
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// PodVolumeBackup asks a node to save one volume of one pod, file by file, and records how that went.
// +kubebuilder:object:root=true
// +kubebuilder:printcolumn:name="Status",type="string",JSONPath=".status.phase",description="Where the operation stands"
// +kubebuilder:printcolumn:name="Started",type="date",JSONPath=".status.startTimestamp",description="When copying began"
// +kubebuilder:printcolumn:name="Bytes Done",type="integer",format="int64",JSONPath=".status.progress.bytesDone",description="Bytes copied"
// +kubebuilder:printcolumn:name="Total Bytes",type="integer",format="int64",JSONPath=".status.progress.totalBytes",description="Bytes to copy"
// +kubebuilder:printcolumn:name="Incremental Bytes",type="integer",format="int64",JSONPath=".status.incrementalBytes",description="Bytes that were new",priority=10
// +kubebuilder:printcolumn:name="Storage Location",type="string",JSONPath=".spec.backupStorageLocation",description="The location with the data"
// +kubebuilder:printcolumn:name="Age",type="date",JSONPath=".metadata.creationTimestamp"
// +kubebuilder:printcolumn:name="Node",type="string",JSONPath=".status.node",description="The node that does the work"
// +kubebuilder:printcolumn:name="Uploader",type="string",JSONPath=".spec.uploaderType",description="What copies the files"
type PodVolumeBackup struct {
	metav1.TypeMeta   `json:",inline"`
	metav1.ObjectMeta `json:"metadata,omitempty"`

	Spec   PodVolumeBackupSpec   `json:"spec,omitempty"`
	Status PodVolumeBackupStatus `json:"status,omitempty"`
}

// PodVolumeBackupList is a list of PodVolumeBackups.
// +kubebuilder:object:root=true
type PodVolumeBackupList struct {
	metav1.TypeMeta `json:",inline"`
	metav1.ListMeta `json:"metadata,omitempty"`

	Items []PodVolumeBackup `json:"items"`
}

// PodVolumeBackupSpec says which volume is saved, and where to.
type PodVolumeBackupSpec struct {
	// Node is the node that the pod runs on.
	Node string `json:"node"`
	// Pod is the pod.
	Pod corev1.ObjectReference `json:"pod"`
	// Volume is the volume's name in the pod.
	Volume string `json:"volume"`
	// BackupStorageLocation is the location of the repository.
	BackupStorageLocation string `json:"backupStorageLocation"`
	// RepoIdentifier is restic's address of the repository; empty for kopia.
	RepoIdentifier string `json:"repoIdentifier"`
	// UploaderType is what copies the files: kopia or restic. Empty is restic, from times when there was nothing else.
	// +kubebuilder:validation:Enum=kopia;restic;""
	// +optional
	UploaderType string `json:"uploaderType"`
	// Tags are written into the snapshot.
	Tags map[string]string `json:"tags,omitempty"`
	// UploaderSettings tune the uploader.
	// +nullable
	UploaderSettings map[string]string `json:"uploaderSettings,omitempty"`
	// Cancel asks the node to stop.
	Cancel bool `json:"cancel,omitempty"`
}

// PodVolumeBackupPhase is where the operation stands. An empty phase is New.
// +kubebuilder:validation:Enum=New;Accepted;Prepared;InProgress;Canceling;Canceled;Completed;Failed
type PodVolumeBackupPhase string

const (
	// PodVolumeBackupPhaseNew: nobody has looked at it.
	PodVolumeBackupPhaseNew PodVolumeBackupPhase = "New"
	// PodVolumeBackupPhaseAccepted: a node has taken it.
	PodVolumeBackupPhaseAccepted PodVolumeBackupPhase = "Accepted"
	// PodVolumeBackupPhasePrepared: its volume can be reached.
	PodVolumeBackupPhasePrepared PodVolumeBackupPhase = "Prepared"
	// PodVolumeBackupPhaseInProgress: data are being copied.
	PodVolumeBackupPhaseInProgress PodVolumeBackupPhase = "InProgress"
	// PodVolumeBackupPhaseCanceling: it was asked to stop.
	PodVolumeBackupPhaseCanceling PodVolumeBackupPhase = "Canceling"
	// PodVolumeBackupPhaseCanceled: it was stopped. Final.
	PodVolumeBackupPhaseCanceled PodVolumeBackupPhase = "Canceled"
	// PodVolumeBackupPhaseCompleted: all data are copied. Final.
	PodVolumeBackupPhaseCompleted PodVolumeBackupPhase = "Completed"
	// PodVolumeBackupPhaseFailed: they are not; Message says why. Final.
	PodVolumeBackupPhaseFailed PodVolumeBackupPhase = "Failed"
)

// PodVolumeBackupStatus is what became of it. There is no node in it, though a column asks for one.
type PodVolumeBackupStatus struct {
	// Phase is where the operation stands.
	Phase PodVolumeBackupPhase `json:"phase,omitempty"`
	// Path is where the node found the volume.
	Path string `json:"path,omitempty"`
	// SnapshotID is the snapshot in the repository. Empty if the volume was.
	SnapshotID string `json:"snapshotID,omitempty"`
	// Message is what there is to say: why it failed, or that there was nothing to save.
	Message string `json:"message,omitempty"`
	// StartTimestamp is when copying began.
	// +nullable
	StartTimestamp *metav1.Time `json:"startTimestamp,omitempty"`
	// CompletionTimestamp is when the phase became final.
	// +nullable
	CompletionTimestamp *metav1.Time `json:"completionTimestamp,omitempty"`
	// Progress counts bytes.
	// +optional
	Progress DataMoveOperationProgress `json:"progress,omitempty"`
	// IncrementalBytes is how many bytes the repository did not have.
	IncrementalBytes int64 `json:"incrementalBytes,omitempty"`
	// AcceptedTimestamp is when a node took it.
	// +nullable
	AcceptedTimestamp *metav1.Time `json:"acceptedTimestamp,omitempty"`
}

// UnmarshalJSON implements json.Unmarshaler.
func (s *PodVolumeBackupStatus) UnmarshalJSON(data []byte) error {
	type plain PodVolumeBackupStatus
	return ReadStatus(data, (*plain)(s))
}

// DataMoveOperationProgress counts bytes.
type DataMoveOperationProgress struct {
	// TotalBytes is how many there are, as far as it is known yet.
	TotalBytes int64 `json:"totalBytes,omitempty"`
	// BytesDone is how many are done.
	BytesDone int64 `json:"bytesDone,omitempty"`
}
