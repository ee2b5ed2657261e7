// SPDX-License-Identifier: Apache-2.0

//go:build !linux

package plugin

import "hozon.dev/hozon/internal/fail"

// Secret is a credential under a path. There is one on Linux only.
type Secret struct{}

// NewSecret refuses: a credential is not written to a disk.
func NewSecret([]byte) (*Secret, error) {
	return nil, fail.Errorf(fail.Unsupported, "spec.credential cannot be handed to a plugin on this system: give it in the environment of the server")
}

// Path is never called.
func (*Secret) Path() string { return "" }
