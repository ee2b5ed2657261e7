// SPDX-License-Identifier: Apache-2.0

package v1

import (
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
)

// BackupStorageLocation is a place where backups are kept.
// +kubebuilder:object:root=true
// +kubebuilder:resource:shortName=bsl
// +kubebuilder:printcolumn:name="Phase",type="string",JSONPath=".status.phase",description="Whether the location can be used"
// +kubebuilder:printcolumn:name="Last Validated",type="date",JSONPath=".status.lastValidationTime",description="When the location was last looked at"
// +kubebuilder:printcolumn:name="Age",type="date",JSONPath=".metadata.creationTimestamp"
// +kubebuilder:printcolumn:name="Default",type="boolean",JSONPath=".spec.default",description="Whether it is for backups that name no location"
type BackupStorageLocation struct {
	metav1.TypeMeta   `json:",inline"`
	metav1.ObjectMeta `json:"metadata,omitempty"`

	Spec   BackupStorageLocationSpec   `json:"spec,omitempty"`
	Status BackupStorageLocationStatus `json:"status,omitempty"`
}

// BackupStorageLocationList is a list of BackupStorageLocations.
// +kubebuilder:object:root=true
type BackupStorageLocationList struct {
	metav1.TypeMeta `json:",inline"`
	metav1.ListMeta `json:"metadata,omitempty"`

	Items []BackupStorageLocation `json:"items"`
}

// BackupStorageLocationSpec says where backups are kept, and how to get there.
type BackupStorageLocationSpec struct {
	// Provider is the kind of store: aws, gcp, azure or a plugin's name, with or without "velero.io/" before it.
	Provider string `json:"provider"`
	// Config is the provider's own settings.
	Config map[string]string `json:"config,omitempty"`
	// Credential is the key of a Secret with the credentials, in the server's namespace. Not set: the server's own.
	Credential *corev1.SecretKeySelector `json:"credential,omitempty"`
	// ObjectStorage is the place in the store.
	ObjectStorage *ObjectStorageLocation `json:"objectStorage"`
	// Default makes it the location of backups that name none.
	Default bool `json:"default,omitempty"`
	// AccessMode says what may be done with it. Empty is ReadWrite.
	AccessMode BackupStorageLocationAccessMode `json:"accessMode,omitempty"`
	// BackupSyncPeriod is the time between two looks at which backups are there. 0 is never, not set is the server's default.
	// +nullable
	BackupSyncPeriod *Duration `json:"backupSyncPeriod,omitempty"`
	// ValidationFrequency is the time between two looks at whether it can be used. 0 is never, not set is the server's default.
	// +nullable
	ValidationFrequency *Duration `json:"validationFrequency,omitempty"`
}

// ObjectStorageLocation is a bucket, or a part of one.
type ObjectStorageLocation struct {
	// Bucket is the bucket's name.
	Bucket string `json:"bucket"`
	// Prefix is the folder in it. Empty is the whole bucket.
	Prefix string `json:"prefix,omitempty"`
	// CACert is the PEM of the certificates to trust, instead of the system's. It and CACertRef exclude each other.
	CACert []byte `json:"caCert,omitempty"`
	// CACertRef is the key of a Secret with that PEM, in the server's namespace.
	CACertRef *corev1.SecretKeySelector `json:"caCertRef,omitempty"`
}

// BackupStorageLocationPhase says whether a location can be used. Empty is that nobody has looked.
// +kubebuilder:validation:Enum=Available;Unavailable
type BackupStorageLocationPhase string

const (
	// BackupStorageLocationPhaseAvailable: it could be read when it was last looked at.
	BackupStorageLocationPhaseAvailable BackupStorageLocationPhase = "Available"
	// BackupStorageLocationPhaseUnavailable: it could not; Message says why.
	BackupStorageLocationPhaseUnavailable BackupStorageLocationPhase = "Unavailable"
)

// BackupStorageLocationAccessMode says what may be done with a location.
// +kubebuilder:validation:Enum=ReadOnly;ReadWrite
type BackupStorageLocationAccessMode string

const (
	// BackupStorageLocationAccessModeReadOnly: backups are found and restored, not made and not deleted.
	BackupStorageLocationAccessModeReadOnly BackupStorageLocationAccessMode = "ReadOnly"
	// BackupStorageLocationAccessModeReadWrite: everything.
	BackupStorageLocationAccessModeReadWrite BackupStorageLocationAccessMode = "ReadWrite"
)

// BackupStorageLocationStatus is what the server found out about a location.
type BackupStorageLocationStatus struct {
	// Phase says whether the location can be used.
	Phase BackupStorageLocationPhase `json:"phase,omitempty"`
	// LastSyncedTime is when the backups in it were last compared with those in the cluster.
	// +nullable
	LastSyncedTime *metav1.Time `json:"lastSyncedTime,omitempty"`
	// LastValidationTime is when it was last looked at.
	// +nullable
	LastValidationTime *metav1.Time `json:"lastValidationTime,omitempty"`
	// Message is why it is Unavailable.
	Message string `json:"message,omitempty"`
	// LastSyncedRevision is deprecated: nobody writes it.
	LastSyncedRevision types.UID `json:"lastSyncedRevision,omitempty"`
	// AccessMode is deprecated: nobody writes it; the spec's counts.
	AccessMode BackupStorageLocationAccessMode `json:"accessMode,omitempty"`
}

// UnmarshalJSON implements json.Unmarshaler.
func (s *BackupStorageLocationStatus) UnmarshalJSON(data []byte) error {
	type plain BackupStorageLocationStatus
	return ReadStatus(data, (*plain)(s))
}
