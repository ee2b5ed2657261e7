// SPDX-License-Identifier: Apache-2.0

package transfer

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"os"
	"time"

	"hozon.dev/hozon/internal/fail"
)

// A sender walks a tree and sends what the receiver wants of it.
type sender struct {
	link     *link
	source   source
	only     string // if not empty, just this name of the root
	filter   Filter
	devices  bool
	progress *Progress
	sockets  bool    // are sent: the tree holds them, they are nobody's
	direct   *direct // how files go when the receiver is in this process; nil: as bytes

	linked map[inode]string // first path of each file with several names
	batch  []Entry
	bytes  int
	before []Entry // the batch whose wants are awaited
	began  bool
	buf    []byte
	wants  chan []byte
	ended  chan error // of the receiving goroutine; nil after stats
	stats  Stats
}

// run returns what the receiver says about the whole.
func (s *sender) run(ctx context.Context) (Stats, error) {
	s.linked = map[inode]string{}
	s.wants, s.ended, s.buf = make(chan []byte, 4), make(chan error, 1), make([]byte, dataChunk)
	go s.listen()
	err := s.walkRoot(ctx)
	if err == nil {
		err = s.flushBatch(ctx, true)
	}
	if err == nil {
		err = s.answer(ctx)
	}
	if err == nil {
		err = errors.Join(s.link.send(frameFinal), s.link.flush())
	}
	return s.end(ctx, err)
}

// lastWord is how long a sender whose connection broke waits for the reason.
const lastWord = 2 * time.Second

// end waits for the receiver's last word. When it has said why it gave up, that is the error, not the pipe that broke.
func (s *sender) end(ctx context.Context, err error) (Stats, error) {
	if err != nil && !errors.Is(err, ErrBroken) {
		return Stats{}, err
	}
	var patience <-chan time.Time // nil, for ever, while nothing is wrong
	if err != nil {
		patience = time.After(lastWord)
	}
	select {
	case <-ctx.Done():
		return Stats{}, errors.Join(context.Cause(ctx), err)
	case <-patience:
		return Stats{}, err
	case last := <-s.ended:
		if last != nil {
			return Stats{}, last
		}
		return s.stats, err
	}
}

// listen receives until the receiver is done.
func (s *sender) listen() {
	defer close(s.wants)
	for {
		kind, payload, err := s.link.receive()
		if err != nil {
			s.ended <- err
			return
		}
		switch kind {
		case frameWant:
			select {
			case s.wants <- bytes.Clone(payload):
			default:
				s.ended <- corrupt("it wants files that were not offered")
				return
			}
		case frameDone:
			s.ended <- decodeStats(payload, &s.stats)
			return
		default:
			s.ended <- corrupt("a message %q that a receiver does not send", kind)
			return
		}
	}
}

func (s *sender) walkRoot(ctx context.Context) error {
	root := s.source.root()
	e, err := root.stat(ctx, ".")
	if err != nil {
		return fmt.Errorf("read the folder: %w", err)
	}
	names := []string{s.only}
	if s.only == "" {
		if names, err = root.names(ctx); err != nil {
			return fmt.Errorf("list the folder: %w", err)
		}
		if err := s.add(ctx, e); err != nil {
			return err
		}
	}
	return s.walk(ctx, root, "", names)
}

// walk adds the entries of a folder and what is below.
func (s *sender) walk(ctx context.Context, f place, dir string, names []string) error {
	for _, name := range names {
		path := join(dir, name)
		e, err := f.stat(ctx, name)
		if err != nil {
			if !gone(err) {
				if err := s.problem(path, err); err != nil {
					return err
				}
			}
			continue
		}
		e.Path = path
		if s.filter.drops(path, e.Type == Folder) {
			continue
		}
		if err := s.visit(ctx, f, name, e); err != nil {
			return err
		}
	}
	return nil
}

func (s *sender) visit(ctx context.Context, f place, name string, e Entry) error {
	switch {
	case !validPath(e.Path):
		return s.problem(e.Path, errors.New("too deep or too long a path"))
	case e.Type == Socket && !s.sockets:
		return s.problem(e.Path, errors.New("a socket is not copied"))
	case e.Type == Device && !s.devices:
		return s.problem(e.Path, errors.New("a device is not copied without --devices"))
	case e.Type == Folder:
		return s.visitFolder(ctx, f, name, e)
	case e.links > 1:
		if first, ok := s.linked[e.key]; ok && e.Type == File {
			return s.add(ctx, Entry{Path: e.Path, Type: Hard, Link: first})
		}
		s.linked[e.key] = e.Path
	}
	return s.add(ctx, e)
}

func (s *sender) visitFolder(ctx context.Context, f place, name string, e Entry) error {
	below, err := f.enter(ctx, name)
	if gone(err) {
		return nil
	}
	var names []string
	if err == nil {
		defer below.close()
		names, err = below.names(ctx)
	}
	if lost(err) {
		return err
	}
	if err != nil {
		e.Partial = true
		if err := s.problem(e.Path, err); err != nil {
			return err
		}
	}
	if err := s.add(ctx, e); err != nil {
		return err
	}
	return s.walk(ctx, below, e.Path, names)
}

// lost is for a store that cannot be reached any more: it is not the fault of one name.
func lost(err error) bool {
	return fail.Is(err, fail.Transient) || fail.Is(err, fail.Denied) || fail.Is(err, fail.Busy) || errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded)
}

