// SPDX-License-Identifier: Apache-2.0

//go:build !unix

package host

import (
	"os/exec"

	"hozon.dev/hozon/internal/fail"
)

func chroot(*exec.Cmd, string) error {
	return fail.Errorf(fail.Unsupported, "a machine below a folder: this system has no such thing")
}
