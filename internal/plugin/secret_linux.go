// SPDX-License-Identifier: Apache-2.0

package plugin

import (
	"fmt"
	"os"

	"golang.org/x/sys/unix"

	"hozon.dev/hozon/internal/fail"
)

// Secret is a credential under a path that programs of the same user can read while this process has it: in memory, on no disk. It is gone when
// nothing refers to the Secret any more.
type Secret struct{ file *os.File }

// NewSecret keeps data under a path.
func NewSecret(data []byte) (*Secret, error) {
	fd, err := unix.MemfdCreate("hozon-credential", unix.MFD_CLOEXEC)
	if err != nil {
		return nil, fail.Errorf(fail.Unsupported, "keep a credential for a plugin in memory: %w", err)
	}
	file := os.NewFile(uintptr(fd), "credential")
	if _, err := file.Write(data); err != nil {
		return nil, fail.Errorf(fail.Unsupported, "keep a credential for a plugin in memory: %w", err)
	}
	return &Secret{file}, nil
}

// Path is where other programs find it.
func (s *Secret) Path() string { return fmt.Sprintf("/proc/%d/fd/%d", os.Getpid(), s.file.Fd()) }
