// SPDX-License-Identifier: Apache-2.0

package v1

import metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

// DeleteBackupRequest asks for a Backup to be removed with all its data.
// +kubebuilder:object:root=true
// +kubebuilder:printcolumn:name="BackupName",type="string",JSONPath=".spec.backupName",description="The backup to remove"
// +kubebuilder:printcolumn:name="Status",type="string",JSONPath=".status.phase",description="Where the request stands"
type DeleteBackupRequest struct {
	metav1.TypeMeta   `json:",inline"`
	metav1.ObjectMeta `json:"metadata,omitempty"`

	Spec   DeleteBackupRequestSpec   `json:"spec,omitempty"`
	Status DeleteBackupRequestStatus `json:"status,omitempty"`
}

// DeleteBackupRequestList is a list of DeleteBackupRequests.
// +kubebuilder:object:root=true
type DeleteBackupRequestList struct {
	metav1.TypeMeta `json:",inline"`
	metav1.ListMeta `json:"metadata,omitempty"`

	Items []DeleteBackupRequest `json:"items"`
}

// DeleteBackupRequestSpec names the Backup.
type DeleteBackupRequestSpec struct {
	// BackupName is the Backup to remove.
	BackupName string `json:"backupName"`
}

// DeleteBackupRequestPhase is where a request stands. An empty phase is New.
// +kubebuilder:validation:Enum=New;InProgress;Processed
type DeleteBackupRequestPhase string

const (
	// DeleteBackupRequestPhaseNew: nobody has looked at it.
	DeleteBackupRequestPhaseNew DeleteBackupRequestPhase = "New"
	// DeleteBackupRequestPhaseInProgress: the backup's data are being removed.
	DeleteBackupRequestPhaseInProgress DeleteBackupRequestPhase = "InProgress"
	// DeleteBackupRequestPhaseProcessed: it is over; Errors says whether it worked. Final.
	DeleteBackupRequestPhaseProcessed DeleteBackupRequestPhase = "Processed"
)

// DeleteBackupRequestStatus is what became of a request.
type DeleteBackupRequestStatus struct {
	// Phase is where the request stands.
	Phase DeleteBackupRequestPhase `json:"phase,omitempty"`
	// Errors are why the Backup, or some of its data, is still there.
	// +nullable
	Errors []string `json:"errors,omitempty"`
}
