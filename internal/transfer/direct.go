// SPDX-License-Identifier: Apache-2.0

package transfer

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"sync"

	"hozon.dev/hozon/internal/vault"
)

// directFiles are written side by side when both ends are in this process.
const directFiles = 8

// direct is how files come when both ends are in this process: the sender begins them in the order in which they are wanted, several at a time, each
// reads from the tree and writes to its place; the receiver waits for them in the same order.
type direct struct {
	tree   vault.Tree
	root   folder
	owner  bool
	xattrs bool

	progress *Progress
	queue    chan *written // in the order of the wants
	slots    chan *cursor  // one for each that may run
	wg       sync.WaitGroup
}

// A written is a file that is being written.
type written struct {
	entry  Entry
	offset int64 // of the part that is there
	want   want

	done    chan struct{}
	bytes   int64
	kept    kept
	problem error // of this file
	err     error // of the run
}

func newDirect(tree vault.Tree, r *receiver, p *Progress) *direct {
	d := &direct{
		tree: tree, root: r.root, owner: r.owner, xattrs: r.xattrs, progress: p,
		queue: make(chan *written, 4*maxBatch), slots: make(chan *cursor, directFiles),
	}
	for range directFiles {
		d.slots <- &cursor{root: r.root}
	}
	return d
}

// end waits for what is running, and closes the folders.
func (d *direct) end() {
	d.wg.Wait()
	for range directFiles {
		(<-d.slots).cut(0)
	}
}

// begin begins a file as soon as there is a slot for it.
func (d *direct) begin(ctx context.Context, e *Entry, w want) error {
	x := &written{entry: *e, want: w, offset: int64(w.offset), done: make(chan struct{})}
	var at *cursor
	select {
	case at = <-d.slots:
	case <-ctx.Done():
		return context.Cause(ctx)
	}
	d.wg.Go(func() {
		defer func() { d.slots <- at }()
		defer close(x.done)
		err := d.write(ctx, at, x)
		if f := final(err); f != nil {
			x.err = fmt.Errorf("write %s: %w", printable(e.Path), f)
		} else if lost(err) {
			x.err = err
		} else {
			x.problem = err
		}
	})
	d.queue <- x
	return nil
}

// next waits for the file whose turn it is.
func (d *direct) next(ctx context.Context) (*written, error) {
	select {
	case x := <-d.queue:
		<-x.done
		return x, nil
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	}
}

// write writes a file beside its place and moves it there.
func (d *direct) write(ctx context.Context, at *cursor, x *written) error {
	in, name := split(x.entry.Path)
	f, err := at.at(in)
	if err != nil {
		return err
	}
	from, err := d.open(ctx, x)
	if err != nil {
		return err
	}
	defer from.close()
	out := &output{in: f, part: partName(&x.entry)}
	if err = out.begin(x.offset > 0); err == nil && x.offset > 0 {
		err = d.resume(ctx, from, out, x)
	}
	if err == nil {
		err = d.copy(ctx, from, out, x)
	}
	if err == nil {
		x.kept, err = out.finish(&x.entry, int64(x.entry.Size), d.owner, d.xattrs)
	}
	if err == nil {
		err = out.in.rename(out.part, name)
	}
	if err != nil && ctx.Err() == nil {
		out.drop()
	} else {
		out.close()
	}
	return err
}

// open reads large files ahead of what is written; small ones are read at once.
func (d *direct) open(ctx context.Context, x *written) (content, error) {
	if x.entry.Size <= aheadPiece || x.offset > 0 {
		f, err := d.tree.Open(ctx, x.entry.node)
		return storedFile{f}, err
	}
	own, stop := context.WithCancel(ctx)
	s := &stream{node: x.entry.node, pieces: make(chan piece, 2), stop: stop}
	go s.run(own, d.tree)
	return s.open(ctx)
}

// resume goes on from the part that is there, if it is the beginning of the file.
func (d *direct) resume(ctx context.Context, from content, out *output, x *written) error {
	buf := directBuffers.Get().(*[]byte)
	defer directBuffers.Put(buf)
	if same, err := samePart(ctx, from, x.want, *buf); !same {
		x.offset = 0
		return errors.Join(err, out.file.Truncate(0))
	}
	d.progress.pass(x.offset)
	return nil
}

var directBuffers = sync.Pool{New: func() any { b := make([]byte, aheadPiece); return &b }}

