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

	"hozon.dev/hozon/internal/host"
	"hozon.dev/hozon/test/daemon"
)

// A Host is a running host.
type Host struct {
	Dir  string // of the test's side: keys, log
	Spec host.Spec

	process *daemon.Process
}

// Start starts a host that ends with t. Its Spec has a key and a known-hosts file.
func Start(t testing.TB, name string) *Host {
	t.Helper()
	if testing.Short() {
		t.Skip("starts an sshd")
	}
	if os.Getuid() != 0 {
		t.Skip("needs root")
	}
	sshd, err := daemon.Build(t.Context(), "tools/sshd/install")
	check(t, err)
	root, err := daemon.Root()
	check(t, err)
	port, err := daemon.ReservePort()
	check(t, err)
	dir, err := os.MkdirTemp("", "hozon-host-") // short, and not below a folder that only this user may enter
	check(t, err)
	h := &Host{Dir: dir, Spec: host.Spec{Name: name, Address: "127.0.0.1", Access: host.Access{
		User: "root", Port: port.Number, Key: filepath.Join(dir, "key"), HostKeys: host.Strict, KnownHosts: filepath.Join(dir, "known_hosts"),
	}}}
	client := writeKey(t, h.Spec.Key)
	server := writeKey(t, filepath.Join(dir, "host_key"))
	check(t, os.WriteFile(filepath.Join(dir, "authorized_keys"), client, 0o600))
	address := "[127.0.0.1]:" + strconv.Itoa(port.Number)
	check(t, os.WriteFile(h.Spec.KnownHosts, append([]byte(address+" "), server...), 0o600))
	h.process, err = daemon.Start(daemon.Command{
		Name: "sshd", Path: "/bin/bash", Args: []string{filepath.Join(root, "internal/host/hosttest/host.sh")}, Dir: dir,
		Env:        []string{"SSHD=" + sshd, "PORT=" + strconv.Itoa(port.Number), "HOST_NAME=" + name},
		Namespaces: syscall.CLONE_NEWPID | syscall.CLONE_NEWNS | syscall.CLONE_NEWUTS,
	})
	check(t, err)
	t.Cleanup(func() {
		h.process.Kill()
		if t.Failed() {
			t.Log(h.process.LogTail(30))
		}
		port.Close()
		os.RemoveAll(dir)
	})
	h.await(t)
	return h
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
	address := net.JoinHostPort("127.0.0.1", strconv.Itoa(h.Spec.Port))
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	for {
		if c, err := net.Dial("tcp", address); err == nil {
			_, err = c.Read(make([]byte, 4))
			c.Close()
			if err == nil {
				return
			}
		}
		if err := h.process.Exited(); err != nil || ctx.Err() != nil {
			t.Fatalf("sshd does not come up: %v\n%s", err, h.process.LogTail(30))
		}
		time.Sleep(20 * time.Millisecond)
	}
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
