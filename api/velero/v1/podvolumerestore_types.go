// SPDX-License-Identifier: Apache-2.0

package v1

import (
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// PodVolumeRestore asks a node to fill one volume of one pod from a snapshot, and records how that went.
// +kubebuilder:object:root=true
// +kubebuilder:printcolumn:name="Status",type="string",JSONPath=".status.phase",description="Where the operation stands"
// +kubebuilder:printcolumn:name="Started",type="date",JSONPath=".status.startTimestamp",description="When copying began"
// +kubebuilder:printcolumn:name="Bytes Done",type="integer",format="int64",JSONPath=".status.progress.bytesDone",description="Bytes copied"
// +kubebuilder:printcolumn:name="Total Bytes",type="integer",format="int64",JSONPath=".status.progress.totalBytes",description="Bytes to copy"
// +kubebuilder:printcolumn:name="Storage Location",type="string",JSONPath=".spec.backupStorageLocation",description="The location with the data"
// +kubebuilder:printcolumn:name="Age",type="date",JSONPath=".metadata.creationTimestamp"
// +kubebuilder:printcolumn:name="Node",type="string",JSONPath=".status.node",description="The node that does the work"
// +kubebuilder:printcolumn:name="Uploader Type",type="string",JSONPath=".spec.uploaderType",description="What copies the files"
type PodVolumeRestore struct {
	metav1.TypeMeta   `json:",inline"`
	metav1.ObjectMeta `json:"metadata,omitempty"`

	Spec   PodVolumeRestoreSpec   `json:"spec,omitempty"`
	Status PodVolumeRestoreStatus `json:"status,omitempty"`
}

// PodVolumeRestoreList is a list of PodVolumeRestores.
// +kubebuilder:object:root=true
type PodVolumeRestoreList struct {
	metav1.TypeMeta `json:",inline"`
	metav1.ListMeta `json:"metadata,omitempty"`

	Items []PodVolumeRestore `json:"items"`
}

// PodVolumeRestoreSpec says which volume is filled, and from what.
type PodVolumeRestoreSpec struct {
	// Pod is the pod, which waits in an init container.
	Pod corev1.ObjectReference `json:"pod"`
	// Volume is the volume's name in the pod.
	Volume string `json:"volume"`
	// BackupStorageLocation is the location of the repository.
	BackupStorageLocation string `json:"backupStorageLocation"`
	// RepoIdentifier is restic's address of the repository; empty for kopia.
	RepoIdentifier string `json:"repoIdentifier"`
	// UploaderType is what copied the files: kopia or restic. Empty is restic, from times when there was nothing else.
	// +kubebuilder:validation:Enum=kopia;restic;""
	// +optional
	UploaderType string `json:"uploaderType"`
	// SnapshotID is the snapshot in the repository.
	SnapshotID string `json:"snapshotID"`
	// SourceNamespace is the namespace that the volume was saved in.
	SourceNamespace string `json:"sourceNamespace"`
	// UploaderSettings tune the uploader.
	// +nullable
	UploaderSettings map[string]string `json:"uploaderSettings,omitempty"`
	// Cancel asks the node to stop.
	Cancel bool `json:"cancel,omitempty"`
	// SnapshotSize is the snapshot's size in bytes, if it is known.
	SnapshotSize int64 `json:"snapshotSize,omitempty"`
}

// PodVolumeRestorePhase is where the operation stands. An empty phase is New.
// +kubebuilder:validation:Enum=New;Accepted;Prepared;InProgress;Canceling;Canceled;Completed;Failed
type PodVolumeRestorePhase string

const (
	// PodVolumeRestorePhaseNew: nobody has looked at it.
	PodVolumeRestorePhaseNew PodVolumeRestorePhase = "New"
	// PodVolumeRestorePhaseAccepted: a node has taken it.
	PodVolumeRestorePhaseAccepted PodVolumeRestorePhase = "Accepted"
	// PodVolumeRestorePhasePrepared: its volume can be reached.
	PodVolumeRestorePhasePrepared PodVolumeRestorePhase = "Prepared"
	// PodVolumeRestorePhaseInProgress: data are being copied.
	PodVolumeRestorePhaseInProgress PodVolumeRestorePhase = "InProgress"
	// PodVolumeRestorePhaseCanceling: it was asked to stop.
	PodVolumeRestorePhaseCanceling PodVolumeRestorePhase = "Canceling"
	// PodVolumeRestorePhaseCanceled: it was stopped. Final.
	PodVolumeRestorePhaseCanceled PodVolumeRestorePhase = "Canceled"
	// PodVolumeRestorePhaseCompleted: all data are copied. Final.
	PodVolumeRestorePhaseCompleted PodVolumeRestorePhase = "Completed"
	// PodVolumeRestorePhaseFailed: they are not; Message says why. Final.
	PodVolumeRestorePhaseFailed PodVolumeRestorePhase = "Failed"
)

// PodVolumeRestoreStatus is what became of it.
type PodVolumeRestoreStatus struct {
	// Phase is where the operation stands.
	Phase PodVolumeRestorePhase `json:"phase,omitempty"`
	// Message is why it failed.
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
	// AcceptedTimestamp is when a node took it.
	// +nullable
	AcceptedTimestamp *metav1.Time `json:"acceptedTimestamp,omitempty"`
	// Node is the node that does the work.
	Node string `json:"node,omitempty"`
}

// UnmarshalJSON implements json.Unmarshaler.
func (s *PodVolumeRestoreStatus) UnmarshalJSON(data []byte) error {
	type plain PodVolumeRestoreStatus
	return ReadStatus(data, (*plain)(s))
}
