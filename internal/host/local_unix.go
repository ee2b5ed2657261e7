// SPDX-License-Identifier: Apache-2.0

//go:build unix

package host

import (
	"os/exec"
	"syscall"
)

func chroot(c *exec.Cmd, root string) error {
	c.SysProcAttr = &syscall.SysProcAttr{Chroot: root}
	return nil
}
