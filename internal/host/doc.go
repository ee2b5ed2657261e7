// SPDX-License-Identifier: Apache-2.0

// Package host reaches the machines of a cluster: runs commands on them, streams their files out, and dials what listens there.
//
// Its nouns: an Inventory is the list of machines that somebody wrote; a Spec is one of them; a Host is a machine that is connected, over SSH or,
// without an address, this one.
//
// Invariants: a machine is only spoken to when its key is known (or, if that was asked for, new: a key that has changed is always refused);
// arguments reach a command as they are, whatever is in them; output that is kept is bounded; a password is never asked for, and keys and file
// contents are never part of an error. Errors name the machine.
//
// It never sees a store, and knows nothing of Kubernetes.
package host

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net"
	"strings"

	"hozon.dev/hozon/internal/fail"
)

// maxOutput bounds what Run keeps of a command's output.
const maxOutput = 16 << 20

// transport is a way to a machine.
type transport interface {
	// run starts argv and waits for its end. What it says on its standard error is part of the error.
	run(ctx context.Context, argv []string, in io.Reader, out io.Writer) error
	dial(ctx context.Context, network, address string) (net.Conn, error)
	close() error
}

// Host is a machine that is connected. Its methods may be called from several goroutines.
type Host struct {
	Spec Spec

	by transport
}

// Connect connects to a machine.
func Connect(ctx context.Context, s Spec) (*Host, error) {
	if s.Address == "" {
		return &Host{Spec: s, by: local{root: s.Root}}, nil
	}
	by, err := dialSSH(ctx, s)
	if err != nil {
		return nil, fmt.Errorf("host %s: %w", s.Name, err)
	}
	return &Host{Spec: s, by: by}, nil
}

// Close ends the connection.
func (h *Host) Close() error { return h.by.close() }

// Name is the machine's name in the inventory.
func (h *Host) Name() string { return h.Spec.Name }

// Stream runs a command with in and out connected; both may be nil. With sudo in the Spec it is run through `sudo -n`.
func (h *Host) Stream(ctx context.Context, in io.Reader, out io.Writer, argv ...string) error {
	if h.Spec.Sudo {
		argv = append([]string{"sudo", "-n", "--"}, argv...)
	}
	if err := h.by.run(ctx, argv, in, out); err != nil {
		return fmt.Errorf("host %s: run %s: %w", h.Spec.Name, shown(argv), err)
	}
	return nil
}

// shown is a command for a message: its beginning, without scripts.
func shown(argv []string) string {
	var words []string
	for _, a := range argv[:min(len(argv), 6)] {
		if strings.ContainsRune(a, '\n') || len(a) > 200 {
			a = "…"
		}
		words = append(words, a)
	}
	return strings.Join(words, " ")
}

// Run runs a command and returns what it prints, up to 16 MiB.
func (h *Host) Run(ctx context.Context, argv ...string) ([]byte, error) {
	var out bounded
	err := h.Stream(ctx, nil, &out, argv...)
	return out.kept.Bytes(), err
}

// Dial connects to what listens at an address as the machine sees it.
func (h *Host) Dial(ctx context.Context, network, address string) (net.Conn, error) {
	c, err := h.by.dial(ctx, network, address)
	if err != nil {
		return nil, fmt.Errorf("host %s: connect to %s there: %w", h.Spec.Name, address, err)
	}
	return c, nil
}

// bounded is a buffer that refuses to grow without end. It embeds none: that one's ReadFrom would go around Write.
type bounded struct{ kept bytes.Buffer }

func (b *bounded) Write(p []byte) (int, error) {
	if b.kept.Len()+len(p) > maxOutput {
		return 0, fail.Errorf(fail.Corrupt, "it prints more than %d bytes", maxOutput)
	}
	return b.kept.Write(p)
}

// tail keeps the beginning of what a command says on its standard error.
type tail struct{ kept bytes.Buffer }

func (t *tail) Write(p []byte) (int, error) {
	if room := 2000 - t.kept.Len(); room > 0 {
		t.kept.Write(p[:min(room, len(p))])
	}
	return len(p), nil
}

// explain adds what a command said to how it ended.
func (t *tail) explain(err error) error {
	said := strings.TrimSpace(strings.ToValidUTF8(t.kept.String(), "?"))
	switch {
	case err == nil:
		return nil
	case said == "":
		return err
	case strings.Contains(said, "sudo:"):
		return fail.Errorf(fail.Denied, "%w: %s (the user needs sudo without a password)", err, said)
	}
	return fmt.Errorf("%w: %s", err, said)
}
