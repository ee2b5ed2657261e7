// SPDX-License-Identifier: Apache-2.0

package hosttest

import (
	"context"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"hozon.dev/hozon/internal/host"
	"hozon.dev/hozon/test/daemon"
)

// A Site is a network with hosts of its own, apart from the machine's: each host has an address, its own loopback, and every port to itself. Programs that
// shall reach them run inside of it.
type Site struct {
	switcher *daemon.Process
	cables   int
}

// gateway is the address inside of a site of the programs that Command starts.
const gateway = "10.77.0.1/24"

// NewSite makes a network that ends with t.
func NewSite(t testing.TB) *Site {
	t.Helper()
	skip(t)
	p, err := daemon.Start(daemon.Command{
		Name: "switch", Path: "/bin/bash", Dir: t.TempDir(), Namespaces: syscall.CLONE_NEWNET,
		Args: []string{"-euc", "PATH=$PATH:/usr/sbin:/sbin; ip link set lo up; ip link add br0 type bridge; ip address add " + gateway + " dev br0; ip link set br0 up; exec sleep infinity"},
	})
	check(t, err)
	t.Cleanup(p.Kill)
	s := &Site{switcher: p}
	for range 500 {
		if s.Command(t.Context(), "ip", "address", "show", "dev", "br0", "up").Run() == nil {
			return s
		}
		time.Sleep(10 * time.Millisecond) // the bridge is made by a program that goes on running and tells nothing
	}
	t.Fatalf("the network does not come up: %v", p.Exited())
	return nil
}

// Command is a program that will run inside of the network, and else as any other.
func (s *Site) Command(ctx context.Context, name string, args ...string) *exec.Cmd {
	return exec.CommandContext(ctx, "nsenter", append([]string{"--net=" + s.network(), "--", name}, args...)...)
}

func (s *Site) network() string { return fmt.Sprintf("/proc/%d/ns/net", s.switcher.PID()) }

// Dial connects from inside of the network.
func (s *Site) Dial(ctx context.Context, network, address string) (net.Conn, error) {
	ns, err := os.Open(s.network())
	if err != nil {
		return nil, err
	}
	defer ns.Close()
	type result struct {
		c   net.Conn
		err error
	}
	done := make(chan result, 1)
	go func() {
		runtime.LockOSThread() // for good: the thread ends with the goroutine
		if err := unix.Setns(int(ns.Fd()), unix.CLONE_NEWNET); err != nil {
			done <- result{nil, err}
			return
		}
		c, err := new(net.Dialer).DialContext(ctx, network, address)
		done <- result{c, err}
	}()
	r := <-done
	return r.c, r.err
}

// Start starts a host with the last part of its address. first is a script that runs on it from the beginning; it may be empty.
func (s *Site) Start(t testing.TB, name string, number int, first string) *Host {
	t.Helper()
	h := &Host{site: s, number: number, Spec: host.Spec{Name: name, Address: "10.77.0." + strconv.Itoa(number), Access: host.Access{Port: 22}}}
	h.prepare(t)
	check(t, os.WriteFile(filepath.Join(h.Dir, "first"), []byte(first), 0o600))
	h.boot(t)
	return h
}

// Remake throws the host away, with all that was on its disk, and starts a new one of the same name, address and keys.
func (h *Host) Remake(t testing.TB) {
	t.Helper()
	h.Kill()
	check(t, os.RemoveAll(filepath.Join(h.Dir, "layer")))
	check(t, os.RemoveAll(filepath.Join(h.Dir, "root")))
	h.boot(t)
}

// Kill switches the host off.
func (h *Host) Kill() { h.process.Kill() }

// boot starts a host of a site and plugs its cable in.
func (h *Host) boot(t testing.TB) {
	t.Helper()
	h.run(t, daemon.Command{
		Env: []string{"NETWORK=" + h.Spec.Address + "/24", "FIRST=first"}, Namespaces: syscall.CLONE_NEWNET | unix.CLONE_NEWCGROUP,
	})
	h.site.cables++
	mac := fmt.Sprintf("02:00:00:00:00:%02x", h.number) // also when it is made anew: the others remember it
	end := "cable" + strconv.Itoa(h.site.cables)
	for _, args := range [][]string{
		{"link", "add", end, "type", "veth", "peer", "name", "eth0", "address", mac, "netns", strconv.Itoa(h.process.PID())},
		{"link", "set", end, "master", "br0", "up"},
	} {
		if out, err := h.site.Command(t.Context(), "ip", args...).CombinedOutput(); err != nil {
			t.Fatalf("ip %v: %v\n%s", args, err, out)
		}
	}
	h.await(t)
}

// enter runs a script on the host without SSH.
func (h *Host) enter(t testing.TB, script string) string {
	t.Helper()
	out, err := h.Inside(context.WithoutCancel(t.Context()), "bash", "-euc", script).CombinedOutput()
	if err != nil {
		t.Fatalf("on %s: %v\n%s", h.Spec.Name, err, out)
	}
	return string(out)
}

// Inside is a program that will run on the host, without SSH.
func (h *Host) Inside(ctx context.Context, name string, args ...string) *exec.Cmd {
	return exec.CommandContext(ctx, "nsenter", append([]string{"--target", strconv.Itoa(h.process.PID()), "--all", "--root", "--wd", "--", name}, args...)...)
}

// Disk is a program that will see, in its working folder, all that the host has written, and nothing else.
func (h *Host) Disk(ctx context.Context, name string, args ...string) *exec.Cmd {
	return exec.CommandContext(ctx, "nsenter", append([]string{"--target", strconv.Itoa(h.process.PID()), "--mount", "--wdns=" + filepath.Join(h.Dir, "layer/upper"), "--", name}, args...)...)
}
