// SPDX-License-Identifier: Apache-2.0

package transfer

import (
	"context"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
)

// A receiver makes its tree equal to the sender's.
type receiver struct {
	link     *link
	root     folder
	filter   Filter
	delete   bool
	dryRun   bool
	devices  bool
	owner    bool // owners can be set
	xattrs   bool
	keepRoot bool // the root's own mode, owner and time stay as they are
	progress *Progress
	direct   *direct // how files come when the sender is in this process; nil: as bytes

	stack   []*level // folders from the root to the one whose names are coming
	tasks   []task   // what waits for bytes, or for those before it
	batch   int      // number of the last one
	files   cursor
	current *output // the file whose bytes are coming; nil between two
	answers chan []byte
	stats   Stats
}

// A level is an open folder of the walk.
type level struct {
	entry   Entry
	at      folder   // none: not there (dry run), or skipped
	skipped bool     // it could not be made: nothing below it can
	fresh   bool     // made by us: nothing is in it
	virtual bool     // the root when only one name of it comes: it is left as it is
	local   []string // names that are there and whose turn has not come
	last    string   // name that came last
}

// partPrefix marks files that are being written; see partName.
const partPrefix = ".hozon-part-"

// run receives until the sender has finished.
func (r *receiver) run(ctx context.Context) (Stats, error) {
	r.files.root = r.root
	r.answers = make(chan []byte, 4)
	defer r.files.cut(0)
	defer r.closeCurrent()
	defer func() {
		for _, l := range r.stack {
			r.close(l)
		}
	}()
	broke := make(chan error, 1)
	go func() { broke <- r.sendAnswers() }()
	err := r.receive(ctx)
	close(r.answers)
	if e := <-broke; err == nil {
		err = e
	}
	if err != nil {
		return r.stats, err
	}
	r.stats.Confirmed = true
	return r.stats, r.link.sendJSON(frameDone, r.stats)
}

// sendAnswers keeps the receiver reading while an answer waits to be taken.
func (r *receiver) sendAnswers() error {
	var err error
	for a := range r.answers {
		if err == nil {
			err = errors.Join(r.link.send(frameWant, a), r.link.flush())
		}
	}
	return err
}

func (r *receiver) receive(ctx context.Context) error {
	for {
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		kind, payload, err := r.link.receive()
		if err != nil {
			return err
		}
		switch kind {
		case frameBatch:
			err = r.takeBatch(ctx, payload)
		case frameData, frameRestart, frameEnd, frameMissing:
			err = r.takeFile(kind, payload)
		case frameProblem:
			var p Problem
			if err = json.Unmarshal(payload, &p); err == nil {
				r.stats.add(p)
			}
		case frameTotal:
			d := &decoder{b: payload}
			r.progress.total(int64(d.uint(1<<62)), int64(d.uint(1<<62)))
		case frameFinal:
			return r.finish(ctx)
		default:
			return corrupt("a message %q that a sender does not send", kind)
		}
		if err != nil {
			return err
		}
	}
}

func (r *receiver) finish(ctx context.Context) error {
	for len(r.stack) > 0 {
		if err := r.leave(); err != nil {
			return err
		}
	}
	if r.direct != nil {
		if err := r.drain(ctx, r.batch); err != nil {
			return err
		}
	}
	if err := r.advance(); err != nil {
		return err
	}
	if len(r.tasks) > 0 {
		return corrupt("it ends without the bytes of %q", r.tasks[0].entry.Path)
	}
	return nil
}

func (r *receiver) takeBatch(ctx context.Context, payload []byte) error {
	entries, err := decodeBatch(payload)
	if err != nil {
		return err
	}
	r.batch++
	if r.direct != nil {
		if err := r.drain(ctx, r.batch-2); err != nil {
			return err
		}
	}
	if len(r.tasks) > 0 && r.tasks[0].batch < r.batch-1 {
		return corrupt("it goes on without the bytes of %q", r.tasks[0].entry.Path)
	}
	var answer []byte
	for i := range entries {
		before := len(r.tasks)
		if err := r.take(&entries[i]); err != nil {
			return err
		}
		for _, t := range r.tasks[before:] {
			if t.entry.Type == File {
				w, err := r.want(i, t)
				if err != nil {
					return err
				}
				answer = appendWant(answer, w)
			}
		}
	}
	select {
	case r.answers <- answer:
	default:
		return corrupt("it does not wait for answers")
	}
	return r.advance()
}

