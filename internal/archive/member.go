// SPDX-License-Identifier: Apache-2.0

package archive

import (
	"encoding/binary"
	"errors"
	"hash/crc32"
	"io"
	"sync"
	"sync/atomic"

	"github.com/klauspost/compress/flate"
)

const (
	blockSize   = 1 << 20 // a block is closed when it holds this much
	keepBuffer  = 2 << 20 // larger buffers are left to the collector
	maxInFlight = 4 << 20 // bytes, uncompressed, on their way at a time; a larger block is alone
	gzipHeader  = "\x1f\x8b\x08\x00\x00\x00\x00\x00\x00\xff"
	finalBlock  = "\x03\x00" // an empty deflate block, marked as the last
	lanesToSave = 8          // buffers kept for reuse
)

var errClosed = errors.New("closed")

// block is a piece of the stream on its way through the compressors.
type block struct {
	plain  []byte
	packed packed
	done   chan struct{} // receives when packed is complete
}

type packed []byte

func (p *packed) Write(b []byte) (int, error) {
	*p = append(*p, b...)
	return len(b), nil
}

// member writes one gzip member made of independent blocks. Blocks are compressed side by side and
// written in the order of put.
type member struct {
	w     io.Writer
	level int
	jobs  chan *block // to the compressors
	order chan *block // to the one that writes; its capacity bounds how many are in flight
	free  chan *block
	held  atomic.Int64  // bytes of blocks in flight
	room  chan struct{} // receives when held has become less
	dead  chan struct{}
	ended chan struct{} // the one that writes is through

	mu   sync.Mutex // orders put
	next int        // number of the next block

	failOnce sync.Once
	err      error // set before dead is closed

	// Of the one that writes; others read them after ended.
	spans        []Span
	offset       int64
	uncompressed int64
	crc          uint32
}

func newMember(w io.Writer, level, workers int) *member {
	inFlight := workers + 1
	m := &member{
		w: w, level: level,
		jobs: make(chan *block, inFlight+1), order: make(chan *block, inFlight),
		free: make(chan *block, lanesToSave), room: make(chan struct{}, 1), dead: make(chan struct{}), ended: make(chan struct{}),
	}
	for range workers {
		go m.compress()
	}
	go m.write()
	return m
}

// take gives an empty block to fill.
func (m *member) take() *block {
	select {
	case b := <-m.free:
		return b
	default:
		return &block{plain: make([]byte, 0, blockSize+blockSize/16), done: make(chan struct{}, 1)}
	}
}

// release lets the next block in and keeps the buffers of this one for it.
func (m *member) release(b *block) {
	m.held.Add(-int64(len(b.plain)))
	select {
	case m.room <- struct{}{}:
	default: // nobody has looked since the last time
	}
	if cap(b.plain) > keepBuffer {
		return
	}
	b.plain, b.packed = b.plain[:0], b.packed[:0]
	select {
	case m.free <- b:
	default:
	}
}

// put hands over a block and returns its number. The block is no longer the caller's.
func (m *member) put(b *block) (int, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	select {
	case <-m.dead:
		return 0, m.err
	default:
	}
	size := int64(len(b.plain))
	for held := m.held.Load(); held > 0 && held+size > maxInFlight; held = m.held.Load() {
		select {
		case <-m.room:
		case <-m.dead:
			return 0, m.err
		}
	}
	m.held.Add(size)
	select {
	case m.order <- b:
	case <-m.dead:
		return 0, m.err
	}
	m.jobs <- b // never waits: it holds more than order and what is being written
	m.next++
	return m.next - 1, nil
}

// abort lets everybody go; the first reason stays.
func (m *member) abort(err error) {
	m.failOnce.Do(func() {
		m.err = err
		close(m.dead)
	})
}

func (m *member) compress() {
	fw, err := flate.NewWriter(nil, m.level)
	if err != nil {
		m.abort(err)
		return
	}
	for {
		select {
		case <-m.dead:
			return
		case b, ok := <-m.jobs:
			if !ok {
				return
			}
			fw.Reset(&b.packed)
			_, err := fw.Write(b.plain)
			if err = errors.Join(err, fw.Flush()); err != nil {
				m.abort(err)
				return
			}
			b.done <- struct{}{}
		}
	}
}

func (m *member) write() {
	defer close(m.ended)
	if err := m.emit([]byte(gzipHeader)); err != nil {
		m.abort(err)
		return
	}
	for {
		select {
		case <-m.dead:
			return
		case b, ok := <-m.order:
			if !ok {
				m.finish()
				return
			}
			select {
			case <-m.dead:
				return
			case <-b.done:
			}
			m.spans = append(m.spans, Span{m.offset, int64(len(b.packed))})
			m.crc = crc32.Update(m.crc, crc32.IEEETable, b.plain)
			m.uncompressed += int64(len(b.plain))
			if err := m.emit(b.packed); err != nil {
				m.abort(err)
				return
			}
			m.release(b)
		}
	}
}

func (m *member) finish() {
	tail := binary.LittleEndian.AppendUint32([]byte(finalBlock), m.crc)
	tail = binary.LittleEndian.AppendUint32(tail, uint32(m.uncompressed)) // modulo 2^32, RFC 1952
	if err := m.emit(tail); err != nil {
		m.abort(err)
	}
}

func (m *member) emit(p []byte) error {
	n, err := m.w.Write(p)
	m.offset += int64(n)
	if err == nil && n < len(p) {
		err = io.ErrShortWrite
	}
	return err
}

// close ends the member. No put may be under way.
func (m *member) close() error {
	close(m.order)
	close(m.jobs)
	<-m.ended
	m.abort(errClosed) // a later put is refused
	m.free = nil
	if m.err != errClosed {
		return m.err
	}
	return nil
}
