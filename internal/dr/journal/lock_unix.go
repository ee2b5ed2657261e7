// SPDX-License-Identifier: Apache-2.0

//go:build unix

package journal

import (
	"errors"
	"os"

	"golang.org/x/sys/unix"

	"hozon.dev/hozon/internal/fail"
)

// lock is given back by the kernel, however the process ends.
func lock(f *os.File) error {
	err := unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB)
	if errors.Is(err, unix.EWOULDBLOCK) {
		return fail.Errorf(fail.Busy, "another process is at it: wait for its end")
	}
	return err
}
