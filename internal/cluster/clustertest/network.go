// SPDX-License-Identifier: Apache-2.0

package clustertest

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"time"
)

// serveConnect answers HTTP CONNECT requests on l, until l is closed, with
// connections that dial makes.
func serveConnect(l net.Listener, dial func(addr string) (net.Conn, error)) {
	accept(l, func(conn net.Conn) {
		from := bufio.NewReader(conn)
		req, err := http.ReadRequest(from)
		if err != nil {
			return
		}
		if req.Method != http.MethodConnect {
			fmt.Fprint(conn, "HTTP/1.1 405 Method Not Allowed\r\n\r\n")
			return
		}
		to, err := dial(req.Host)
		if err != nil {
			fmt.Fprintf(conn, "HTTP/1.1 502 %s\r\n\r\n", err)
			return
		}
		defer to.Close()
		if _, err := fmt.Fprint(conn, "HTTP/1.1 200 Connection established\r\n\r\n"); err != nil {
			return
		}
		join(conn, from, to)
	})
}

// serveForward passes every connection to l on to addr, until l is closed.
func serveForward(l net.Listener, addr string) {
	accept(l, func(conn net.Conn) {
		to, err := net.DialTimeout("tcp", addr, 10*time.Second)
		if err != nil {
			return
		}
		defer to.Close()
		join(conn, conn, to)
	})
}

// accept handles each connection to l in a goroutine of its own, and closes it
// then.
func accept(l net.Listener, handle func(net.Conn)) {
	for {
		conn, err := l.Accept()
		if err != nil {
			return
		}
		go func() {
			defer conn.Close()
			handle(conn)
		}()
	}
}

// join copies both ways until both have ended. from reads what comes from a.
func join(a net.Conn, from io.Reader, b net.Conn) {
	done := make(chan struct{})
	go func() {
		defer close(done)
		_, _ = io.Copy(b, from)
		closeWrite(b)
	}()
	_, _ = io.Copy(a, b)
	closeWrite(a)
	<-done
}

// closeWrite tells the other end that no more comes.
func closeWrite(conn net.Conn) {
	if half, ok := conn.(interface{ CloseWrite() error }); ok {
		_ = half.CloseWrite()
		return
	}
	conn.Close()
}
