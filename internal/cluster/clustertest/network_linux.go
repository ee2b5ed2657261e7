// SPDX-License-Identifier: Apache-2.0

package clustertest

import (
	"fmt"
	"net"
	"os"
	"os/exec"
	"runtime"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// namespaces are what a node has of its own.
const namespaces = unix.CLONE_NEWNS | unix.CLONE_NEWPID | unix.CLONE_NEWNET | unix.CLONE_NEWUTS | unix.CLONE_NEWIPC

// checkNamespaces reports whether this process may make them.
func checkNamespaces() error {
	cmd := exec.Command("/bin/true")
	cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: namespaces}
	if err := cmd.Run(); err != nil {
		return fmt.Errorf("a node needs namespaces of its own, which this machine does not allow: %w", err)
	}
	return nil
}

// A network is a process's network, kept open.
type network struct{ namespace *os.File }

func openNetwork(pid int) (*network, error) {
	f, err := os.Open(fmt.Sprintf("/proc/%d/ns/net", pid))
	if err != nil {
		return nil, err
	}
	return &network{namespace: f}, nil
}

func (n *network) close() { n.namespace.Close() }

// dial connects to an address inside the network.
func (n *network) dial(addr string) (conn net.Conn, err error) {
	err = n.within(func() (err error) {
		conn, err = net.DialTimeout("tcp", addr, 10*time.Second)
		return err
	})
	return conn, err
}

// listen listens on an address inside the network.
func (n *network) listen(addr string) (l net.Listener, err error) {
	err = n.within(func() (err error) {
		l, err = net.Listen("tcp", addr)
		return err
	})
	return l, err
}

// within calls f on a thread that is in the network. A socket stays in the
// network in which it was made, so that the thread is needed no longer: it ends
// with its goroutine, since it is never unlocked.
func (n *network) within(f func() error) error {
	result := make(chan error, 1)
	go func() {
		runtime.LockOSThread()
		if err := unix.Setns(int(n.namespace.Fd()), unix.CLONE_NEWNET); err != nil {
			result <- fmt.Errorf("enter the node's network: %w", err)
			return
		}
		result <- f()
	}()
	return <-result
}

// snapshotter returns containerd's name of the way to stack image layers in
// dir: an overlay cannot lie on another one, as in a container.
func snapshotter(dir string) string {
	var fs unix.Statfs_t
	if err := unix.Statfs(dir, &fs); err == nil && fs.Type == unix.OVERLAYFS_SUPER_MAGIC {
		return "native"
	}
	return "overlayfs"
}
