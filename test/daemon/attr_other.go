// SPDX-License-Identifier: Apache-2.0

//go:build !linux

package daemon

import "syscall"

func childAttr(uintptr) *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Setpgid: true}
}
