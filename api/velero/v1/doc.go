// SPDX-License-Identifier: Apache-2.0

// Package v1 has the kinds of the API group velero.io/v1, wire-compatible with Velero 1.18: the same
// JSON, in words of our own. Unknown fields are never an error here; what is refused is refused by validation.
package v1
