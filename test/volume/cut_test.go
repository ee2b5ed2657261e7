// SPDX-License-Identifier: Apache-2.0

package volume

import (
	"bytes"
	"io"
	"math/rand/v2"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"
)

// A cutter stands between hozon and the API server and breaks every connection now and then.
type cutter struct {
	net.Listener
	mu    sync.Mutex
	conns []net.Conn
}

func newCutter(t *testing.T, server string) *cutter {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	must(t, err)
	c := &cutter{Listener: l}
	t.Cleanup(func() { l.Close() })
	go func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			to, err := net.Dial("tcp", server)
			if err != nil {
				conn.Close()
				continue
			}
			c.mu.Lock()
			c.conns = append(c.conns, conn, to)
			c.mu.Unlock()
			for _, pair := range [][2]net.Conn{{conn, to}, {to, conn}} {
				go func() {
					_, _ = io.Copy(pair[0], pair[1])
					pair[0].Close()
				}()
			}
		}
	}()
	return c
}

// cut breaks all connections and reports whether there were any.
func (c *cutter) cut() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	any := len(c.conns) > 0
	for _, conn := range c.conns {
		conn.Close()
	}
	c.conns = nil
	return any
}

// TestCut breaks the connection at random times, and wants the copy to come to its end by itself.
func TestCut(t *testing.T) {
	w := newWorld(t)
	ns := w.Namespace(t)
	data, here, there := t.TempDir(), t.TempDir(), t.TempDir()
	fill(t, data)
	big := make([]byte, 48<<20)
	_, _ = rand.NewChaCha8([32]byte{2}).Read(big)
	must(t, os.WriteFile(filepath.Join(data, "big"), big, 0o644))
	w.start(t, podSpec(ns, "cut", appImage, data))
	w.start(t, podSpec(ns, "to", appImage, there))
	// The helpers' containers are there before anything breaks.
	w.must(t, "volume", "pull", ns+"/cut:/data", t.TempDir(), "--include", "none")
	w.must(t, "volume", "pull", ns+"/to:/data", t.TempDir(), "--include", "none")

	c := newCutter(t, strings.TrimPrefix(w.URL, "https://"))
	config, err := os.ReadFile(w.Kubeconfig())
	must(t, err)
	kubeconfig := filepath.Join(t.TempDir(), "kubeconfig")
	must(t, os.WriteFile(kubeconfig, bytes.ReplaceAll(config, []byte(w.URL), []byte("https://"+c.Addr().String())), 0o600))

	for _, args := range [][]string{
		{"pull", ns + "/cut:/data", here, "--bandwidth", "16MB"}, {"push", here, ns + "/to:/data", "--bandwidth", "16MB"},
	} {
		stop, cuts := make(chan struct{}), make(chan int)
		go func() {
			n := 0
			for n < 4 {
				select {
				case <-stop:
					cuts <- n
					return
				case <-time.After(600*time.Millisecond + rand.N(1500*time.Millisecond)):
					if c.cut() {
						n++
					}
				}
			}
			<-stop
			cuts <- n
		}()
		code, out, talk := w.run(t, append([]string{"--kubeconfig", kubeconfig, "volume"}, args...)...)
		close(stop)
		if n := <-cuts; n == 0 || !strings.Contains(talk, "going on") {
			t.Errorf("%q was cut %d times:\n%s", args, n, talk)
		}
		if code != 0 {
			t.Errorf("%q: code %d\n%s%s", args, code, out, talk)
		}
	}
	same(t, data, here)
	same(t, data, there)
}
