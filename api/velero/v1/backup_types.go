// SPDX-License-Identifier: Apache-2.0

package v1

import (
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// Backup asks for, and then records, one backup.
// +kubebuilder:object:root=true
type Backup struct {
	metav1.TypeMeta   `json:",inline"`
	metav1.ObjectMeta `json:"metadata,omitempty"`

	Spec   BackupSpec   `json:"spec,omitempty"`
	Status BackupStatus `json:"status,omitempty"`
}

// BackupList is a list of Backups.
// +kubebuilder:object:root=true
type BackupList struct {
	metav1.TypeMeta `json:",inline"`
	metav1.ListMeta `json:"metadata,omitempty"`

	Items []Backup `json:"items"`
}

// Metadata holds the labels that a Schedule's template gives to its Backups.
type Metadata struct {
	// Labels are the labels of those Backups.
	Labels map[string]string `json:"labels,omitempty"`
}

// BackupSpec says what a backup takes in. The old filter family (IncludedResources, ExcludedResources,
// IncludeClusterResources) and the scoped one (the four …ScopedResources) exclude each other.
type BackupSpec struct {
	// Metadata is what a Schedule's template gives to its Backups.
	// +optional
	Metadata `json:"metadata,omitempty"`

	// IncludedNamespaces are the namespaces to save, by name or by pattern. Empty, or "*", is all.
	// +nullable
	IncludedNamespaces []string `json:"includedNamespaces,omitempty"`
	// ExcludedNamespaces are left out of the included ones.
	// +nullable
	ExcludedNamespaces []string `json:"excludedNamespaces,omitempty"`

	// IncludedResources are the kinds to save, as "resource" or "resource.group". Empty, or "*", is all. Old filter family.
	// +nullable
	IncludedResources []string `json:"includedResources,omitempty"`
	// ExcludedResources are the kinds to leave out. Old filter family.
	// +nullable
	ExcludedResources []string `json:"excludedResources,omitempty"`
	// IncludeClusterResources says whether cluster-scoped objects are saved: all of them, none, or, if it is not set,
	// what the namespaces' objects need (everything, if all namespaces are in). Old filter family.
	// +nullable
	IncludeClusterResources *bool `json:"includeClusterResources,omitempty"`

	// IncludedClusterScopedResources are the cluster-scoped kinds to save; "*" is all. Scoped filter family.
	// +nullable
	IncludedClusterScopedResources []string `json:"includedClusterScopedResources,omitempty"`
	// ExcludedClusterScopedResources are the cluster-scoped kinds to leave out; "*" is all. Scoped filter family.
	// +nullable
	ExcludedClusterScopedResources []string `json:"excludedClusterScopedResources,omitempty"`
	// IncludedNamespaceScopedResources are the namespaced kinds to save. Empty, or "*", is all. Scoped filter family.
	// +nullable
	IncludedNamespaceScopedResources []string `json:"includedNamespaceScopedResources,omitempty"`
	// ExcludedNamespaceScopedResources are the namespaced kinds to leave out; "*" is all. Scoped filter family.
	// +nullable
	ExcludedNamespaceScopedResources []string `json:"excludedNamespaceScopedResources,omitempty"`

	// LabelSelector saves only objects whose labels match. It and OrLabelSelectors exclude each other.
	// +nullable
	LabelSelector *metav1.LabelSelector `json:"labelSelector,omitempty"`
	// OrLabelSelectors save only objects whose labels match any of them.
	// +nullable
	OrLabelSelectors []*metav1.LabelSelector `json:"orLabelSelectors,omitempty"`

	// SnapshotVolumes says whether volumes are snapshotted. Not set: where it is possible.
	// +nullable
	SnapshotVolumes *bool `json:"snapshotVolumes,omitempty"`
	// TTL is how long the backup is kept. 0 is the server's default, 720h.
	// +optional
	TTL Duration `json:"ttl,omitempty"`
	// VolumeGroupSnapshotLabelKey is the label by whose value claims are snapshotted together.
	// Empty is the server's default, velero.io/volume-group.
	VolumeGroupSnapshotLabelKey string `json:"volumeGroupSnapshotLabelKey,omitempty"`
	// Hooks are commands to run in pods around their backup.
	// +optional
	Hooks BackupHooks `json:"hooks,omitempty"`
	// StorageLocation is the BackupStorageLocation to write to. Empty is the default one.
	StorageLocation string `json:"storageLocation,omitempty"`
	// VolumeSnapshotLocations name at most one VolumeSnapshotLocation for each provider.
	VolumeSnapshotLocations []string `json:"volumeSnapshotLocations,omitempty"`
	// DefaultVolumesToRestic is the deprecated name of DefaultVolumesToFsBackup.
	// +nullable
	DefaultVolumesToRestic *bool `json:"defaultVolumesToRestic,omitempty"`
	// DefaultVolumesToFsBackup saves the volumes of all pods file by file, but for those that opt out.
	// Not set is the server's default.
	// +nullable
	DefaultVolumesToFsBackup *bool `json:"defaultVolumesToFsBackup,omitempty"`
	// OrderedResources maps a resource to the names that go first, comma-separated: "pods": "ns/a,ns/b".
	// +nullable
	OrderedResources map[string]string `json:"orderedResources,omitempty"`
	// CSISnapshotTimeout bounds the wait for a CSI snapshot to be taken. 0 is the server's default, 10m.
	// +optional
	CSISnapshotTimeout Duration `json:"csiSnapshotTimeout,omitempty"`
	// ItemOperationTimeout bounds what goes on in the background after the objects are saved. 0 is the server's default, 4h.
	// +optional
	ItemOperationTimeout Duration `json:"itemOperationTimeout,omitempty"`
	// ResourcePolicy is the ConfigMap with the policies for volumes and objects, in the server's namespace.
	ResourcePolicy *corev1.TypedLocalObjectReference `json:"resourcePolicy,omitempty"`
	// SnapshotMoveData copies the data of snapshots into the storage location. Not set is the server's default.
	// +nullable
	SnapshotMoveData *bool `json:"snapshotMoveData,omitempty"`
	// DataMover is who copies it; "" and "velero" are the built-in one.
	DataMover string `json:"datamover,omitempty"`
	// UploaderConfig tunes the backup of volumes file by file.
	// +nullable
	UploaderConfig *UploaderConfigForBackup `json:"uploaderConfig,omitempty"`
}

// UploaderConfigForBackup tunes file backup of volumes.
type UploaderConfigForBackup struct {
	// ParallelFilesUpload is how many files are read at once. 0 is as many as the node has CPUs.
	ParallelFilesUpload int `json:"parallelFilesUpload,omitempty"`
}

// BackupHooks run commands in pods around their backup.
type BackupHooks struct {
	// Resources are the sets of hooks.
	// +nullable
	Resources []BackupResourceHookSpec `json:"resources,omitempty"`
}

// BackupResourceHookSpec is a set of hooks and the pods that it applies to.
type BackupResourceHookSpec struct {
	// Name tells the set apart in logs and errors.
	Name string `json:"name"`
	// IncludedNamespaces are the pods' namespaces. Empty is all.
	// +nullable
	IncludedNamespaces []string `json:"includedNamespaces,omitempty"`
	// ExcludedNamespaces are left out of the included ones.
	// +nullable
	ExcludedNamespaces []string `json:"excludedNamespaces,omitempty"`
	// IncludedResources are the kinds; only pods have hooks.
	// +nullable
	IncludedResources []string `json:"includedResources,omitempty"`
	// ExcludedResources are left out of the included ones.
	// +nullable
	ExcludedResources []string `json:"excludedResources,omitempty"`
	// LabelSelector narrows the set to pods whose labels match.
	// +nullable
	LabelSelector *metav1.LabelSelector `json:"labelSelector,omitempty"`
	// PreHooks run in this order before the pod and its volumes are saved.
	PreHooks []BackupResourceHook `json:"pre,omitempty"`
	// PostHooks run in this order after that.
	PostHooks []BackupResourceHook `json:"post,omitempty"`
}

// BackupResourceHook is one hook; exec is the only form.
type BackupResourceHook struct {
	// Exec is a command to run in a container.
	Exec *ExecHook `json:"exec"`
}

// HookErrorMode says what a failed hook means for its pod.
// +kubebuilder:validation:Enum=Continue;Fail
type HookErrorMode string

const (
	// HookErrorModeContinue goes on as if it had worked; the run still counts an error.
	HookErrorModeContinue HookErrorMode = "Continue"
	// HookErrorModeFail skips the pod's further hooks, and, after a hook before the backup, the pod.
	HookErrorModeFail HookErrorMode = "Fail"
)

// ExecHook is a command to run in a container.
type ExecHook struct {
	// Container is the container's name. Empty is the pod's first one.
	Container string `json:"container,omitempty"`
	// Command is the program and its arguments, run without a shell.
	// +kubebuilder:validation:MinItems=1
	Command []string `json:"command"`
	// OnError says what a failure means. Empty is Fail.
	OnError HookErrorMode `json:"onError,omitempty"`
	// Timeout bounds the command. 0 is 30s.
	// +optional
	Timeout Duration `json:"timeout,omitempty"`
}

// BackupPhase is where a backup stands. An empty phase is New.
// +kubebuilder:validation:Enum=New;Queued;ReadyToStart;FailedValidation;InProgress;WaitingForPluginOperations;WaitingForPluginOperationsPartiallyFailed;Finalizing;FinalizingPartiallyFailed;Completed;PartiallyFailed;Failed;Deleting
type BackupPhase string

const (
	// BackupPhaseNew: nobody has looked at it.
	BackupPhaseNew BackupPhase = "New"
	// BackupPhaseQueued: it waits for other backups; QueuePosition says for how many.
	BackupPhaseQueued BackupPhase = "Queued"
	// BackupPhaseReadyToStart: its turn has come.
	BackupPhaseReadyToStart BackupPhase = "ReadyToStart"
	// BackupPhaseFailedValidation: it asks for something impossible. Final.
	BackupPhaseFailedValidation BackupPhase = "FailedValidation"
	// BackupPhaseInProgress: objects are being saved.
	BackupPhaseInProgress BackupPhase = "InProgress"
	// BackupPhaseWaitingForPluginOperations: the objects are saved, background work on volumes goes on.
	BackupPhaseWaitingForPluginOperations BackupPhase = "WaitingForPluginOperations"
	// BackupPhaseWaitingForPluginOperationsPartiallyFailed: the same, and there were errors.
	BackupPhaseWaitingForPluginOperationsPartiallyFailed BackupPhase = "WaitingForPluginOperationsPartiallyFailed"
	// BackupPhaseFinalizing: background work is done, and what it changed is being saved.
	BackupPhaseFinalizing BackupPhase = "Finalizing"
	// BackupPhaseFinalizingPartiallyFailed: the same, and there were errors.
	BackupPhaseFinalizingPartiallyFailed BackupPhase = "FinalizingPartiallyFailed"
	// BackupPhaseCompleted: everything is saved. Final.
	BackupPhaseCompleted BackupPhase = "Completed"
	// BackupPhasePartiallyFailed: it can be restored, and something is missing. Final.
	BackupPhasePartiallyFailed BackupPhase = "PartiallyFailed"
	// BackupPhaseFailed: there is nothing to restore. Final.
	BackupPhaseFailed BackupPhase = "Failed"
	// BackupPhaseDeleting: it and its data are being removed.
	BackupPhaseDeleting BackupPhase = "Deleting"
)

// BackupStatus is what became of a backup.
type BackupStatus struct {
	// Version is the major version of the format: 1.
	Version int `json:"version,omitempty"`
	// FormatVersion is the version of the archive's layout.
	FormatVersion string `json:"formatVersion,omitempty"`
	// Expiration is when the backup may be deleted: its start plus its TTL.
	// +nullable
	Expiration *metav1.Time `json:"expiration,omitempty"`
	// Phase is where the backup stands.
	Phase BackupPhase `json:"phase,omitempty"`
	// QueuePosition is the place in the queue, from 1, while the phase is Queued.
	QueuePosition int `json:"queuePosition,omitempty"`
	// ValidationErrors are the reasons for FailedValidation.
	// +nullable
	ValidationErrors []string `json:"validationErrors,omitempty"`
	// StartTimestamp is when the work began.
	// +nullable
	StartTimestamp *metav1.Time `json:"startTimestamp,omitempty"`
	// CompletionTimestamp is when the phase became final.
	// +nullable
	CompletionTimestamp *metav1.Time `json:"completionTimestamp,omitempty"`
	// VolumeSnapshotsAttempted counts snapshots asked of snapshotter plugins.
	VolumeSnapshotsAttempted int `json:"volumeSnapshotsAttempted,omitempty"`
	// VolumeSnapshotsCompleted counts those that were taken.
	VolumeSnapshotsCompleted int `json:"volumeSnapshotsCompleted,omitempty"`
	// FailureReason is why the phase is Failed.
	FailureReason string `json:"failureReason,omitempty"`
	// Warnings counts the warnings; the backup's results hold them.
	Warnings int `json:"warnings,omitempty"`
	// Errors counts the errors; the backup's results hold them.
	Errors int `json:"errors,omitempty"`
	// Progress counts items.
	// +nullable
	Progress *BackupProgress `json:"progress,omitempty"`
	// CSIVolumeSnapshotsAttempted counts CSI snapshots asked for.
	CSIVolumeSnapshotsAttempted int `json:"csiVolumeSnapshotsAttempted,omitempty"`
	// CSIVolumeSnapshotsCompleted counts those that were taken.
	CSIVolumeSnapshotsCompleted int `json:"csiVolumeSnapshotsCompleted,omitempty"`
	// BackupItemOperationsAttempted counts operations in the background.
	BackupItemOperationsAttempted int `json:"backupItemOperationsAttempted,omitempty"`
	// BackupItemOperationsCompleted counts those that succeeded.
	BackupItemOperationsCompleted int `json:"backupItemOperationsCompleted,omitempty"`
	// BackupItemOperationsFailed counts those that failed.
	BackupItemOperationsFailed int `json:"backupItemOperationsFailed,omitempty"`
	// HookStatus counts hooks.
	// +nullable
	HookStatus *HookStatus `json:"hookStatus,omitempty"`
}

// UnmarshalJSON implements json.Unmarshaler.
func (s *BackupStatus) UnmarshalJSON(data []byte) error {
	type plain BackupStatus
	return ReadStatus(data, (*plain)(s))
}

// BackupProgress counts items.
type BackupProgress struct {
	// TotalItems is how many there are, as far as it is known yet.
	TotalItems int `json:"totalItems,omitempty"`
	// ItemsBackedUp is how many are saved.
	ItemsBackedUp int `json:"itemsBackedUp,omitempty"`
}

// HookStatus counts hooks.
type HookStatus struct {
	// HooksAttempted is how many were run.
	HooksAttempted int `json:"hooksAttempted,omitempty"`
	// HooksFailed is how many of those failed.
	HooksFailed int `json:"hooksFailed,omitempty"`
}
