// SPDX-License-Identifier: Apache-2.0

package v1

import (
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
)

// Restore asks for, and then records, one restore.
// +kubebuilder:object:root=true
type Restore struct {
	metav1.TypeMeta   `json:",inline"`
	metav1.ObjectMeta `json:"metadata,omitempty"`

	Spec   RestoreSpec   `json:"spec,omitempty"`
	Status RestoreStatus `json:"status,omitempty"`
}

// RestoreList is a list of Restores.
// +kubebuilder:object:root=true
type RestoreList struct {
	metav1.TypeMeta `json:",inline"`
	metav1.ListMeta `json:"metadata,omitempty"`

	Items []Restore `json:"items"`
}

// RestoreSpec says what is restored, and how. Exactly one of BackupName and ScheduleName is the source.
type RestoreSpec struct {
	// BackupName is the Backup to restore.
	BackupName string `json:"backupName,omitempty"`
	// ScheduleName is the Schedule whose newest completed Backup is restored.
	ScheduleName string `json:"scheduleName,omitempty"`
	// IncludedNamespaces are the namespaces to restore, named as in the backup. Empty is all.
	// +nullable
	IncludedNamespaces []string `json:"includedNamespaces,omitempty"`
	// ExcludedNamespaces are left out of the included ones.
	// +nullable
	ExcludedNamespaces []string `json:"excludedNamespaces,omitempty"`
	// IncludedResources are the kinds to restore. Empty is all that can be restored.
	// +nullable
	IncludedResources []string `json:"includedResources,omitempty"`
	// ExcludedResources are left out of the included ones.
	// +nullable
	ExcludedResources []string `json:"excludedResources,omitempty"`
	// NamespaceMapping gives namespaces of the backup another name in the cluster.
	NamespaceMapping map[string]string `json:"namespaceMapping,omitempty"`

	// LabelSelector restores only objects whose labels match. It and OrLabelSelectors exclude each other.
	// +nullable
	LabelSelector *metav1.LabelSelector `json:"labelSelector,omitempty"`
	// OrLabelSelectors restore only objects whose labels match any of them.
	// +nullable
	OrLabelSelectors []*metav1.LabelSelector `json:"orLabelSelectors,omitempty"`

	// RestorePVs says whether volumes are restored from their snapshots.
	// +nullable
	RestorePVs *bool `json:"restorePVs,omitempty"`
	// RestoreStatus names the kinds whose status is restored too. Not set: none.
	// +nullable
	RestoreStatus *RestoreStatusSpec `json:"restoreStatus,omitempty"`
	// PreserveNodePorts keeps node ports that the cluster had chosen.
	// +nullable
	PreserveNodePorts *bool `json:"preserveNodePorts,omitempty"`
	// IncludeClusterResources says whether cluster-scoped objects are restored: all, none, or, if it is not set, all when all
	// namespaces are and otherwise what the namespaces' objects need.
	// +nullable
	IncludeClusterResources *bool `json:"includeClusterResources,omitempty"`
	// Hooks run in pods after they are restored.
	// +optional
	Hooks RestoreHooks `json:"hooks,omitempty"`
	// ExistingResourcePolicy says what happens to objects that exist and differ. Empty is none.
	// +nullable
	ExistingResourcePolicy PolicyType `json:"existingResourcePolicy,omitempty"`
	// ItemOperationTimeout bounds what goes on in the background after the objects are restored. 0 is the server's default, 4h.
	// +optional
	ItemOperationTimeout Duration `json:"itemOperationTimeout,omitempty"`
	// ResourceModifier is the ConfigMap with the changes to make to objects, in the server's namespace.
	// +nullable
	ResourceModifier *corev1.TypedLocalObjectReference `json:"resourceModifier,omitempty"`
	// ResourcePolicy is the ConfigMap with filters by kind, name and label, in the server's namespace.
	// +nullable
	ResourcePolicy *corev1.TypedLocalObjectReference `json:"resourcePolicy,omitempty"`
	// UploaderConfig tunes the restore of volumes file by file.
	// +nullable
	UploaderConfig *UploaderConfigForRestore `json:"uploaderConfig,omitempty"`
}

