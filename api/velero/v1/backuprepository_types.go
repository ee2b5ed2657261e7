// SPDX-License-Identifier: Apache-2.0

package v1

import metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

// BackupRepository is the repository with the volumes' data of one namespace in one location. Its name is
// "namespace-location-type"; it is found by its labels.
// +kubebuilder:object:root=true
// +kubebuilder:printcolumn:name="Age",type="date",JSONPath=".metadata.creationTimestamp"
// +kubebuilder:printcolumn:name="Repository Type",type="string",JSONPath=".spec.repositoryType",description="The repository's format"
type BackupRepository struct {
	metav1.TypeMeta   `json:",inline"`
	metav1.ObjectMeta `json:"metadata,omitempty"`

	Spec   BackupRepositorySpec   `json:"spec,omitempty"`
	Status BackupRepositoryStatus `json:"status,omitempty"`
}

// BackupRepositoryList is a list of BackupRepositories.
// +kubebuilder:object:root=true
type BackupRepositoryList struct {
	metav1.TypeMeta `json:",inline"`
	metav1.ListMeta `json:"metadata,omitempty"`

	Items []BackupRepository `json:"items"`
}

// Formats of repositories, and programs that write them.
const (
	RepositoryTypeKopia  = "kopia"
	RepositoryTypeRestic = "restic" // read only
)

// BackupRepositorySpec says where a repository is and how it is kept in order.
type BackupRepositorySpec struct {
	// VolumeNamespace is the namespace whose volumes it holds.
	VolumeNamespace string `json:"volumeNamespace"`
	// BackupStorageLocation is the location that it is in.
	BackupStorageLocation string `json:"backupStorageLocation"`
	// RepositoryType is its format, kopia or restic. Empty is what the server says.
	// +kubebuilder:validation:Enum=kopia;restic;""
	// +optional
	RepositoryType string `json:"repositoryType"`
	// ResticIdentifier is restic's address of it.
	ResticIdentifier string `json:"resticIdentifier,omitempty"`
	// MaintenanceFrequency is the time between two rounds of maintenance.
	MaintenanceFrequency Duration `json:"maintenanceFrequency"`
	// RepositoryConfig is the format's own settings.
	// +nullable
	RepositoryConfig map[string]string `json:"repositoryConfig,omitempty"`
}

// BackupRepositoryPhase is where a repository stands. An empty phase is New.
// +kubebuilder:validation:Enum=New;Ready;NotReady
type BackupRepositoryPhase string

const (
	// BackupRepositoryPhaseNew: nobody has connected to it.
	BackupRepositoryPhaseNew BackupRepositoryPhase = "New"
	// BackupRepositoryPhaseReady: it can be used.
	BackupRepositoryPhaseReady BackupRepositoryPhase = "Ready"
	// BackupRepositoryPhaseNotReady: it cannot; Message says why.
	BackupRepositoryPhaseNotReady BackupRepositoryPhase = "NotReady"
)

// BackupRepositoryStatus is what the server knows about a repository.
type BackupRepositoryStatus struct {
	// Phase is where the repository stands.
	Phase BackupRepositoryPhase `json:"phase,omitempty"`
	// Message is why it is NotReady.
	Message string `json:"message,omitempty"`
	// LastMaintenanceTime is when a round of maintenance last succeeded.
	// +nullable
	LastMaintenanceTime *metav1.Time `json:"lastMaintenanceTime,omitempty"`
	// RecentMaintenance are the last three rounds, the oldest first.
	RecentMaintenance []BackupRepositoryMaintenanceStatus `json:"recentMaintenance,omitempty"`
}

// UnmarshalJSON implements json.Unmarshaler.
func (s *BackupRepositoryStatus) UnmarshalJSON(data []byte) error {
	type plain BackupRepositoryStatus
	return ReadStatus(data, (*plain)(s))
}

// BackupRepositoryMaintenanceResult is how a round of maintenance ended.
// +kubebuilder:validation:Enum=Succeeded;Failed
type BackupRepositoryMaintenanceResult string

const (
	BackupRepositoryMaintenanceSucceeded BackupRepositoryMaintenanceResult = "Succeeded"
	BackupRepositoryMaintenanceFailed    BackupRepositoryMaintenanceResult = "Failed"
)

// BackupRepositoryMaintenanceStatus is one round of maintenance.
type BackupRepositoryMaintenanceStatus struct {
	// Result is how it ended.
	Result BackupRepositoryMaintenanceResult `json:"result,omitempty"`
	// StartTimestamp is when it began.
	// +nullable
	StartTimestamp *metav1.Time `json:"startTimestamp,omitempty"`
	// CompleteTimestamp is when it ended.
	// +nullable
	CompleteTimestamp *metav1.Time `json:"completeTimestamp,omitempty"`
	// Message is why it failed.
	Message string `json:"message,omitempty"`
}

// RepositoryUsage is what a repository held when it was maintained last, in bytes.
// +kubebuilder:object:generate=false
type RepositoryUsage struct {
	Snapshots   int         `json:"snapshots"`
	Logical     int64       `json:"logical"`     // files of all snapshots, each counted by itself
	Stored      int64       `json:"stored"`      // objects in the bucket
	Reclaimable int64       `json:"reclaimable"` // of these, what no snapshot needs
	At          metav1.Time `json:"at"`
}
