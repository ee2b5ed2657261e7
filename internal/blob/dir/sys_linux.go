// SPDX-License-Identifier: Apache-2.0

package dir

import (
	"os"

	"golang.org/x/sys/unix"
)

// renameNoReplace moves from to to, in the same folder, unless to exists. FAT and some network file systems have
// this though they have no hard links.
func (b *Bucket) renameNoReplace(from, to string) error {
	parent, err := b.root.Open(folder(from))
	if err != nil {
		return err
	}
	defer parent.Close()
	fd := int(parent.Fd())
	if err := unix.Renameat2(fd, leaf(from), fd, leaf(to), unix.RENAME_NOREPLACE); err != nil {
		return &os.LinkError{Op: "renameat2", Old: from, New: to, Err: err}
	}
	return nil
}

// removeFolder removes an empty folder and nothing else: os.Root's Remove would take a file that has just come to lie at its path.
func (b *Bucket) removeFolder(path string) error {
	parent, err := b.root.Open(folder(path))
	if err != nil {
		return err
	}
	defer parent.Close()
	return unix.Unlinkat(int(parent.Fd()), leaf(path), unix.AT_REMOVEDIR)
}
