// SPDX-License-Identifier: Apache-2.0

//go:build !linux

package dir

import (
	"io/fs"
	"syscall"
)

func (b *Bucket) renameNoReplace(string, string) error { return syscall.ENOSYS }

// removeFolder removes an empty folder. Between the look and the removal another process may exchange it for a file.
func (b *Bucket) removeFolder(path string) error {
	info, err := b.root.Lstat(path)
	if err != nil {
		return err
	}
	if !info.IsDir() {
		return fs.ErrExist
	}
	return b.root.Remove(path)
}