// take compares an entry with what is there.
func (r *receiver) take(e *Entry) error {
	r.adapt(e)
	if e.Path == "" {
		if len(r.stack) > 0 {
			return corrupt("a second root")
		}
		r.stats.Folders++
		return r.enter(&level{entry: *e, at: r.root})
	}
	if len(r.stack) == 0 {
		if err := r.enter(&level{at: r.root, virtual: true}); err != nil {
			return err
		}
	}
	dir, name := split(e.Path)
	for r.top().entry.Path != dir {
		if err := r.leave(); err != nil {
			return err
		}
		if len(r.stack) == 0 {
			return corrupt("%q comes without its folder", e.Path)
		}
	}
	l := r.top()
	if name <= l.last {
		return corrupt("%q comes after %q", e.Path, l.last)
	}
	l.last = name
	if err := r.pass(l, name); err != nil {
		return err
	}
	if e.Type == Folder {
		r.stats.Folders++
		return r.takeFolder(l, name, e)
	}
	r.stats.Files++
	if l.skipped {
		return nil
	}
	return r.concern(e.Path, r.takeName(l, name, e))
}

// adapt changes an entry to what can be had here.
func (r *receiver) adapt(e *Entry) {
	if !r.owner && (e.Type == File || e.Type == Folder) {
		e.Mode &^= 0o6000 // setuid is for the owner, who is another one here
	}
	if e.Type == Hard {
		e.Mode = 0
	}
}

func (r *receiver) top() *level { return r.stack[len(r.stack)-1] }

// concern makes an error a Problem of a name, unless nothing can be done after it.
func (r *receiver) concern(path string, err error) error {
	if err == nil || errors.Is(err, ErrBroken) {
		return err
	}
	if f := final(err); f != nil {
		return fmt.Errorf("write %s: %w", printable(path), f)
	}
	r.stats.add(Problem{Path: path, Text: err.Error()})
	return nil
}

// enter pushes a folder whose names come next.
func (r *receiver) enter(l *level) error {
	r.stack = append(r.stack, l)
	if l.at.fd == none || l.virtual || l.fresh {
		return nil
	}
	names, err := l.at.names()
	l.local = names
	return r.concern(l.entry.Path, err)
}

// pass deals with local names before the one whose turn it is.
func (r *receiver) pass(l *level, name string) error {
	for len(l.local) > 0 && (name == "" || l.local[0] <= name) {
		if l.local[0] != name {
			if err := r.extra(l, l.local[0]); err != nil {
				return err
			}
		}
		l.local = l.local[1:]
	}
	return nil
}

// extra deletes a local name that the sender does not have.
func (r *receiver) extra(l *level, name string) error {
	if !r.delete || l.virtual || l.entry.Partial || strings.HasPrefix(name, partPrefix) {
		return nil
	}
	path := join(l.entry.Path, name)
	have, err := l.at.stat(name, false)
	if err != nil || r.filter.drops(path, have.Type == Folder) {
		return nil
	}
	if have.Type == Folder && len(r.filter.Include)+len(r.filter.Exclude) > 0 {
		return nil // something below it may not be meant
	}
	if r.dryRun {
		r.stats.Deleted++
		r.stats.would("delete", path)
		return nil
	}
	n, err := l.at.removeAll(name)
	r.stats.Deleted += int64(n)
	return r.concern(path, err)
}

// leave pops a folder; its own times wait until the files in it are whole.
func (r *receiver) leave() error {
	l := r.top()
	var parts []string
	for _, name := range l.local {
		if strings.HasPrefix(name, partPrefix) {
			parts = append(parts, name)
		}
	}
	if err := r.pass(l, ""); err != nil {
		return err
	}
	r.stack = r.stack[:len(r.stack)-1]
	if l.at.fd != none && !l.virtual && !r.dryRun {
		r.tasks = append(r.tasks, task{entry: l.entry, batch: r.batch, parts: parts})
	}
	r.close(l)
	return nil
}

func (r *receiver) close(l *level) {
	if l.at != r.root {
		l.at.close()
	}
}

func decodeOffset(payload []byte) (int64, []byte, error) {
	n, size := binary.Uvarint(payload)
	if size <= 0 || n > 1<<62 {
		return 0, nil, corrupt("bytes without an offset")
	}
	return int64(n), payload[size:], nil
}
