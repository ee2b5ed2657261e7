// SPDX-License-Identifier: Apache-2.0

package transfer

import (
	"errors"
	"fmt"
	"os"
)

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
