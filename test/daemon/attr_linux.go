// SPDX-License-Identifier: Apache-2.0

package daemon

import "syscall"

func childAttr(namespaces uintptr) *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL, Cloneflags: namespaces}
}
