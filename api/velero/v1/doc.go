// SPDX-License-Identifier: Apache-2.0

// Package v1 has the kinds of the API group velero.io/v1, wire-compatible with Velero 1.18: the same
// JSON, in words of our own. Unknown fields are never an error here; what is refused is refused by validation.
//
// One file per kind. Status is no subresource: whoever may write the object writes its status with it.
// A field that is a struct is written even when it is empty, as Velero does; that is why `omitempty` stands where
// it has no effect. deploy/crd and zz_generated.deepcopy.go are made of this package by `make gen`.
//
// +kubebuilder:object:generate=true
// +groupName=velero.io
package v1
