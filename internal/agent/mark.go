// SPDX-License-Identifier: Apache-2.0

package agent

import (
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	velerov1 "hozon.dev/hozon/api/velero/v1"
	"hozon.dev/hozon/internal/fail"
)

// DoneFolder is where the helper in a pod that waits looks for the name of its restore.
const DoneFolder = ".velero"

// markDone tells the helper. What an earlier restore, or the snapshot, has in that place goes away first.
//
// The helper often is nobody, and may not look into a volume of mode 0700. What everybody sees of it are its times, and when it was last read is not
// what anybody restores: so that says it too.
func markDone(f *folder, uid string) error {
	if uid == "" || uid != filepath.Base(uid) || uid == ".." {
		return fail.Errorf(fail.Invalid, "the object names no Restore by label %s: the pod that waits cannot be told", velerov1.LabelRestoreUID)
	}
	root, err := os.OpenRoot(f.path())
	if err != nil {
		return fmt.Errorf("tell the pod that waits: %w", err)
	}
	defer root.Close()
	before, err := root.Stat(".")
	if err == nil {
		err = root.RemoveAll(DoneFolder)
	}
	if err == nil {
		err = root.Mkdir(DoneFolder, 0o755)
	}
	if err == nil {
		err = root.WriteFile(filepath.Join(DoneFolder, uid), nil, 0o644)
	}
	if err == nil {
		err = root.Chtimes(".", DoneTime(uid), before.ModTime())
	}
	if err != nil {
		return fmt.Errorf("tell the pod that waits: %w", err)
	}
	return nil
}

// unmark leaves a folder of that name alone that holds anything else.
func unmark(f *folder, uid string, now time.Time) {
	root, err := os.OpenRoot(f.path())
	if err != nil {
		return
	}
	defer root.Close()
	before, err := root.Stat(".")
	if err != nil || uid == "" || uid != filepath.Base(uid) || root.Remove(filepath.Join(DoneFolder, uid)) != nil {
		return
	}
	_ = root.Remove(DoneFolder) // an error says that there is something else in it
	_ = root.Chtimes(".", now, before.ModTime())
}

// DoneTime is when a volume that a restore has filled was last read, as it were: a moment of the year 2037, which the kernel leaves as it is, and
// every file system can hold.
func DoneTime(uid string) time.Time {
	sum := sha256.Sum256([]byte(uid))
	second := binary.BigEndian.Uint32(sum[:]) % (365 * 24 * 60 * 60)
	return time.Date(2037, 1, 1, 0, 0, 0, 0, time.UTC).Add(time.Duration(second) * time.Second)
}

// Filled says whether a restore has filled a volume, which is mounted at path.
func Filled(path, uid string) (bool, error) {
	_, err := os.Lstat(filepath.Join(path, DoneFolder, uid))
	switch {
	case err == nil:
		return true, nil
	case errors.Is(err, fs.ErrNotExist):
		return false, nil
	case errors.Is(err, fs.ErrPermission):
		info, err := os.Stat(path)
		return err == nil && lastRead(info).Equal(DoneTime(uid)), err
	}
	return false, err
}
