// SPDX-License-Identifier: Apache-2.0

package bundle

import "io"

// How much is read before it is asked for: pieces of half a MiB, because an age file is opened in pieces of 64 KiB, each time with a buffer for one.
const (
	aheadPiece  = 512 << 10
	aheadPieces = 3
)

// ahead reads in a goroutine of its own what will be asked for next, so that opening, inflating and hashing go on side by side.
type ahead struct {
	full chan piece
	free chan []byte
	stop chan struct{}
	now  piece
	all  []byte // the memory of now
}

type piece struct {
	rest []byte
	err  error // that comes after rest
}

func readAhead(r io.Reader) *ahead {
	a := &ahead{full: make(chan piece, aheadPieces), free: make(chan []byte, aheadPieces), stop: make(chan struct{})}
	for range aheadPieces {
		a.free <- nil
	}
	go a.run(r)
	return a
}

func (a *ahead) run(r io.Reader) {
	defer close(a.full)
	for {
		var b []byte
		select {
		case b = <-a.free:
		case <-a.stop:
			return
		}
		if b == nil {
			b = make([]byte, aheadPiece)
		}
		n, err := 0, error(nil)
		for n < len(b) && err == nil {
			var m int
			m, err = r.Read(b[n:])
			n += m
		}
		a.full <- piece{b[:n], err} // there is room: as many pieces as there are
		if err != nil {
			return
		}
	}
}

func (a *ahead) Read(p []byte) (int, error) {
	for len(a.now.rest) == 0 {
		if a.now.err != nil {
			return 0, a.now.err
		}
		if a.all != nil {
			a.free <- a.all
		}
		next, ok := <-a.full
		if !ok {
			return 0, io.ErrClosedPipe
		}
		a.now, a.all = next, next.rest[:cap(next.rest)]
	}
	n := copy(p, a.now.rest)
	a.now.rest = a.now.rest[n:]
	return n, nil
}

// Close ends the reading ahead, and returns when nobody reads any more.
func (a *ahead) Close() {
	close(a.stop)
	for range a.full {
	}
}
