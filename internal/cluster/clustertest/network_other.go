// SPDX-License-Identifier: Apache-2.0

//go:build !linux

package clustertest

import (
	"errors"
	"net"
)

var errNoNode = errors.New("a node needs Linux")

const namespaces = 0

func checkNamespaces() error { return errNoNode }

type network struct{}

func openNetwork(int) (*network, error)              { return nil, errNoNode }
func (*network) close()                              {}
func (*network) dial(string) (net.Conn, error)       { return nil, errNoNode }
func (*network) listen(string) (net.Listener, error) { return nil, errNoNode }

func snapshotter(string) string { return "native" }
