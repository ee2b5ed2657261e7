// SPDX-License-Identifier: Apache-2.0

package v1

import metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

// Schedule makes Backups at fixed times.
// +kubebuilder:object:root=true
// +kubebuilder:printcolumn:name="Status",type="string",JSONPath=".status.phase",description="Where the schedule stands"
// +kubebuilder:printcolumn:name="Schedule",type="string",JSONPath=".spec.schedule",description="When backups are made"
// +kubebuilder:printcolumn:name="LastBackup",type="date",JSONPath=".status.lastBackup",description="When the last backup was made"
// +kubebuilder:printcolumn:name="Age",type="date",JSONPath=".metadata.creationTimestamp"
// +kubebuilder:printcolumn:name="Paused",type="boolean",JSONPath=".spec.paused",description="Whether backups are held back"
type Schedule struct {
	metav1.TypeMeta   `json:",inline"`
	metav1.ObjectMeta `json:"metadata,omitempty"`

	Spec   ScheduleSpec   `json:"spec,omitempty"`
	Status ScheduleStatus `json:"status,omitempty"`
}

// ScheduleList is a list of Schedules.
// +kubebuilder:object:root=true
type ScheduleList struct {
	metav1.TypeMeta `json:",inline"`
	metav1.ListMeta `json:"metadata,omitempty"`

	Items []Schedule `json:"items"`
}

// ScheduleSpec says when Backups are made, and what they are.
type ScheduleSpec struct {
	// Template is the spec of the Backups.
	Template BackupSpec `json:"template"`
	// Schedule is the cron expression: five fields, "@every 1h", "@daily" and their like, with "CRON_TZ=Asia/Tokyo " before
	// it if the times are not the server's.
	Schedule string `json:"schedule"`
	// UseOwnerReferencesInBackup makes the Schedule the owner of its Backups, so that they go with it.
	// +nullable
	UseOwnerReferencesInBackup *bool `json:"useOwnerReferencesInBackup,omitempty"`
	// Paused holds Backups back until it is false again. Of the times that have passed by then one is made up for,
	// unless SkipImmediately is true.
	Paused bool `json:"paused,omitempty"`
	// SkipImmediately lets a time that has passed go by, and counts from now; it is set back to false when that is done.
	// Not set is the server's default.
	SkipImmediately *bool `json:"skipImmediately,omitempty"`
}

// SchedulePhase is where a schedule stands. An empty phase is New.
// +kubebuilder:validation:Enum=New;Enabled;FailedValidation
type SchedulePhase string

const (
	// SchedulePhaseNew: nobody has looked at it.
	SchedulePhaseNew SchedulePhase = "New"
	// SchedulePhaseEnabled: it makes Backups, unless it is paused.
	SchedulePhaseEnabled SchedulePhase = "Enabled"
	// SchedulePhaseFailedValidation: its cron expression is wrong. It makes no Backups until it is corrected.
	SchedulePhaseFailedValidation SchedulePhase = "FailedValidation"
)

// ScheduleStatus is what a schedule has done.
type ScheduleStatus struct {
	// Phase is where the schedule stands.
	Phase SchedulePhase `json:"phase,omitempty"`
	// LastBackup is when it last made a Backup.
	// +nullable
	LastBackup *metav1.Time `json:"lastBackup,omitempty"`
	// LastSkipped is when it last let a time go by.
	// +nullable
	LastSkipped *metav1.Time `json:"lastSkipped,omitempty"`
	// ValidationErrors are the reasons for FailedValidation.
	ValidationErrors []string `json:"validationErrors,omitempty"`
}

// UnmarshalJSON implements json.Unmarshaler.
func (s *ScheduleStatus) UnmarshalJSON(data []byte) error {
	type plain ScheduleStatus
	return ReadStatus(data, (*plain)(s))
}
