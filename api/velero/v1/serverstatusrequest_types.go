// SPDX-License-Identifier: Apache-2.0

package v1

import metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

// ServerStatusRequest asks the server who it is. It is removed a minute after the answer.
// +kubebuilder:object:root=true
// +kubebuilder:resource:shortName=ssr
type ServerStatusRequest struct {
	metav1.TypeMeta   `json:",inline"`
	metav1.ObjectMeta `json:"metadata,omitempty"`

	Spec   ServerStatusRequestSpec   `json:"spec,omitempty"`
	Status ServerStatusRequestStatus `json:"status,omitempty"`
}

// ServerStatusRequestList is a list of ServerStatusRequests.
// +kubebuilder:object:root=true
type ServerStatusRequestList struct {
	metav1.TypeMeta `json:",inline"`
	metav1.ListMeta `json:"metadata,omitempty"`

	Items []ServerStatusRequest `json:"items"`
}

// ServerStatusRequestSpec has nothing in it: there is one question only.
type ServerStatusRequestSpec struct{}

// ServerStatusRequestPhase is where a request stands. An empty phase is New.
// +kubebuilder:validation:Enum=New;Processed
type ServerStatusRequestPhase string

const (
	// ServerStatusRequestPhaseNew: nobody has looked at it.
	ServerStatusRequestPhaseNew ServerStatusRequestPhase = "New"
	// ServerStatusRequestPhaseProcessed: it is answered. Final.
	ServerStatusRequestPhaseProcessed ServerStatusRequestPhase = "Processed"
)

// PluginInfo is one plugin, or one thing that the server can do by itself under a plugin's name.
type PluginInfo struct {
	// Name is the plugin's name.
	Name string `json:"name"`
	// Kind is what it does, such as ObjectStore.
	Kind string `json:"kind"`
}

// ServerStatusRequestStatus is the answer.
type ServerStatusRequestStatus struct {
	// Phase is where the request stands.
	Phase ServerStatusRequestPhase `json:"phase,omitempty"`
	// ProcessedTimestamp is when it was answered.
	// +nullable
	ProcessedTimestamp *metav1.Time `json:"processedTimestamp,omitempty"`
	// ServerVersion is the server's version.
	ServerVersion string `json:"serverVersion,omitempty"`
	// Plugins are its plugins.
	// +nullable
	Plugins []PluginInfo `json:"plugins,omitempty"`
}

// UnmarshalJSON implements json.Unmarshaler.
func (s *ServerStatusRequestStatus) UnmarshalJSON(data []byte) error {
	type plain ServerStatusRequestStatus
	return ReadStatus(data, (*plain)(s))
}
