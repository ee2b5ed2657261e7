// SPDX-License-Identifier: Apache-2.0

package bundle

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"slices"
	"sync"

	"github.com/klauspost/compress/flate"

	"hozon.dev/hozon/internal/fail"
)

const (
	// cached is how many inflated blocks are kept: 16 MiB.
	cached = 64
	// openers is how many blocks are inflated side by side: one that is asked for, and the one behind it.
	openers = 2
	// maxPacked bounds a block as it is stored: deflate makes nothing longer than this.
	maxPacked = blockSize + blockSize/8
)

// cache keeps the blocks that were read last. Its zero value is empty.
type cache struct {
	mu     sync.Mutex
	blocks map[int]*inflated
	order  []int // of the blocks, oldest first
	idle   chan *opener
}

// inflated is a block. users, which mu guards, are those who read it now: its memory is used again for others only when there are none.
type inflated struct {
	ready chan struct{} // closed when what follows is there
	data  []byte
	err   error
	users int
}

// copy copies from one block what follows from; at its end that is io.EOF. Others may read at the same time. Who has read one block will probably want the next
// one, which is made ready meanwhile.
func (b *Bundle) copy(out []byte, i, from int) (int, error) {
	c := &b.cache
	c.mu.Lock()
	have, err := b.take(i)
	if err == nil && i+1 < len(b.Manifest.Blocks) && c.blocks[i-1] != nil {
		if next, err := b.take(i + 1); err == nil {
			next.users--
		}
	}
	c.mu.Unlock()
	if err != nil {
		return 0, err
	}
	<-have.ready
	defer func() {
		c.mu.Lock()
		defer c.mu.Unlock()
		if have.users--; have.err != nil && c.blocks[i] == have { // it is tried again
			delete(c.blocks, i)
			c.order = slices.DeleteFunc(c.order, func(o int) bool { return o == i })
		}
	}()
	switch {
	case have.err != nil:
		return 0, have.err
	case from >= len(have.data):
		return 0, io.EOF
	}
	return copy(out, have.data[from:]), nil
}

// take is a block with one user more, which is there or will be. mu is held.
func (b *Bundle) take(i int) (*inflated, error) {
	c := &b.cache
	if i >= len(b.Manifest.Blocks) {
		return nil, fail.Errorf(fail.Corrupt, "the manifest has no block %d", i)
	}
	if have := c.blocks[i]; have != nil {
		have.users++
		return have, nil
	}
	if c.blocks == nil {
		c.blocks, c.idle = map[int]*inflated{}, make(chan *opener, openers)
		for range openers {
			c.idle <- &opener{}
		}
	}
	have := &inflated{ready: make(chan struct{}), data: c.evict(), users: 1}
	c.blocks[i] = have
	c.order = append(c.order, i)
	go func() {
		defer close(have.ready)
		o := <-c.idle
		have.data, have.err = o.open(b, i, have.data)
		c.idle <- o
	}()
	return have, nil
}

// evict gives up the oldest block that nobody reads, if there are many, and returns its memory.
func (c *cache) evict() []byte {
	if len(c.order) >= cached {
		for at, i := range c.order {
			old := c.blocks[i]
			select {
			case <-old.ready:
			default:
				continue
			}
			if old.users == 0 {
				delete(c.blocks, i)
				c.order = slices.Delete(c.order, at, at+1)
				if cap(old.data) >= blockSize {
					return old.data[:0]
				}
				break
			}
		}
	}
	return make([]byte, 0, blockSize)
}

// opener inflates one block after the other.
type opener struct {
	packed  []byte
	inflate io.ReadCloser
}

// open reads a block, up to where the next one begins, and inflates it into memory for it.
func (o *opener) open(b *Bundle, i int, into []byte) ([]byte, error) {
	all := b.Manifest.Blocks
	end := b.size
	if i+1 < len(all) {
		end = all[i+1].Offset
	}
	length := min(end-all[i].Offset, maxPacked)
	if length < 0 {
		return nil, fail.Errorf(fail.Corrupt, "read block %d of the archive: it would begin behind the end", i)
	}
	if o.packed == nil {
		o.packed = make([]byte, maxPacked)
	}
	if n, err := b.r.ReadAt(o.packed[:length], all[i].Offset); int64(n) < length {
		return nil, fmt.Errorf("read block %d of the archive: %w", i, err)
	}
	from := bytes.NewReader(o.packed[:length])
	if o.inflate == nil {
		o.inflate = flate.NewReader(from)
	} else if err := o.inflate.(flate.Resetter).Reset(from, nil); err != nil {
		return nil, err
	}
	n, err := io.ReadFull(o.inflate, into[:blockSize])
	if err != nil && !errors.Is(err, io.ErrUnexpectedEOF) {
		return nil, fmt.Errorf("inflate block %d of the archive: %w", i, err)
	}
	return into[:n], nil
}
