// SPDX-License-Identifier: Apache-2.0

package clustertest

import (
	"crypto/rand"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// cgroupPrefix is followed by the process id of the owner and a random word.
const cgroupPrefix = "hozon-node-"

func cgroupName() string {
	return fmt.Sprintf("%s%d-%s", cgroupPrefix, os.Getpid(), strings.ToLower(rand.Text()[:8]))
}

// cgroupDirs returns the folders of a cgroup, or of those that match a
// pattern, in every hierarchy of either version.
func cgroupDirs(pattern string) []string {
	one, _ := filepath.Glob("/sys/fs/cgroup/" + pattern)
	all, _ := filepath.Glob("/sys/fs/cgroup/*/" + pattern)
	return append(one, all...)
}

// removeCgroup removes a cgroup whose processes were killed, with those below
// it. A process that is just dying may hold one for a moment.
func removeCgroup(name string) error {
	deadline := time.Now().Add(10 * time.Second)
	for {
		var last error
		for _, dir := range cgroupDirs(name) {
			last = errors.Join(last, removeTree(dir))
		}
		if last == nil || time.Now().After(deadline) {
			return last
		}
		time.Sleep(10 * time.Millisecond) // no event tells when the last process has left a cgroup of version 1
	}
}

// removeTree removes the folders of a cgroup, the deepest first; its files go
// with them.
func removeTree(root string) error {
	var dirs []string
	err := filepath.WalkDir(root, func(path string, entry fs.DirEntry, err error) error {
		if err == nil && entry.IsDir() {
			dirs = append(dirs, path)
		}
		if errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		return err
	})
	for _, dir := range slices.Backward(dirs) {
		if e := os.Remove(dir); e != nil && !errors.Is(e, fs.ErrNotExist) {
			err = errors.Join(err, e)
		}
	}
	return err
}

// sweepCgroups removes what test binaries that were killed have left.
func sweepCgroups() {
	for _, dir := range cgroupDirs(cgroupPrefix + "*") {
		owner, _, _ := strings.Cut(strings.TrimPrefix(filepath.Base(dir), cgroupPrefix), "-")
		pid, err := strconv.Atoi(owner)
		if err == nil && syscall.Kill(pid, 0) == syscall.ESRCH {
			_ = removeTree(dir)
		}
	}
}