// PolicyType says what happens to objects that exist and differ.
type PolicyType string

const (
	// PolicyTypeNone leaves them as they are and warns.
	PolicyTypeNone PolicyType = "none"
	// PolicyTypeUpdate makes them what the backup says.
	PolicyTypeUpdate PolicyType = "update"
	// PolicyTypeRecreate is update, and deletes and makes anew what cannot be changed into the saved state. Velero does not have it.
	PolicyTypeRecreate PolicyType = "recreate"
)

// RestoreStatusSpec names the resources whose status is restored too.
type RestoreStatusSpec struct {
	// IncludedResources are these kinds; "*" is all.
	// +nullable
	IncludedResources []string `json:"includedResources,omitempty"`
	// ExcludedResources are left out of the included ones.
	// +nullable
	ExcludedResources []string `json:"excludedResources,omitempty"`
}

// UploaderConfigForRestore tunes file restore of volumes.
type UploaderConfigForRestore struct {
	// WriteSparseFiles leaves out blocks of zeros.
	// +nullable
	WriteSparseFiles *bool `json:"writeSparseFiles,omitempty"`
	// ParallelFilesDownload is how many files are written at once. 0 is as many as the node has CPUs.
	ParallelFilesDownload int `json:"parallelFilesDownload,omitempty"`
}

// RestoreHooks run in pods after they are restored.
type RestoreHooks struct {
	// Resources are the sets of hooks.
	Resources []RestoreResourceHookSpec `json:"resources,omitempty"`
}

// RestoreResourceHookSpec is a set of hooks and the pods that it applies to.
type RestoreResourceHookSpec struct {
	// Name tells the set apart in logs and errors.
	Name string `json:"name"`
	// IncludedNamespaces are the pods' namespaces, named as in the cluster. Empty is all.
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
	// PostHooks are the hooks, in this order.
	PostHooks []RestoreResourceHook `json:"postHooks,omitempty"`
}

// RestoreResourceHook is one hook of either form.
type RestoreResourceHook struct {
	// Exec is a command to run in a restored pod.
	Exec *ExecRestoreHook `json:"exec,omitempty"`
	// Init adds init containers to a restored pod.
	Init *InitRestoreHook `json:"init,omitempty"`
}

// ExecRestoreHook is a command to run in a restored pod.
type ExecRestoreHook struct {
	// Container is the container's name. Empty is the pod's first one.
	Container string `json:"container,omitempty"`
	// Command is the program and its arguments, run without a shell.
	// +kubebuilder:validation:MinItems=1
	Command []string `json:"command"`
	// OnError says what a failure means for the pod's further hooks. Empty is Continue.
	OnError HookErrorMode `json:"onError,omitempty"`
	// ExecTimeout bounds the command. 0 is 30s.
	// +optional
	ExecTimeout Duration `json:"execTimeout,omitempty"`
	// WaitTimeout bounds the wait for the container to run. 0 is for ever.
	// +optional
	WaitTimeout Duration `json:"waitTimeout,omitempty"`
	// WaitForReady waits until the container is ready, not only running.
	// +nullable
	WaitForReady *bool `json:"waitForReady,omitempty"`
}

// InitRestoreHook adds init containers to a restored pod.
type InitRestoreHook struct {
	// InitContainers go before the pod's own init containers. They are not looked at until the restore is validated.
	// +kubebuilder:pruning:PreserveUnknownFields
	// +optional
	InitContainers []runtime.RawExtension `json:"initContainers"`
	// Timeout is how long they may take.
	// +optional
	Timeout Duration `json:"timeout,omitempty"`
}

