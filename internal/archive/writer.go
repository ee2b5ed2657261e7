// SPDX-License-Identifier: Apache-2.0

package archive

import (
	"cmp"
	"crypto/sha256"
	"fmt"
	"io"
	"sync"

	"hozon.dev/hozon/internal/fail"
)

// Writer writes an archive and remembers what lies where.
type Writer struct {
	member  *member
	header  *header
	options Options

	mu      sync.Mutex // guards the fields below
	catalog *catalog
	open    int      // lanes
	order   []uint32 // of the index; after the first use
	closed  bool
	spans   []Span // of the blocks; after Close
}

// NewWriter begins an archive. Writes to w come from another goroutine, one at a time. The writer must be ended by Close or Abort.
func NewWriter(w io.Writer, o Options) *Writer {
	o.Level, o.Workers = cmp.Or(o.Level, DefaultLevel), cmp.Or(o.Workers, 2)
	a := &Writer{member: newMember(w, o.Level, o.Workers), header: newHeader(o.Modified), options: o, catalog: newCatalog()}
	content := formatVersion + "\n"
	b := a.member.take()
	plain, err := a.header.append(b.plain, []byte(versionFile), len(content))
	if err != nil {
		a.Abort(err)
		return a
	}
	b.plain = pad(append(plain, content...), len(content))
	_, _ = a.member.put(b) // a fault of w comes back from the lanes and from Close
	return a
}

// Lane opens a lane. Each producing goroutine has its own: what it adds stays together, in blocks of its own.
func (w *Writer) Lane() *Lane {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.open++
	return &Lane{w: w}
}

// Abort ends the writing without a complete file: every call that waits or comes later returns err. It does not
// wait for a Write on the underlying writer that is under way.
func (w *Writer) Abort(err error) { w.member.abort(err) }

// Close ends the archive. All lanes must be closed.
func (w *Writer) Close() (Summary, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.closed {
		return Summary{}, fmt.Errorf("close archive: %w", errClosed)
	}
	w.closed = true
	if w.open > 0 {
		w.Abort(fail.Errorf(fail.Invalid, "%d lanes are open", w.open))
	}
	b := w.member.take()
	b.plain = append(b.plain, make([]byte, tarTrailer)...)
	_, _ = w.member.put(b) // a fault comes back from close
	if err := w.member.close(); err != nil {
		return Summary{}, fmt.Errorf("write archive: %w", err)
	}
	w.spans = w.member.spans
	return Summary{
		Items: w.catalog.count, Blocks: len(w.spans),
		Uncompressed: w.member.uncompressed, Size: w.member.offset,
	}, nil
}

// Lane is one goroutine's way into a Writer. It is not safe for concurrent use.
type Lane struct {
	w       *Writer
	block   *block    // open
	records []*record // of the open block
	path    []byte    // scratch
	closed  bool
}

// Add puts an item into the archive. After fail.Exists (the archive has this version of this object) and fail.Invalid
// (an item that the format cannot hold) the item is left out and the lane can go on; every other error is final.
func (l *Lane) Add(it Item) error {
	if err := l.add(it); err != nil {
		return fmt.Errorf("add %s to the archive: %w", it.Ref, err)
	}
	return nil
}

func (l *Lane) add(it Item) error {
	if l.closed {
		return errClosed
	}
	if len(it.Body) > MaxItem {
		return fail.Errorf(fail.Invalid, "%d bytes; at most %d can be written", len(it.Body), MaxItem)
	}
	r, k, err := l.w.remember(it)
	if err != nil {
		return err
	}
	if l.block == nil {
		l.block = l.w.member.take()
	}
	l.reserve(it)
	ns, name := it.Ref.Namespace, it.Ref.Name
	first := k.dir
	if it.Preferred {
		first = ""
	}
	l.path = appendPath(l.path[:0], k.gr, first, ns, name)
	if err := l.file(it.Body); err != nil {
		return err
	}
	r.hash = sha256.Sum256(it.Body)
	r.size = uint32(len(it.Body))
	r.offset = uint32(len(l.block.plain)) - uint32(len(it.Body)+(-len(it.Body)&(tarBlock-1)))
	l.records = append(l.records, r)
	if it.Preferred {
		l.path = appendPath(l.path[:0], k.gr, k.dir, ns, name)
		if err := l.file(it.Body); err != nil {
			return err
		}
	}
	if len(l.block.plain) < blockSize {
		return nil
	}
	return l.flush()
}

// reserve lets the open block grow at once to what a large item needs, and not by doubling.
func (l *Lane) reserve(it Item) {
	b, need := l.block, len(it.Body)+4*tarBlock
	if it.Preferred {
		need *= 2
	}
	if len(b.plain)+need > cap(b.plain) {
		b.plain = append(make([]byte, 0, len(b.plain)+need), b.plain...)
	}
}

// file appends one tar entry to the open block.
func (l *Lane) file(body []byte) error {
	plain, err := l.w.header.append(l.block.plain, l.path, len(body))
	if err != nil {
		l.w.Abort(err) // the catalog has the item already
		return err
	}
	l.block.plain = pad(append(plain, body...), len(body))
	return nil
}

func (l *Lane) flush() error {
	number, err := l.w.member.put(l.block)
	l.block = nil
	if err != nil {
		return err
	}
	for i, r := range l.records {
		r.block = uint32(number)
		l.records[i] = nil
	}
	l.records = l.records[:0]
	return nil
}

// Close hands over what the lane still holds.
func (l *Lane) Close() error {
	if l.closed {
		return nil
	}
	l.closed = true
	var err error
	if l.block != nil {
		err = l.flush()
	}
	l.w.mu.Lock()
	l.w.open--
	l.w.mu.Unlock()
	if err != nil {
		return fmt.Errorf("write archive: %w", err)
	}
	return nil
}

func (w *Writer) remember(it Item) (*record, *kind, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.closed {
		return nil, nil, errClosed
	}
	return w.catalog.add(it.Ref, kindKey{it.Ref.Group, it.Ref.Resource, it.Version, it.Kind, it.Preferred})
}
