// SPDX-License-Identifier: Apache-2.0

package transfer

import (
	"bufio"
	"encoding/binary"
	"encoding/json"
	"errors"
	"io"
	"sync"
	"time"

	"hozon.dev/hozon/internal/fail"
)

// Kinds of frames. A frame is its kind (1 byte), the length of its payload (4 bytes, big endian), and the payload.
const (
	frameHello    = 'H' // both ways, first: JSON, see hello
	frameBatch    = 'B' // sender: entries
	frameWant     = 'W' // receiver: which files of the oldest unanswered batch it wants
	frameData     = 'D' // sender: offset (uvarint) and bytes of the current file
	frameRestart  = 'R' // sender: the part that the receiver has is not the file's; it comes from the start
	frameEnd      = 'E' // sender: the current file has ended: its size (uvarint)
	frameMissing  = 'M' // sender: the current file cannot be read, or not to its end: text
	frameProblem  = 'X' // sender: Problem as JSON
	frameTotal    = 'T' // sender: files and bytes of the whole tree (two uvarints)
	frameFinal    = 'F' // sender: no more
	frameDone     = 'K' // receiver: Stats as JSON; the last frame
	frameFatal    = 'Z' // either: fatalText as JSON; nothing follows
	framePing     = 'P' // either: nothing, so that a broken connection is noticed
	headerSize    = 5
	maxPayload    = 4 << 20
	dataChunk     = 256 << 10
	pingEvery     = 10 * time.Second
	bufferSize    = 512 << 10
	maxBatch      = 1024
	maxBatchBytes = 256 << 10
)

// A link is one end of the connection. Sending is safe for concurrent use; receiving is for one goroutine.
type link struct {
	r *bufio.Reader

	mu sync.Mutex // guards w
	w  *bufio.Writer

	payload []byte // of the last frame received
}

func newLink(r io.Reader, w io.Writer) *link {
	return &link{r: bufio.NewReaderSize(r, bufferSize), w: bufio.NewWriterSize(w, bufferSize)}
}

// send queues a frame whose payload is the concatenation of parts.
func (l *link) send(kind byte, parts ...[]byte) error {
	size := 0
	for _, p := range parts {
		size += len(p)
	}
	if size > maxPayload {
		return fail.Errorf(fail.Unsupported, "a message of %d bytes is too long", size)
	}
	var header [headerSize]byte
	header[0] = kind
	binary.BigEndian.PutUint32(header[1:], uint32(size))
	l.mu.Lock()
	defer l.mu.Unlock()
	if _, err := l.w.Write(header[:]); err != nil {
		return broken(err)
	}
	for _, p := range parts {
		if _, err := l.w.Write(p); err != nil {
			return broken(err)
		}
	}
	return nil
}

func (l *link) sendJSON(kind byte, v any) error {
	body, err := json.Marshal(v)
	if err != nil {
		return err
	}
	if err := l.send(kind, body); err != nil {
		return err
	}
	return l.flush()
}

func (l *link) flush() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	return broken(l.w.Flush())
}

// receive returns the next frame that is not a ping. The payload is good until the next call. A fatal frame is
// returned as an error.
func (l *link) receive() (byte, []byte, error) {
	for {
		var header [headerSize]byte
		if _, err := io.ReadFull(l.r, header[:]); err != nil {
			return 0, nil, broken(err)
		}
		size := binary.BigEndian.Uint32(header[1:])
		if size > maxPayload {
			return 0, nil, corrupt("a message of %d bytes", size)
		}
		if cap(l.payload) < int(size) {
			l.payload = make([]byte, size, max(int(size), dataChunk+16))
		}
		l.payload = l.payload[:size]
		if _, err := io.ReadFull(l.r, l.payload); err != nil {
			return 0, nil, broken(err)
		}
		switch header[0] {
		case framePing:
		case frameFatal:
			return 0, nil, fatalError(l.payload)
		default:
			return header[0], l.payload, nil
		}
	}
}

// keepAlive pings until stop is closed.
func (l *link) keepAlive(stop <-chan struct{}) {
	tick := time.NewTicker(pingEvery)
	defer tick.Stop()
	for {
		select {
		case <-stop:
			return
		case <-tick.C:
			if l.send(framePing) != nil || l.flush() != nil {
				return
			}
		}
	}
}

// fatalText is what ends a run, as the other end gets it.
type fatalText struct {
	Kind fail.Kind
	Text string
}

// sendFatal tells the other end why this one gives up. That it may be gone already does not matter.
func (l *link) sendFatal(err error) {
	if !errors.Is(err, ErrBroken) {
		_ = l.sendJSON(frameFatal, fatalText{fail.Of(err), err.Error()})
	}
}

func fatalError(payload []byte) error {
	var f fatalText
	if err := json.Unmarshal(payload, &f); err != nil {
		return corrupt("a message that is no JSON: %w", err)
	}
	return fail.Errorf(f.Kind, "%s", printable(f.Text))
}

// ErrBroken says that the connection ended before the work did. A further run goes on where this one was.
var ErrBroken = errors.New("the connection broke")

type brokenError struct{ err error }

func (e brokenError) Error() string   { return ErrBroken.Error() + ": " + e.err.Error() }
func (e brokenError) Unwrap() []error { return []error{ErrBroken, e.err} }

func broken(err error) error {
	if err == nil || errors.Is(err, ErrBroken) {
		return err
	}
	return fail.As(fail.Transient, brokenError{err})
}

// corrupt is for what an honest other end never says.
func corrupt(format string, args ...any) error {
	return fail.As(fail.Corrupt, fail.Errorf(fail.Corrupt, "the other end breaks the rules of the protocol: "+format, args...))
}
