// SPDX-License-Identifier: Apache-2.0

package v1

import (
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// Backup asks for, and then records, one backup.
type Backup struct {
	metav1.TypeMeta   `json:",inline"`
	metav1.ObjectMeta `json:"metadata"`

	Spec   BackupSpec   `json:"spec,omitempty"`
	Status BackupStatus `json:"status,omitempty"`
}

// Metadata holds the labels that a Schedule's template gives to its Backups.
type Metadata struct {
	Labels map[string]string `json:"labels,omitempty"`
}

// BackupSpec says what a backup takes in. The old filter family (IncludedResources, ExcludedResources,
// IncludeClusterResources) and the scoped one (the four …ScopedResources) exclude each other.
type BackupSpec struct {
	Metadata `json:"metadata,omitempty"`

	IncludedNamespaces []string `json:"includedNamespaces,omitempty"` // empty or "*": all; globs allowed
	ExcludedNamespaces []string `json:"excludedNamespaces,omitempty"`

	IncludedResources []string `json:"includedResources,omitempty"`
	ExcludedResources []string `json:"excludedResources,omitempty"`
	// IncludeClusterResources: nil takes what the namespaces' objects need (everything, if all namespaces are in).
	IncludeClusterResources *bool `json:"includeClusterResources,omitempty"`

	IncludedClusterScopedResources   []string `json:"includedClusterScopedResources,omitempty"`
	ExcludedClusterScopedResources   []string `json:"excludedClusterScopedResources,omitempty"`
	IncludedNamespaceScopedResources []string `json:"includedNamespaceScopedResources,omitempty"`
	ExcludedNamespaceScopedResources []string `json:"excludedNamespaceScopedResources,omitempty"`

	// LabelSelector and OrLabelSelectors (any of them) exclude each other.
	LabelSelector    *metav1.LabelSelector   `json:"labelSelector,omitempty"`
	OrLabelSelectors []*metav1.LabelSelector `json:"orLabelSelectors,omitempty"`

	SnapshotVolumes             *bool           `json:"snapshotVolumes,omitempty"`
	TTL                         metav1.Duration `json:"ttl,omitempty"` // 0: the server's default, 720h
	VolumeGroupSnapshotLabelKey string          `json:"volumeGroupSnapshotLabelKey,omitempty"`
	Hooks                       BackupHooks     `json:"hooks,omitempty"`
	StorageLocation             string          `json:"storageLocation,omitempty"`
	VolumeSnapshotLocations     []string        `json:"volumeSnapshotLocations,omitempty"`
	DefaultVolumesToRestic      *bool           `json:"defaultVolumesToRestic,omitempty"` // deprecated name of the next
	DefaultVolumesToFsBackup    *bool           `json:"defaultVolumesToFsBackup,omitempty"`
	// OrderedResources maps a resource to the names that go first, comma-separated: "pods": "ns/a,ns/b".
	OrderedResources     map[string]string                 `json:"orderedResources,omitempty"`
	CSISnapshotTimeout   metav1.Duration                   `json:"csiSnapshotTimeout,omitempty"`
	ItemOperationTimeout metav1.Duration                   `json:"itemOperationTimeout,omitempty"`
	ResourcePolicy       *corev1.TypedLocalObjectReference `json:"resourcePolicy,omitempty"`
	SnapshotMoveData     *bool                             `json:"snapshotMoveData,omitempty"`
	DataMover            string                            `json:"datamover,omitempty"` // "" and "velero": the built-in one
	UploaderConfig       *UploaderConfigForBackup          `json:"uploaderConfig,omitempty"`
}

// UploaderConfigForBackup tunes file backup of volumes.
type UploaderConfigForBackup struct {
	ParallelFilesUpload int `json:"parallelFilesUpload,omitempty"` // 0: as many as there are CPUs
}

// BackupHooks run commands in pods around their backup.
type BackupHooks struct {
	Resources []BackupResourceHookSpec `json:"resources,omitempty"`
}

// BackupResourceHookSpec is a set of hooks and the pods that it applies to.
type BackupResourceHookSpec struct {
	Name               string                `json:"name"`
	IncludedNamespaces []string              `json:"includedNamespaces,omitempty"`
	ExcludedNamespaces []string              `json:"excludedNamespaces,omitempty"`
	IncludedResources  []string              `json:"includedResources,omitempty"`
	ExcludedResources  []string              `json:"excludedResources,omitempty"`
	LabelSelector      *metav1.LabelSelector `json:"labelSelector,omitempty"`
	PreHooks           []BackupResourceHook  `json:"pre,omitempty"`
	PostHooks          []BackupResourceHook  `json:"post,omitempty"`
}

// BackupResourceHook is one hook; exec is the only form.
type BackupResourceHook struct {
	Exec *ExecHook `json:"exec"`
}

// HookErrorMode says what a failed hook means for its pod.
type HookErrorMode string

const (
	HookErrorModeContinue HookErrorMode = "Continue"
	HookErrorModeFail     HookErrorMode = "Fail"
)

// ExecHook is a command to run in a container.
type ExecHook struct {
	Container string          `json:"container,omitempty"` // default: the pod's first
	Command   []string        `json:"command"`             // run without a shell
	OnError   HookErrorMode   `json:"onError,omitempty"`   // default: Fail
	Timeout   metav1.Duration `json:"timeout,omitempty"`   // default: 30s
}

// BackupPhase is where a backup stands.
type BackupPhase string

const (
	BackupPhaseNew                                       BackupPhase = "New"
	BackupPhaseQueued                                    BackupPhase = "Queued"
	BackupPhaseReadyToStart                              BackupPhase = "ReadyToStart"
	BackupPhaseFailedValidation                          BackupPhase = "FailedValidation"
	BackupPhaseInProgress                                BackupPhase = "InProgress"
	BackupPhaseWaitingForPluginOperations                BackupPhase = "WaitingForPluginOperations"
	BackupPhaseWaitingForPluginOperationsPartiallyFailed BackupPhase = "WaitingForPluginOperationsPartiallyFailed"
	BackupPhaseFinalizing                                BackupPhase = "Finalizing"
	BackupPhaseFinalizingPartiallyFailed                 BackupPhase = "FinalizingPartiallyFailed"
	BackupPhaseCompleted                                 BackupPhase = "Completed"
	BackupPhasePartiallyFailed                           BackupPhase = "PartiallyFailed"
	BackupPhaseFailed                                    BackupPhase = "Failed"
	BackupPhaseDeleting                                  BackupPhase = "Deleting"
)

// BackupStatus is what became of a backup.
type BackupStatus struct {
	Version                       int             `json:"version,omitempty"` // 1
	FormatVersion                 string          `json:"formatVersion,omitempty"`
	Expiration                    *metav1.Time    `json:"expiration,omitempty"`
	Phase                         BackupPhase     `json:"phase,omitempty"`
	QueuePosition                 int             `json:"queuePosition,omitempty"`
	ValidationErrors              []string        `json:"validationErrors,omitempty"`
	StartTimestamp                *metav1.Time    `json:"startTimestamp,omitempty"`
	CompletionTimestamp           *metav1.Time    `json:"completionTimestamp,omitempty"`
	VolumeSnapshotsAttempted      int             `json:"volumeSnapshotsAttempted,omitempty"`
	VolumeSnapshotsCompleted      int             `json:"volumeSnapshotsCompleted,omitempty"`
	FailureReason                 string          `json:"failureReason,omitempty"`
	Warnings                      int             `json:"warnings,omitempty"`
	Errors                        int             `json:"errors,omitempty"`
	Progress                      *BackupProgress `json:"progress,omitempty"`
	CSIVolumeSnapshotsAttempted   int             `json:"csiVolumeSnapshotsAttempted,omitempty"`
	CSIVolumeSnapshotsCompleted   int             `json:"csiVolumeSnapshotsCompleted,omitempty"`
	BackupItemOperationsAttempted int             `json:"backupItemOperationsAttempted,omitempty"`
	BackupItemOperationsCompleted int             `json:"backupItemOperationsCompleted,omitempty"`
	BackupItemOperationsFailed    int             `json:"backupItemOperationsFailed,omitempty"`
	HookStatus                    *HookStatus     `json:"hookStatus,omitempty"`
}

// BackupProgress counts items.
type BackupProgress struct {
	TotalItems    int `json:"totalItems,omitempty"`
	ItemsBackedUp int `json:"itemsBackedUp,omitempty"`
}

// HookStatus counts hooks.
type HookStatus struct {
	HooksAttempted int `json:"hooksAttempted,omitempty"`
	HooksFailed    int `json:"hooksFailed,omitempty"`
}
