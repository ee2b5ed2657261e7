// SPDX-License-Identifier: Apache-2.0

package transfer

import "fmt"

// A task is done when all that came before it are.
type task struct {
	entry  Entry // File: written; Hard: linked; Folder: left, gets its times
	batch  int
	offset int64 // of a File: bytes that are there
	parts  []string
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
