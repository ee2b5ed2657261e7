// SPDX-License-Identifier: Apache-2.0

package host

import (
	"context"
	"io"
	"net"
	"os/exec"
	"time"
)

// local is this machine.
type local struct{}

func (local) run(ctx context.Context, argv []string, in io.Reader, out io.Writer) error {
	c := exec.CommandContext(ctx, argv[0], argv[1:]...)
	var said tail
	c.Stdin, c.Stdout, c.Stderr = in, out, &said
	c.WaitDelay = 5 * time.Second
	return said.explain(c.Run())
}

func (local) dial(ctx context.Context, network, address string) (net.Conn, error) {
	var d net.Dialer
	return d.DialContext(ctx, network, address)
}

func (local) close() error { return nil }
