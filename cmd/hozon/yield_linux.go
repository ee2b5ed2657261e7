// SPDX-License-Identifier: Apache-2.0

package main

import (
	"os"
	"strconv"

	"golang.org/x/sys/unix"
)

// niceness is what a backup takes on: where it runs beside the API server or others who use it, they go first, and a machine that has
// nothing else to do works as fast for it as before.
const niceness = 10

// yield lets everybody else on this machine go first, unless the user has chosen a niceness. To the kernel it is a property of a thread, which new
// threads have from the one that makes them: a second look finds those that were made during the first.
func yield() {
	if own, err := unix.Getpriority(unix.PRIO_PROCESS, 0); err != nil || own != normal {
		return
	}
	for range 2 {
		threads, err := os.ReadDir("/proc/self/task")
		if err != nil {
			return
		}
		for _, t := range threads {
			if id, err := strconv.Atoi(t.Name()); err == nil {
				_ = unix.Setpriority(unix.PRIO_PROCESS, id, niceness) // a thread that is gone needs none
			}
		}
	}
}

// normal is niceness 0 as the system call says it: 20 less the niceness.
const normal = 20
