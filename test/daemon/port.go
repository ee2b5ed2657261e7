// SPDX-License-Identifier: Apache-2.0

package daemon

import (
	"fmt"
	"syscall"
)

// A Port is a TCP port of 127.0.0.1 that nobody else is given.
//
// It is held by a socket that is bound but never listens: the kernel hands the
// port to no one who asks for any port, a connection to it is refused, and a
// server that is told to listen there can (SO_REUSEADDR, which Go's net package
// and most servers set). So there is no gap between choosing a port and
// listening on it, nor while a server is restarted.
type Port struct {
	Number int
	fd     int
}

// ReservePort reserves a free port until Close.
func ReservePort() (*Port, error) {
	fd, err := boundSocket()
	if err != nil {
		return nil, fmt.Errorf("reserve port: %w", err)
	}
	addr, err := syscall.Getsockname(fd)
	if err != nil {
		syscall.Close(fd)
		return nil, fmt.Errorf("reserve port: %w", err)
	}
	return &Port{Number: addr.(*syscall.SockaddrInet4).Port, fd: fd}, nil
}

func boundSocket() (int, error) {
	syscall.ForkLock.RLock()
	fd, err := syscall.Socket(syscall.AF_INET, syscall.SOCK_STREAM, 0)
	if err == nil {
		syscall.CloseOnExec(fd)
	}
	syscall.ForkLock.RUnlock()
	if err != nil {
		return -1, err
	}
	if err = syscall.SetsockoptInt(fd, syscall.SOL_SOCKET, syscall.SO_REUSEADDR, 1); err == nil {
		err = syscall.Bind(fd, &syscall.SockaddrInet4{Addr: [4]byte{127, 0, 0, 1}})
	}
	if err != nil {
		syscall.Close(fd)
		return -1, err
	}
	return fd, nil
}

// Addr returns "127.0.0.1:port".
func (p *Port) Addr() string { return fmt.Sprintf("127.0.0.1:%d", p.Number) }

// Close gives the port up.
func (p *Port) Close() error { return syscall.Close(p.fd) }
