// SPDX-License-Identifier: Apache-2.0

package host

import (
	"context"
	"io"
	"net"
	"os/exec"
	"time"
)

// local is this machine; with a root, as it is below that folder: a container sees its machine there.
type local struct{ root string }

func (l local) run(ctx context.Context, argv []string, in io.Reader, out io.Writer) error {
	c := exec.CommandContext(ctx, argv[0], argv[1:]...)
	if l.root != "" {
		// The programs are the machine's, and so is the way to find them.
		c = exec.CommandContext(ctx, "/bin/sh", append([]string{"-c", `exec "$@"`, "sh"}, argv...)...)
		c.Env, c.Dir = []string{"PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL=C"}, "/"
		if err := chroot(c, l.root); err != nil {
			return err
		}
	}
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