// RestorePhase is where a restore stands. An empty phase is New.
// +kubebuilder:validation:Enum=New;FailedValidation;InProgress;WaitingForPluginOperations;WaitingForPluginOperationsPartiallyFailed;Completed;PartiallyFailed;Failed;Finalizing;FinalizingPartiallyFailed
type RestorePhase string

const (
	// RestorePhaseNew: nobody has looked at it.
	RestorePhaseNew RestorePhase = "New"
	// RestorePhaseFailedValidation: it asks for something impossible. Final.
	RestorePhaseFailedValidation RestorePhase = "FailedValidation"
	// RestorePhaseInProgress: objects are being restored.
	RestorePhaseInProgress RestorePhase = "InProgress"
	// RestorePhaseWaitingForPluginOperations: the objects are restored, background work on volumes goes on.
	RestorePhaseWaitingForPluginOperations RestorePhase = "WaitingForPluginOperations"
	// RestorePhaseWaitingForPluginOperationsPartiallyFailed: the same, and there were errors.
	RestorePhaseWaitingForPluginOperationsPartiallyFailed RestorePhase = "WaitingForPluginOperationsPartiallyFailed"
	// RestorePhaseFinalizing: volumes get their last touch, and hooks are waited for.
	RestorePhaseFinalizing RestorePhase = "Finalizing"
	// RestorePhaseFinalizingPartiallyFailed: the same, and there were errors.
	RestorePhaseFinalizingPartiallyFailed RestorePhase = "FinalizingPartiallyFailed"
	// RestorePhaseCompleted: there were no errors. Final.
	RestorePhaseCompleted RestorePhase = "Completed"
	// RestorePhasePartiallyFailed: some of it is restored, and there were errors. Final.
	RestorePhasePartiallyFailed RestorePhase = "PartiallyFailed"
	// RestorePhaseFailed: it could not be carried out. Final.
	RestorePhaseFailed RestorePhase = "Failed"
)

// RestoreStatus is what became of a restore.
type RestoreStatus struct {
	// Phase is where the restore stands.
	Phase RestorePhase `json:"phase,omitempty"`
	// ValidationErrors are the reasons for FailedValidation.
	// +nullable
	ValidationErrors []string `json:"validationErrors,omitempty"`
	// Warnings counts the warnings; the restore's results hold them.
	Warnings int `json:"warnings,omitempty"`
	// Errors counts the errors; the restore's results hold them.
	Errors int `json:"errors,omitempty"`
	// FailureReason is why the phase is Failed.
	FailureReason string `json:"failureReason,omitempty"`
	// StartTimestamp is when the work began.
	// +nullable
	StartTimestamp *metav1.Time `json:"startTimestamp,omitempty"`
	// CompletionTimestamp is when the phase became final.
	// +nullable
	CompletionTimestamp *metav1.Time `json:"completionTimestamp,omitempty"`
	// Progress counts items.
	// +nullable
	Progress *RestoreProgress `json:"progress,omitempty"`
	// RestoreItemOperationsAttempted counts operations in the background.
	RestoreItemOperationsAttempted int `json:"restoreItemOperationsAttempted,omitempty"`
	// RestoreItemOperationsCompleted counts those that succeeded.
	RestoreItemOperationsCompleted int `json:"restoreItemOperationsCompleted,omitempty"`
	// RestoreItemOperationsFailed counts those that failed.
	RestoreItemOperationsFailed int `json:"restoreItemOperationsFailed,omitempty"`
	// HookStatus counts hooks.
	// +nullable
	HookStatus *HookStatus `json:"hookStatus,omitempty"`
}

// UnmarshalJSON implements json.Unmarshaler.
func (s *RestoreStatus) UnmarshalJSON(data []byte) error {
	type plain RestoreStatus
	return ReadStatus(data, (*plain)(s))
}

// RestoreProgress counts items.
type RestoreProgress struct {
	// TotalItems is how many there are, as far as it is known yet.
	TotalItems int `json:"totalItems,omitempty"`
	// ItemsRestored is how many are done.
	ItemsRestored int `json:"itemsRestored,omitempty"`
}