// gone is for what was deleted while it was walked to.
func gone(err error) bool { return errors.Is(err, os.ErrNotExist) }

func (s *sender) problem(path string, err error) error {
	return sendProblem(s.link, Problem{Path: path, Text: err.Error()})
}

func (s *sender) add(ctx context.Context, e Entry) error {
	s.batch = append(s.batch, e)
	s.bytes += 64 + len(e.Path) + len(e.Link)
	for _, x := range e.Xattr {
		s.bytes += len(x.Name) + len(x.Value)
	}
	if len(s.batch) < maxBatch && s.bytes < maxBatchBytes {
		return nil
	}
	return s.flushBatch(ctx, false)
}

// flushBatch sends the entries, and then what is wanted of those before.
func (s *sender) flushBatch(ctx context.Context, last bool) error {
	if len(s.batch) == 0 && !last {
		return nil
	}
	b := make([]byte, 0, s.bytes+s.bytes/2)
	for i := range s.batch {
		b = s.batch[i].append(b)
	}
	if err := errors.Join(s.link.send(frameBatch, b), s.link.flush()); err != nil {
		return err
	}
	if s.began {
		if err := s.answer(ctx); err != nil {
			return err
		}
	}
	s.began = true
	s.before, s.batch, s.bytes = s.batch, make([]Entry, 0, cap(s.before)), 0
	return nil
}

// answer sends the files that the receiver wants of the batch before.
func (s *sender) answer(ctx context.Context) error {
	var payload []byte
	select {
	case <-ctx.Done():
		return context.Cause(ctx)
	case p, ok := <-s.wants:
		if !ok {
			return ErrBroken // end finds why
		}
		payload = p
	}
	wants, err := decodeWants(payload, s.before)
	if err != nil {
		return err
	}
	next := 0
	for _, w := range wants {
		s.passed(s.before[next:w.index])
		next = w.index + 1
		if err := s.sendFile(ctx, &s.before[w.index], w); err != nil {
			return err
		}
	}
	s.passed(s.before[next:])
	return s.link.flush()
}

// passed counts what the receiver has.
func (s *sender) passed(entries []Entry) {
	for i := range entries {
		s.progress.pass(int64(entries[i].Size))
	}
}

func (s *sender) sendFile(ctx context.Context, e *Entry, w want) error {
	if err := ctx.Err(); err != nil {
		return context.Cause(ctx)
	}
	if s.direct != nil {
		return s.direct.begin(ctx, e, w)
	}
	file, err := s.source.openFile(ctx, e)
	if lost(err) {
		return err
	}
	if err != nil {
		return s.link.send(frameMissing, []byte(err.Error()))
	}
	defer file.close()
	if w.offset > 0 {
		if same, _ := samePart(ctx, file, w, s.buf); !same { // what cannot be read is met again
			w.offset = 0
			if err := s.link.send(frameRestart); err != nil {
				return err
			}
		}
	}
	size, err := s.sendData(ctx, file, e, int64(w.offset))
	if u := (unreadable{}); errors.As(err, &u) {
		return s.link.send(frameMissing, []byte(u.Error()))
	}
	if err != nil {
		return err
	}
	if size != int64(e.Size) || file.changed(e) {
		if err := s.problem(e.Path, errors.New("it changed while it was copied: what was copied may never have been its content")); err != nil {
			return err
		}
	}
	return s.link.send(frameEnd, binary.AppendUvarint(nil, uint64(size)))
}

// unreadable is an error of reading one file.
type unreadable struct{ error }

// samePart reports whether the receiver's part of a file is the beginning of it.
func samePart(ctx context.Context, file content, w want, buf []byte) (bool, error) {
	h := sha256.New()
	for at := int64(0); at < int64(w.offset); {
		n, err := file.readAt(ctx, buf[:min(int64(len(buf)), int64(w.offset)-at)], at)
		h.Write(buf[:n])
		if at += int64(n); err != nil && at < int64(w.offset) {
			return false, err
		}
	}
	return [sha256.Size]byte(h.Sum(nil)) == w.hash, nil
}

// sendData sends the bytes from an offset to the size in e, without holes, and returns where the file ended.
func (s *sender) sendData(ctx context.Context, file content, e *Entry, at int64) (int64, error) {
	size := int64(e.Size)
	for at < size {
		end := size
		if e.holes {
			at, end = file.nextData(at, size)
		}
		for at < end {
			if err := ctx.Err(); err != nil {
				return at, context.Cause(ctx)
			}
			n, err := file.readAt(ctx, s.buf[:min(int64(len(s.buf)), end-at)], at)
			if n > 0 && file.sparse() && zero(s.buf[:n]) {
				at += int64(n)
				s.progress.pass(int64(n))
			} else if n > 0 {
				if err := s.link.send(frameData, binary.AppendUvarint(nil, uint64(at)), s.buf[:n]); err != nil {
					return at, err
				}
				at += int64(n)
				s.progress.move(int64(n))
			}
			if errors.Is(err, io.EOF) {
				return at, nil
			}
			if lost(err) {
				return at, err
			}
			if err != nil {
				return at, unreadable{err}
			}
		}
	}
	return size, nil
}

// zero reports whether there are only zeros.
func zero(b []byte) bool { return len(b) == 0 || b[0] == 0 && bytes.Equal(b[:len(b)-1], b[1:]) }