func (d *direct) copy(ctx context.Context, from content, out *output, x *written) error {
	buf := directBuffers.Get().(*[]byte)
	defer directBuffers.Put(buf)
	size := int64(x.entry.Size)
	for out.at = x.offset; out.at < size; {
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		n, err := from.readAt(ctx, (*buf)[:min(int64(len(*buf)), size-out.at)], out.at)
		moved, e := d.place(out, (*buf)[:n])
		if x.bytes += moved; e != nil {
			return e
		}
		if errors.Is(err, io.EOF) && out.at == size {
			return nil
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// zeroStretch is the least run of zeros that becomes a hole.
const zeroStretch = 64 << 10

// place writes bytes, but for runs of zeros, and returns how many it wrote.
func (d *direct) place(out *output, b []byte) (moved int64, err error) {
	for len(b) > 0 {
		n := min(len(b), zeroStretch)
		if zero(b[:n]) {
			out.at += int64(n)
			out.hole = true
			d.progress.pass(int64(n))
			b = b[n:]
			continue
		}
		for n < len(b) && !zero(b[n:min(len(b), n+zeroStretch)]) {
			n = min(len(b), n+zeroStretch)
		}
		if _, err := out.file.WriteAt(b[:n], out.at); err != nil {
			return moved, err
		}
		out.at += int64(n)
		out.hole = false
		moved += int64(n)
		d.progress.move(int64(n))
		b = b[n:]
	}
	return moved, nil
}

// drain waits for the files of batches up to one.
func (r *receiver) drain(ctx context.Context, batch int) error {
	for len(r.tasks) > 0 && r.tasks[0].batch <= batch {
		if r.tasks[0].entry.Type != File {
			if err := r.advance(); err != nil {
				return err
			}
			continue
		}
		x, err := r.direct.next(ctx)
		if err != nil {
			return err
		}
		if x.err != nil {
			return x.err
		}
		if x.entry.Path != r.tasks[0].entry.Path {
			return corrupt("%q comes instead of %q", x.entry.Path, r.tasks[0].entry.Path)
		}
		r.tasks = r.tasks[1:]
		r.stats.Bytes += x.bytes
		r.keptOf(x.entry.Path, x.kept)
		if x.problem != nil {
			r.stats.add(Problem{Path: x.entry.Path, Text: x.problem.Error()})
			continue
		}
		r.stats.Sent++
	}
	return r.advance()
}

// kept says what the file system made of a file's owner and mode.
type kept struct {
	unowned bool // there was no right to set the owner
	dropped bool // what was set is not there
	bare    bool // there is no place for its attributes
}

func (r *receiver) keptOf(path string, k kept) {
	if k.unowned {
		r.stats.Unowned = true
	}
	if k.dropped {
		if r.stats.Dropped++; r.stats.FirstDropped == "" {
			r.stats.FirstDropped = printable(path)
		}
	}
	if k.bare {
		if r.stats.Bare++; r.stats.FirstBare == "" {
			r.stats.FirstBare = printable(path)
		}
	}
}

// refused reports whether a file system, or the right to it, has no place for what was to be set: a warning, not the loss of the file.
func refused(err error) bool {
	return errors.Is(err, os.ErrPermission) || errors.Is(err, errors.ErrUnsupported)
}

func (o *output) close() {
	if o.file != nil {
		o.file.Close()
		o.file = nil
	}
}

// drop gives the file up.
func (o *output) drop() {
	o.close()
	if o.in.fd != none {
		_ = o.in.unlink(o.part)
	}
}

// begin makes the file, or opens the part of it that is there.
func (o *output) begin(goOn bool) (err error) {
	o.file, err = o.in.createFile(o.part, goOn)
	if errors.Is(err, os.ErrExist) {
		_ = o.in.unlink(o.part)
		o.file, err = o.in.createFile(o.part, false)
	}
	return err
}

// finish gives a file that has all of its bytes what else it shall have.
func (o *output) finish(e *Entry, size int64, owner, xattrs bool) (k kept, err error) {
	if o.at != size || o.hole { // it ends with a hole
		if err := o.file.Truncate(size); err != nil {
			return k, err
		}
	}
	mode := e.Mode
	if owner {
		err := chownFile(o.file, e)
		if k.unowned = refused(err); err != nil && !k.unowned {
			return k, err
		}
	} else if int(e.UID) != os.Geteuid() {
		k.unowned = true
	}
	if !owner || k.unowned {
		mode &^= 0o6000 // setuid is for the owner, who is another one here
	}
	set := *e
	set.Mode = mode
	err = chmodFile(o.file, &set)
	if k.dropped = refused(err); err != nil && !k.dropped {
		return k, err
	}
	if xattrs {
		if k.bare, err = o.attribute(e); err != nil {
			return k, err
		}
	}
	k.dropped = k.dropped || owner && !k.unowned && !keptFile(o.file, &set)
	if err := o.file.Close(); err != nil {
		return k, err
	}
	o.file = nil
	return k, o.in.setTimes(o.part, e)
}

// attribute gives a file its attributes, and takes away what it has from its folder: a default ACL is for files that are made there, not for those that come back.
func (o *output) attribute(e *Entry) (bare bool, err error) {
	have, err := o.in.xattrs(o.part)
	if err != nil || len(have)+len(e.Xattr) == 0 {
		return false, err
	}
	err = o.in.setXattrs(o.part, have, e.Xattr)
	if errors.Is(err, errors.ErrUnsupported) {
		return true, nil
	}
	return false, err
}
