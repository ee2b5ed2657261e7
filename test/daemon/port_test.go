// SPDX-License-Identifier: Apache-2.0

package daemon

import (
	"errors"
	"net"
	"syscall"
	"testing"
)

// A reserved port refuses connections, goes to nobody by chance, and to its
// server again and again.
func TestReservedPort(t *testing.T) {
	port, err := ReservePort()
	if err != nil {
		t.Fatal(err)
	}
	for range 3 {
		if _, err := net.Dial("tcp", port.Addr()); !errors.Is(err, syscall.ECONNREFUSED) {
			t.Fatalf("dial while nobody listens: %v", err)
		}
		l, err := net.Listen("tcp", port.Addr())
		if err != nil {
			t.Fatal(err)
		}
		c, err := net.Dial("tcp", port.Addr())
		if err != nil {
			t.Fatal(err)
		}
		c.Close()
		l.Close()
	}
	if err := port.Close(); err != nil {
		t.Fatal(err)
	}
}

// Enough reservations at a time that a port given twice would show.
func TestReservedPortsDiffer(t *testing.T) {
	seen := map[int]bool{}
	for range 500 {
		port, err := ReservePort()
		if err != nil {
			t.Fatal(err)
		}
		defer port.Close()
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		defer l.Close()
		for _, n := range []int{port.Number, l.Addr().(*net.TCPAddr).Port} {
			if seen[n] {
				t.Fatalf("port %d was given twice", n)
			}
			seen[n] = true
		}
	}
}
