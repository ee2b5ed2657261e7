// SPDX-License-Identifier: Apache-2.0

package host

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"strconv"
	"strings"
	"sync"
	"time"

	"golang.org/x/crypto/ssh"
	"golang.org/x/crypto/ssh/agent"

	"hozon.dev/hozon/internal/fail"
)

// dialTimeout bounds the way to a machine until it is logged in to.
const dialTimeout = 20 * time.Second

// remote is a machine behind SSH.
type remote struct {
	client *ssh.Client
	agent  net.Conn
}

func dialSSH(ctx context.Context, s Spec) (*remote, error) {
	ctx, cancel := context.WithTimeout(ctx, dialTimeout)
	defer cancel()
	address := net.JoinHostPort(s.Address, strconv.Itoa(s.Port))
	keys, err := openKeys(s, address)
	if err != nil {
		return nil, err
	}
	r := &remote{}
	method, err := r.credentials(s)
	if err != nil {
		return nil, err
	}
	conn, err := local{}.dial(ctx, "tcp", address)
	if err != nil {
		r.close()
		return nil, fail.Errorf(fail.Transient, "%w: is the machine up, and sshd at that port?", err)
	}
	stop := context.AfterFunc(ctx, func() { conn.Close() })
	defer stop()
	c, channels, requests, err := ssh.NewClientConn(conn, address, &ssh.ClientConfig{
		User: s.User, Auth: []ssh.AuthMethod{method}, HostKeyCallback: keys.check, HostKeyAlgorithms: keys.algorithms(),
	})
	if err != nil {
		conn.Close()
		r.close()
		return nil, keys.explain(s, address, err)
	}
	r.client = ssh.NewClient(c, channels, requests)
	return r, nil
}

// credentials reads the key, or asks the agent.
func (r *remote) credentials(s Spec) (ssh.AuthMethod, error) {
	if s.Key == "" && len(s.KeyText) == 0 {
		socket := os.Getenv("SSH_AUTH_SOCK")
		if socket == "" {
			return nil, fail.Errorf(fail.Denied, "no key is named for it and there is no SSH agent: give `key` in the inventory, or start ssh-agent")
		}
		c, err := net.Dial("unix", socket)
		if err != nil {
			return nil, fail.Errorf(fail.Denied, "the SSH agent does not answer: %w", err)
		}
		r.agent = c
		return ssh.PublicKeysCallback(agent.NewClient(c).Signers), nil
	}
	text, name := []byte(s.KeyText), "of the admin cluster"
	if len(text) == 0 {
		var err error
		if text, err = os.ReadFile(s.Key); err != nil {
			return nil, fail.Errorf(fail.Denied, "read its SSH key: %w", err)
		}
		name = s.Key
	}
	signer, err := ssh.ParsePrivateKey(text)
	var locked *ssh.PassphraseMissingError
	switch {
	case errors.As(err, &locked):
		return nil, fail.Errorf(fail.Denied, "the SSH key %s has a passphrase: add it to an agent with ssh-add, and leave out `key`", name)
	case err != nil:
		return nil, fail.Errorf(fail.Denied, "%s is no private SSH key", name)
	}
	return ssh.PublicKeys(signer), nil
}

func (r *remote) run(ctx context.Context, argv []string, in io.Reader, out io.Writer) error {
	session, err := r.client.NewSession()
	if err != nil {
		return fail.Errorf(fail.Transient, "the connection is gone: %w", err)
	}
	defer session.Close()
	var said tail
	gate := &gate{to: out, failed: make(chan error, 1)}
	session.Stdin, session.Stderr = in, &said
	if out != nil {
		session.Stdout = gate
	}
	ended := make(chan error, 1)
	go func() { ended <- session.Run(quote(argv)) }()
	var cause error
	select {
	case err := <-ended:
		return said.explain(err)
	case cause = <-gate.failed:
	case <-ctx.Done():
		cause = ctx.Err()
	}
	// sshd ends the command when it next writes, or with the connection; nobody waits for that.
	gate.shut()
	_ = session.Signal(ssh.SIGTERM)
	return cause
}

// gate lets nothing through once it is shut.
type gate struct {
	mu     sync.Mutex
	to     io.Writer
	closed bool
	failed chan error // the first error of to; the command would wait for ever for somebody to read
}

func (g *gate) Write(p []byte) (int, error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.closed {
		return 0, io.ErrClosedPipe
	}
	n, err := g.to.Write(p)
	if err != nil {
		g.closed = true
		g.failed <- err
	}
	return n, err
}

func (g *gate) shut() {
	g.mu.Lock()
	g.closed = true
	g.mu.Unlock()
}

// quote makes one line for a shell out of arguments.
func quote(argv []string) string {
	var b strings.Builder
	for i, a := range argv {
		if i > 0 {
			b.WriteByte(' ')
		}
		b.WriteString("'" + strings.ReplaceAll(a, "'", `'\''`) + "'")
	}
	return b.String()
}

func (r *remote) dial(ctx context.Context, network, address string) (net.Conn, error) {
	c, err := r.client.DialContext(ctx, network, address)
	if err != nil {
		return nil, fmt.Errorf("through SSH: %w", err)
	}
	return c, nil
}

func (r *remote) close() error {
	var err error
	if r.client != nil {
		err = r.client.Close()
	}
	if r.agent != nil {
		err = errors.Join(err, r.agent.Close())
	}
	return err
}
