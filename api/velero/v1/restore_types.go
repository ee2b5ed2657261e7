// SPDX-License-Identifier: Apache-2.0

package v1

import (
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
)

// Restore asks for, and then records, one restore.
type Restore struct {
	metav1.TypeMeta   `json:",inline"`
	metav1.ObjectMeta `json:"metadata"`

	Spec   RestoreSpec   `json:"spec,omitempty"`
	Status RestoreStatus `json:"status,omitempty"`
}

// RestoreSpec says what is restored, and how. Exactly one of BackupName and ScheduleName is the source.
type RestoreSpec struct {
	BackupName         string            `json:"backupName"`
	ScheduleName       string            `json:"scheduleName,omitempty"`
	IncludedNamespaces []string          `json:"includedNamespaces,omitempty"` // names as in the backup
	ExcludedNamespaces []string          `json:"excludedNamespaces,omitempty"`
	IncludedResources  []string          `json:"includedResources,omitempty"`
	ExcludedResources  []string          `json:"excludedResources,omitempty"`
	NamespaceMapping   map[string]string `json:"namespaceMapping,omitempty"` // from: to

	LabelSelector    *metav1.LabelSelector   `json:"labelSelector,omitempty"`
	OrLabelSelectors []*metav1.LabelSelector `json:"orLabelSelectors,omitempty"`

	RestorePVs              *bool              `json:"restorePVs,omitempty"`
	RestoreStatus           *RestoreStatusSpec `json:"restoreStatus,omitempty"`
	PreserveNodePorts       *bool              `json:"preserveNodePorts,omitempty"`
	IncludeClusterResources *bool              `json:"includeClusterResources,omitempty"`
	Hooks                   RestoreHooks       `json:"hooks,omitempty"`
	// ExistingResourcePolicy is "", "none" or "update".
	ExistingResourcePolicy PolicyType                        `json:"existingResourcePolicy,omitempty"`
	ItemOperationTimeout   metav1.Duration                   `json:"itemOperationTimeout,omitempty"`
	ResourceModifier       *corev1.TypedLocalObjectReference `json:"resourceModifier,omitempty"`
	ResourcePolicy         *corev1.TypedLocalObjectReference `json:"resourcePolicy,omitempty"`
	UploaderConfig         *UploaderConfigForRestore         `json:"uploaderConfig,omitempty"`
}

// PolicyType says what happens to objects that exist and differ.
type PolicyType string

const (
	PolicyTypeNone   PolicyType = "none"
	PolicyTypeUpdate PolicyType = "update"
)

// RestoreStatusSpec names the resources whose status is restored too.
type RestoreStatusSpec struct {
	IncludedResources []string `json:"includedResources,omitempty"`
	ExcludedResources []string `json:"excludedResources,omitempty"`
}

// UploaderConfigForRestore tunes file restore of volumes.
type UploaderConfigForRestore struct {
	WriteSparseFiles      *bool `json:"writeSparseFiles,omitempty"`
	ParallelFilesDownload int   `json:"parallelFilesDownload,omitempty"`
}

// RestoreHooks run in pods after they are restored.
type RestoreHooks struct {
	Resources []RestoreResourceHookSpec `json:"resources,omitempty"`
}

// RestoreResourceHookSpec is a set of hooks and the pods that it applies to.
type RestoreResourceHookSpec struct {
	Name               string                `json:"name"`
	IncludedNamespaces []string              `json:"includedNamespaces,omitempty"`
	ExcludedNamespaces []string              `json:"excludedNamespaces,omitempty"`
	IncludedResources  []string              `json:"includedResources,omitempty"`
	ExcludedResources  []string              `json:"excludedResources,omitempty"`
	LabelSelector      *metav1.LabelSelector `json:"labelSelector,omitempty"`
	PostHooks          []RestoreResourceHook `json:"postHooks,omitempty"`
}

// RestoreResourceHook is one hook of either form.
type RestoreResourceHook struct {
	Exec *ExecRestoreHook `json:"exec,omitempty"`
	Init *InitRestoreHook `json:"init,omitempty"`
}

// ExecRestoreHook is a command to run in a restored pod.
type ExecRestoreHook struct {
	Container    string          `json:"container,omitempty"`
	Command      []string        `json:"command"`
	OnError      HookErrorMode   `json:"onError,omitempty"`
	ExecTimeout  metav1.Duration `json:"execTimeout,omitempty"`
	WaitTimeout  metav1.Duration `json:"waitTimeout,omitempty"`
	WaitForReady *bool           `json:"waitForReady,omitempty"`
}

// InitRestoreHook adds init containers to a restored pod.
type InitRestoreHook struct {
	InitContainers []runtime.RawExtension `json:"initContainers"`
	Timeout        metav1.Duration        `json:"timeout,omitempty"`
}

// RestorePhase is where a restore stands.
type RestorePhase string

const (
	RestorePhaseNew                                       RestorePhase = "New"
	RestorePhaseFailedValidation                          RestorePhase = "FailedValidation"
	RestorePhaseInProgress                                RestorePhase = "InProgress"
	RestorePhaseWaitingForPluginOperations                RestorePhase = "WaitingForPluginOperations"
	RestorePhaseWaitingForPluginOperationsPartiallyFailed RestorePhase = "WaitingForPluginOperationsPartiallyFailed"
	RestorePhaseFinalizing                                RestorePhase = "Finalizing"
	RestorePhaseFinalizingPartiallyFailed                 RestorePhase = "FinalizingPartiallyFailed"
	RestorePhaseCompleted                                 RestorePhase = "Completed"
	RestorePhasePartiallyFailed                           RestorePhase = "PartiallyFailed"
	RestorePhaseFailed                                    RestorePhase = "Failed"
)

// RestoreStatus is what became of a restore.
type RestoreStatus struct {
	Phase                          RestorePhase     `json:"phase,omitempty"`
	ValidationErrors               []string         `json:"validationErrors,omitempty"`
	Warnings                       int              `json:"warnings,omitempty"`
	Errors                         int              `json:"errors,omitempty"`
	FailureReason                  string           `json:"failureReason,omitempty"`
	StartTimestamp                 *metav1.Time     `json:"startTimestamp,omitempty"`
	CompletionTimestamp            *metav1.Time     `json:"completionTimestamp,omitempty"`
	Progress                       *RestoreProgress `json:"progress,omitempty"`
	RestoreItemOperationsAttempted int              `json:"restoreItemOperationsAttempted,omitempty"`
	RestoreItemOperationsCompleted int              `json:"restoreItemOperationsCompleted,omitempty"`
	RestoreItemOperationsFailed    int              `json:"restoreItemOperationsFailed,omitempty"`
	HookStatus                     *HookStatus      `json:"hookStatus,omitempty"`
}

// RestoreProgress counts items.
type RestoreProgress struct {
	TotalItems    int `json:"totalItems,omitempty"`
	ItemsRestored int `json:"itemsRestored,omitempty"`
}
