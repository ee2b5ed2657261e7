// SPDX-License-Identifier: Apache-2.0

// Package hosttest runs hosts for tests: a real sshd with a root folder and processes of its own, on a port of 127.0.0.1. The network is the machine's.
// It needs root, on Linux.
package hosttest

import (
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"encoding/pem"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"syscall"
	"testing"
	"time"

	"golang.org/x/crypto/ssh"
	"golang.org/x/crypto/ssh/knownhosts"

	"hozon.dev/hozon/internal/host"
	"hozon.dev/hozon/test/daemon"
)

// A Host is a running host.
type Host struct {
	Dir  string // of the test's side: keys, log
	Spec host.Spec

	process *daemon.Process
	site    *Site // nil: the host shares the machine's network
	number  int   // in its site
}

// Start starts a host that ends with t. Its Spec has a key and a known-hosts file.
func Start(t testing.TB, name string) *Host {
	t.Helper()
	skip(t)
	port, err := daemon.ReservePort()
	check(t, err)
	h := &Host{Spec: host.Spec{Name: name, Address: "127.0.0.1", Access: host.Access{Port: port.Number}}}
	h.prepare(t)
	h.run(t, daemon.Command{})
	t.Cleanup(func() { port.Close() })
	h.await(t)
	return h
}

func skip(t testing.TB) {
	t.Helper()
	if testing.Short() {
		t.Skip("starts an sshd")
	}
	if os.Getuid() != 0 {
		t.Skip("needs root")
	}
}

// prepare makes the folder with the keys of both sides.
func (h *Host) prepare(t testing.TB) {
	t.Helper()
	dir, err := os.MkdirTemp("", "hozon-host-") // short, and not below a folder that only this user may enter
	check(t, err)
	h.Dir = dir
	a := &h.Spec.Access
	a.User, a.Key, a.HostKeys, a.KnownHosts = "root", filepath.Join(dir, "key"), host.Strict, filepath.Join(dir, "known_hosts")
	client := writeKey(t, a.Key)
	server := writeKey(t, filepath.Join(dir, "host_key"))
	check(t, os.WriteFile(filepath.Join(dir, "authorized_keys"), client, 0o600))
	address := knownhosts.Normalize(net.JoinHostPort(h.Spec.Address, strconv.Itoa(a.Port)))
	check(t, os.WriteFile(a.KnownHosts, append([]byte(address+" "), server...), 0o600))
	t.Cleanup(func() {
		h.process.Kill()
		if t.Failed() {
			t.Log(h.process.LogTail(30))
		}
		os.RemoveAll(dir)
	})
}

// run starts the host's first process; c may add to its environment and namespaces.
func (h *Host) run(t testing.TB, c daemon.Command) {
	t.Helper()
	sshd, err := daemon.Build(t.Context(), "tools/sshd/install")
	check(t, err)
	root, err := daemon.Root()
	check(t, err)
	c.Name, c.Path, c.Args, c.Dir = "sshd", "/bin/bash", []string{filepath.Join(root, "internal/host/hosttest/host.sh")}, h.Dir
	c.Env = append(c.Env, "SSHD="+sshd, "PORT="+strconv.Itoa(h.Spec.Port), "HOST_NAME="+h.Spec.Name)
	c.Namespaces |= syscall.CLONE_NEWPID | syscall.CLONE_NEWNS | syscall.CLONE_NEWUTS
	h.process, err = daemon.Start(c)
	check(t, err)
}

func check(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// await waits for sshd to greet.
func (h *Host) await(t testing.TB) {
	t.Helper()
	address := net.JoinHostPort(h.Spec.Address, strconv.Itoa(h.Spec.Port))
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	for {
		if c, err := h.dial(ctx, address); err == nil {
			_, err = c.Read(make([]byte, 4))
			c.Close()
			if err == nil {
				return
			}
		}
		if err := h.process.Exited(); err != nil || ctx.Err() != nil {
			t.Fatalf("sshd does not come up: %v\n%s", err, h.process.LogTail(30))
		}
		time.Sleep(20 * time.Millisecond) // sshd tells nobody that it listens
	}
}

func (h *Host) dial(ctx context.Context, address string) (net.Conn, error) {
	ctx, cancel := context.WithTimeout(ctx, 2*time.Second)
	defer cancel()
	if h.site != nil {
		return h.site.Dial(ctx, "tcp", address)
	}
	return new(net.Dialer).DialContext(ctx, "tcp", address)
}

// Connect connects to the host.
func (h *Host) Connect(t testing.TB) *host.Host {
	t.Helper()
	c, err := host.Connect(t.Context(), h.Spec)
	check(t, err)
	t.Cleanup(func() { c.Close() })
	return c
}

// Sh runs a script on the host.
func (h *Host) Sh(t testing.TB, script string) string {
	t.Helper()
	if h.site != nil {
		return h.enter(t, script)
	}
	c, err := host.Connect(t.Context(), h.Spec)
	check(t, err)
	defer c.Close()
	out, err := c.Run(context.WithoutCancel(t.Context()), "bash", "-euc", script)
	check(t, err)
	return string(out)
}

// writeKey makes a private key and returns the line of its public half.
func writeKey(t testing.TB, file string) []byte {
	t.Helper()
	public, private, err := ed25519.GenerateKey(rand.Reader)
	check(t, err)
	block, err := ssh.MarshalPrivateKey(private, "")
	check(t, err)
	check(t, os.WriteFile(file, pem.EncodeToMemory(block), 0o600))
	key, err := ssh.NewPublicKey(public)
	check(t, err)
	return ssh.MarshalAuthorizedKey(key)
}
