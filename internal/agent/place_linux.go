// SPDX-License-Identifier: Apache-2.0

package agent

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"hozon.dev/hozon/internal/fail"
)

func fdPath(f *os.File) string { return fmt.Sprintf("/proc/self/fd/%d", f.Fd()) }

// openFolder opens the folder of a volume, which no link leads to. Where something must be mounted, a folder that waits for it is no volume.
func openFolder(path string, mounted bool) (*folder, error) {
	fd, err := unix.Open(path, unix.O_PATH|unix.O_DIRECTORY|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, openError(path, err)
	}
	f := &folder{File: os.NewFile(uintptr(fd), path), shown: path}
	if mounted && !isMount(fd) {
		return nil, errors.Join(fail.Errorf(fail.Unsupported, "nothing is mounted at %s: the agent does not see the node's mounts; its volume host-pods needs mountPropagation: HostToContainer", path), f.Close())
	}
	return f, nil
}

// isMount says whether the root of a mount is open. Kernels before 5.8 do not tell: they are believed.
func isMount(fd int) bool {
	var s unix.Statx_t
	if unix.Statx(fd, "", unix.AT_EMPTY_PATH|unix.AT_SYMLINK_NOFOLLOW, unix.STATX_TYPE, &s) != nil {
		return true
	}
	return s.Attributes_mask&unix.STATX_ATTR_MOUNT_ROOT == 0 || s.Attributes&unix.STATX_ATTR_MOUNT_ROOT != 0
}

// openHost opens a folder of the node by its path there: links stay within the node's root.
func (p Place) openHost(path string) (*folder, error) {
	if p.Root == "" {
		return nil, fail.Errorf(fail.Unsupported, "it is the node's own folder %s, which the agent does not see: `hozon install --node-agent-host-root` gives it the node's root", path)
	}
	shown := filepath.Join(p.Root, path)
	root, err := unix.Open(p.Root, unix.O_PATH|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, openError(p.Root, err)
	}
	defer unix.Close(root)
	how := &unix.OpenHow{Flags: unix.O_PATH | unix.O_DIRECTORY | unix.O_CLOEXEC, Resolve: unix.RESOLVE_IN_ROOT | unix.RESOLVE_NO_MAGICLINKS}
	fd, err := unix.Openat2(root, strings.TrimLeft(path, "/")+"/.", how)
	if err != nil {
		return nil, openError(shown, err)
	}
	return &folder{File: os.NewFile(uintptr(fd), shown), shown: shown}, nil
}

// lastRead is a file's time of access.
func lastRead(info os.FileInfo) time.Time {
	if s, ok := info.Sys().(*syscall.Stat_t); ok {
		return time.Unix(s.Atim.Sec, 0)
	}
	return time.Time{}
}

func openError(path string, err error) error {
	wrapped := &os.PathError{Op: "open", Path: path, Err: err}
	switch {
	case errors.Is(err, unix.ENOENT):
		return fail.As(fail.NotFound, wrapped)
	case errors.Is(err, unix.ENOTDIR), errors.Is(err, unix.ELOOP):
		return fail.Errorf(fail.Unsupported, "%w: only folders are saved and restored", wrapped)
	case errors.Is(err, unix.EACCES), errors.Is(err, unix.EPERM):
		return fail.Errorf(fail.Denied, "%w: on nodes with SELinux the agent needs `hozon install --privileged-node-agent`", wrapped)
	}
	return wrapped
}
