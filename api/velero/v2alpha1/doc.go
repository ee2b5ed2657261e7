// SPDX-License-Identifier: Apache-2.0

// Package v2alpha1 has the kinds of the API group velero.io/v2alpha1, wire-compatible with Velero 1.18: the two
// that move the data of snapshots. What package v1 says of itself holds here too.
//
// +kubebuilder:object:generate=true
// +groupName=velero.io
package v2alpha1
