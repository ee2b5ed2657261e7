// SPDX-License-Identifier: Apache-2.0

//go:build !linux

package kopia

import (
	"context"

	"hozon.dev/hozon/internal/fail"
	"hozon.dev/hozon/internal/vault"
)

func (s *session) save(context.Context, string, *tree, vault.SaveOptions) (vault.Saved, error) {
	return vault.Saved{}, fail.Errorf(fail.Unsupported, "volumes are saved on Linux only")
}
