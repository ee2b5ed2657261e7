// SPDX-License-Identifier: Apache-2.0

package transfer

import (
	"context"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"slices"
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

// A task is done when all that came before it are.
type task struct {
	entry  Entry // File: written; Hard: linked; Folder: left, gets its times
	batch  int
	offset int64 // of a File: bytes that are there
	parts  []string
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

// takeFolder makes the folder, or finds it.
func (r *receiver) takeFolder(l *level, name string, e *Entry) error {
	next := &level{entry: *e, at: folder{none}, skipped: l.skipped}
	if l.skipped || l.at.fd == none {
		r.would(l, "make", e)
		return r.enter(next)
	}
	have, err := l.at.stat(name, r.xattrs)
	if err == nil && have.Type == Folder {
		next.at, err = l.at.open(name)
		if errors.Is(err, os.ErrPermission) && l.at.chmod(name, 0o700) == nil {
			next.at, err = l.at.open(name)
		}
		if err == nil && r.differs(&have, e, false) {
			r.stats.Changed++
			r.would(l, "change", e)
		}
	} else {
		r.stats.Changed++
		r.would(l, "make", e)
		if r.dryRun {
			return r.enter(next)
		}
		next.at, err = newFolder(l.at, name, err == nil)
		next.fresh = true
	}
	if err != nil {
		next.skipped = true
		if err := r.concern(e.Path, fmt.Errorf("%w; nothing below it was copied", err)); err != nil {
			return err
		}
	}
	return r.enter(next)
}

// newFolder makes a folder in the place of something else, if that is there.
func newFolder(in folder, name string, exists bool) (folder, error) {
	if exists {
		if err := in.unlink(name); err != nil {
			return folder{none}, err
		}
	}
	if err := in.mkdir(name); err != nil {
		return folder{none}, err
	}
	return in.open(name)
}

func (r *receiver) would(l *level, what string, e *Entry) {
	if r.dryRun && !l.skipped {
		r.stats.would(what, e.Path)
	}
}

// takeName deals with everything but folders.
func (r *receiver) takeName(l *level, name string, e *Entry) error {
	have, err := Entry{}, error(os.ErrNotExist)
	if l.at.fd != none && !l.fresh {
		have, err = l.at.stat(name, r.xattrs)
	}
	exists := err == nil
	if exists && have.Type == Folder {
		if !r.delete {
			return errors.New("a folder is in its place; --delete removes it")
		}
		if !r.dryRun {
			n, err := l.at.removeAll(name)
			if r.stats.Deleted += int64(n); err != nil {
				return err
			}
		}
		exists = false
	}
	switch {
	case e.Type == Hard:
		if !r.dryRun {
			r.tasks = append(r.tasks, task{entry: *e, batch: r.batch})
		}
		return nil
	case e.Type == Device && !r.devices:
		return errors.New("a device is not made without --devices")
	case exists && sameContent(&have, e):
		r.progress.pass(int64(e.Size))
		if !r.differs(&have, e, true) {
			return nil
		}
		r.stats.Changed++
		r.would(l, "change", e)
		if r.dryRun {
			return nil
		}
		return r.apply(l.at, name, &have, e)
	case r.dryRun && e.Type == File:
		r.stats.Sent, r.stats.Bytes = r.stats.Sent+1, r.stats.Bytes+int64(e.Size)
		r.would(l, "send", e)
		return nil
	case r.dryRun:
		r.stats.Changed++
		r.would(l, "make", e)
		return nil
	case e.Type == File:
		r.tasks = append(r.tasks, task{entry: *e, batch: r.batch})
		return nil
	}
	r.stats.Changed++
	return r.makeSpecial(l.at, name, e)
}

// sameContent reports whether what is there has, by all signs, the bytes, target or number that it shall have.
func sameContent(have, e *Entry) bool {
	if have.Type != e.Type {
		return false
	}
	switch e.Type {
	case File:
		return have.Size == e.Size && have.Sec == e.Sec && have.Nsec == e.Nsec
	case Symlink:
		return have.Link == e.Link
	case Device:
		return have.Dev == e.Dev && have.Mode&^permMask == e.Mode&^permMask
	}
	return true
}

// differs reports whether metadata are to be set right.
func (r *receiver) differs(have, e *Entry, times bool) bool {
	return r.owner && (have.UID != e.UID || have.GID != e.GID) ||
		e.Type != Symlink && have.Mode&permMask != e.Mode&permMask ||
		r.xattrs && e.Type != Symlink && !sameXattr(have.Xattr, e.Xattr) ||
		times && (have.Sec != e.Sec || have.Nsec != e.Nsec)
}

// apply sets what differs, the times last.
func (r *receiver) apply(f folder, name string, have, e *Entry) error {
	if r.owner && (have.UID != e.UID || have.GID != e.GID) {
		if err := r.chowned(f.chown(name, e.UID, e.GID)); err != nil {
			return err
		}
		have.Mode = ^e.Mode // it may have lost setuid
		have.Xattr = slices.DeleteFunc(have.Xattr, func(x Xattr) bool { return x.Name == "security.capability" })
	}
	if !r.owner && have.UID != e.UID {
		r.stats.Unowned = true
	}
	if e.Type != Symlink {
		if have.Mode&permMask != e.Mode&permMask {
			if err := f.chmod(name, e.Mode); err != nil && !refused(err) {
				return err
			}
		}
		if r.xattrs {
			err := f.setXattrs(name, have.Xattr, e.Xattr)
			if r.keptOf(e.Path, kept{bare: errors.Is(err, errors.ErrUnsupported)}); err != nil && !errors.Is(err, errors.ErrUnsupported) {
				return err
			}
		}
	}
	now, err := f.stat(name, false)
	r.keptOf(e.Path, kept{dropped: err == nil && r.differs(&Entry{Type: e.Type, Mode: now.Mode, UID: now.UID, GID: now.GID, Xattr: e.Xattr}, e, false)})
	return f.setTimes(name, e)
}

// chowned gives up on owners when this process has no right to set them.
func (r *receiver) chowned(err error) error {
	if refused(err) {
		r.owner, r.stats.Unowned = false, true
		return nil
	}
	return err
}

// makeSpecial makes a link, pipe or device beside its place and moves it there.
func (r *receiver) makeSpecial(f folder, name string, e *Entry) error {
	part := partName(e)
	err := f.make(part, e)
	if errors.Is(err, os.ErrExist) {
		_ = f.unlink(part)
		err = f.make(part, e)
	}
	if err != nil {
		return err
	}
	have, err := f.stat(part, r.xattrs && e.Type != Symlink)
	if err == nil {
		err = r.apply(f, part, &have, e)
	}
	if err == nil {
		err = f.rename(part, name)
	}
	if err != nil {
		_ = f.unlink(part)
	}
	return err
}

// advance does the tasks that need no bytes, up to the next one that does.
func (r *receiver) advance() error {
	for len(r.tasks) > 0 && r.tasks[0].entry.Type != File {
		t := r.tasks[0]
		r.tasks = r.tasks[1:]
		var err error
		if t.entry.Type == Hard {
			err = r.hardLink(&t.entry)
		} else {
			err = r.settle(&t)
		}
		if err := r.concern(t.entry.Path, err); err != nil {
			return err
		}
	}
	if len(r.tasks) == 0 {
		r.tasks = nil
	}
	return nil
}

// settle gives a folder its metadata, when nothing more will be put into it.
func (r *receiver) settle(t *task) error {
	f, err := r.files.at(t.entry.Path)
	if err != nil {
		return err
	}
	for _, part := range t.parts {
		_ = f.unlink(part) // of a file that has changed since, or is whole now
	}
	if t.entry.Path == "" && r.keepRoot {
		return nil
	}
	have, err := f.stat(".", r.xattrs)
	if err != nil || !r.differs(&have, &t.entry, true) {
		return err
	}
	return r.apply(f, ".", &have, &t.entry)
}

// hardLink makes a further name of a file that is there.
func (r *receiver) hardLink(e *Entry) error {
	dir, name := split(e.Link)
	at, err := r.files.at(dir)
	if err != nil {
		return err
	}
	first, err := at.stat(name, false)
	if err != nil {
		return fmt.Errorf("link to %s: %w", printable(e.Link), err)
	}
	if first.Type != File {
		return fmt.Errorf("link to %s, which is no file", printable(e.Link))
	}
	from := cursor{root: r.root}
	defer from.cut(0)
	if at, err = from.at(dir); err != nil {
		return err
	}
	toDir, toName := split(e.Path)
	to, err := r.files.at(toDir)
	if err != nil {
		return err
	}
	if have, err := to.stat(toName, false); err == nil && have.key == first.key {
		return nil
	}
	part := partName(e)
	_ = to.unlink(part)
	if err := at.link(name, to, part); err != nil {
		return err
	}
	r.stats.Changed++
	return to.rename(part, toName)
}

func decodeOffset(payload []byte) (int64, []byte, error) {
	n, size := binary.Uvarint(payload)
	if size <= 0 || n > 1<<62 {
		return 0, nil, corrupt("bytes without an offset")
	}
	return int64(n), payload[size:], nil
}
