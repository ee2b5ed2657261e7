// SPDX-License-Identifier: Apache-2.0

package v1

import (
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// VolumeSnapshotLocation says how a snapshotter plugin takes and finds snapshots.
// +kubebuilder:object:root=true
// +kubebuilder:resource:shortName=vsl
type VolumeSnapshotLocation struct {
	metav1.TypeMeta   `json:",inline"`
	metav1.ObjectMeta `json:"metadata,omitempty"`

	Spec   VolumeSnapshotLocationSpec   `json:"spec,omitempty"`
	Status VolumeSnapshotLocationStatus `json:"status,omitempty"`
}

// VolumeSnapshotLocationList is a list of VolumeSnapshotLocations.
// +kubebuilder:object:root=true
type VolumeSnapshotLocationList struct {
	metav1.TypeMeta `json:",inline"`
	metav1.ListMeta `json:"metadata,omitempty"`

	Items []VolumeSnapshotLocation `json:"items"`
}

// VolumeSnapshotLocationSpec is the plugin and its settings.
type VolumeSnapshotLocationSpec struct {
	// Provider is the plugin's name, with or without "velero.io/" before it.
	Provider string `json:"provider"`
	// Config is the plugin's own settings.
	Config map[string]string `json:"config,omitempty"`
	// Credential is the key of a Secret with the credentials, in the server's namespace. Not set: the server's own.
	Credential *corev1.SecretKeySelector `json:"credential,omitempty"`
}

// VolumeSnapshotLocationPhase says whether a location can be used. No controller maintains it.
// +kubebuilder:validation:Enum=Available;Unavailable
type VolumeSnapshotLocationPhase string

const (
	VolumeSnapshotLocationPhaseAvailable   VolumeSnapshotLocationPhase = "Available"
	VolumeSnapshotLocationPhaseUnavailable VolumeSnapshotLocationPhase = "Unavailable"
)

// VolumeSnapshotLocationStatus is for whoever wants to write it.
type VolumeSnapshotLocationStatus struct {
	// Phase says whether the location can be used.
	Phase VolumeSnapshotLocationPhase `json:"phase,omitempty"`
}
