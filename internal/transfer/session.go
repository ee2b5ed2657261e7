// SPDX-License-Identifier: Apache-2.0

package transfer

import (
	"context"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"syscall"

	"hozon.dev/hozon/internal/fail"
)

// version of the protocol. Both ends must have the same: they come from the same program.
const version = 1

// Options say how a tree is copied. The zero value takes all of it, deletes nothing, and keeps owners where it may.
type Options struct {
	Filter
	Delete  bool // what the sender does not have
	DryRun  bool // say what would be done
	Devices bool // also devices
	NoOwner bool // what is made belongs to whoever makes it
}

// Request is what the client wants.
type Request struct {
	Push  bool   // from this machine, else to it
	Local string // a folder of this machine; of a push also a file
	Path  string // on the other end, absolute
	Options
}

// hello is the first message of the client; an empty one is the answer.
type hello struct {
	Version int
	Push    bool
	Path    []byte
	Totals  bool // of Progress
	Options
}

// Client carries out a request over a connection whose other end is served by Serve. p may be nil.
func Client(ctx context.Context, in io.Reader, out io.Writer, req Request, p *Progress) (Stats, error) {
	if err := req.Check(); err != nil {
		return Stats{}, err
	}
	local, err := openLocal(req)
	if err != nil {
		return Stats{}, err
	}
	defer local.close()
	l := newLink(in, out)
	stop := make(chan struct{})
	defer close(stop)
	h := hello{Version: version, Push: req.Push, Path: []byte(req.Path), Totals: p != nil && p.Totals, Options: req.Options}
	if err := l.sendJSON(frameHello, h); err != nil {
		return Stats{}, err
	}
	kind, payload, err := l.receive()
	if err != nil {
		return Stats{}, err
	}
	var answer hello
	if kind != frameHello || json.Unmarshal(payload, &answer) != nil {
		return Stats{}, corrupt("it begins with %q", kind)
	}
	if answer.Version != version {
		return Stats{}, fail.Errorf(fail.Unsupported, "the helper speaks version %d of the protocol, this program %d: name an image of this version with --helper-image", answer.Version, version)
	}
	go l.keepAlive(stop)
	stats, err := h.run(ctx, l, local, req.Push, p)
	if err != nil {
		l.sendFatal(err)
	}
	return stats, err
}

// Serve is the other end: it carries out what a client asks for, once, in the file system that begins at root. An error is told to
// the client, too.
func Serve(ctx context.Context, in io.Reader, out io.Writer, root string) error {
	l := newLink(in, out)
	kind, payload, err := l.receive()
	if err != nil {
		return err
	}
	var h hello
	if err := json.Unmarshal(payload, &h); err != nil || kind != frameHello {
		return fail.Errorf(fail.Invalid, "this is no client of Hozon")
	}
	if h.Version != version {
		return l.sendJSON(frameHello, hello{Version: version})
	}
	err = h.serve(ctx, l, root)
	if err != nil {
		l.sendFatal(err)
	}
	return err
}

func (h *hello) serve(ctx context.Context, l *link, root string) error {
	t, err := h.openServed(root)
	if err != nil {
		return err
	}
	defer t.close()
	if err := l.sendJSON(frameHello, hello{Version: version}); err != nil {
		return err
	}
	stop := make(chan struct{})
	defer close(stop)
	go l.keepAlive(stop)
	_, err = h.run(ctx, l, t, !h.Push, nil)
	return err
}

// run is one end's work after the greeting.
func (h *hello) run(ctx context.Context, l *link, t tree, send bool, p *Progress) (Stats, error) {
	if p == nil {
		p = new(Progress)
	}
	if !send {
		r := &receiver{
			link: l, root: t.at, filter: h.Filter, delete: h.Delete, dryRun: h.DryRun, devices: h.Devices,
			owner: !h.NoOwner && os.Geteuid() == 0, xattrs: true, progress: p,
		}
		return r.run(ctx)
	}
	from := newLocal(t.at)
	defer from.close()
	s := &sender{link: l, source: from, only: t.only, filter: h.Filter, devices: h.Devices, progress: p}
	if h.Totals {
		ctx, cancel := context.WithCancel(ctx)
		done := make(chan struct{})
		defer func() { cancel(); <-done }()
		go func() {
			defer close(done)
			s.count(ctx, t.at)
		}()
	}
	return s.run(ctx)
}

// count adds the tree up, beside the walk that sends it.
func (s *sender) count(ctx context.Context, root folder) {
	if s.only != "" {
		e, err := root.stat(s.only, false)
		if err == nil {
			s.total(1, int64(e.Size))
		}
		return
	}
	var files, bytes int64
	if s.countBelow(ctx, root, "", &files, &bytes) == nil {
		s.total(files, bytes)
	}
}

func (s *sender) total(files, bytes int64) {
	s.progress.total(files, bytes)
	_ = s.link.send(frameTotal, binary.AppendUvarint(binary.AppendUvarint(nil, uint64(files)), uint64(bytes)))
}

func (s *sender) countBelow(ctx context.Context, f folder, dir string, files, bytes *int64) error {
	names, _ := f.names()
	for _, name := range names {
		if err := ctx.Err(); err != nil {
			return err
		}
		e, err := f.stat(name, false)
		path := join(dir, name)
		if err != nil || s.filter.drops(path, e.Type == Folder) || !validPath(path) {
			continue
		}
		if e.Type != Folder {
			*files, *bytes = *files+1, *bytes+int64(e.Size)
			continue
		}
		below, err := f.open(name)
		if err != nil {
			continue
		}
		err = s.countBelow(ctx, below, path, files, bytes)
		below.close()
		if err != nil {
			return err
		}
	}
	return nil
}

// A tree is one end's part of the world: a folder, or one name in it.
type tree struct {
	at   folder
	only string
}

func (t tree) close() { t.at.close() }

// openLocal opens the client's folder, and makes it for a pull.
func openLocal(req Request) (tree, error) {
	if !req.Push {
		if !req.DryRun {
			if err := os.MkdirAll(req.Local, 0o755); err != nil {
				return tree{}, localError(err)
			}
		}
		at, err := openFolder(req.Local)
		if req.DryRun && errors.Is(err, os.ErrNotExist) {
			return tree{at: folder{none}}, nil
		}
		return tree{at: at}, localError(err)
	}
	at, err := openFolder(req.Local)
	if errors.Is(err, syscall.ENOTDIR) {
		dir, name := split(strings.TrimRight(req.Local, "/"))
		if dir == "" && !strings.HasPrefix(req.Local, "/") {
			dir = "."
		}
		at, err = openFolder(dir + "/.")
		return tree{at: at, only: name}, localError(err)
	}
	return tree{at: at}, localError(err)
}

func localError(err error) error {
	switch {
	case err == nil:
		return nil
	case errors.Is(err, os.ErrNotExist):
		return fail.Errorf(fail.NotFound, "this machine: %w", err)
	case errors.Is(err, syscall.ENOTDIR):
		return fail.Errorf(fail.Invalid, "this machine: %w", err)
	case errors.Is(err, os.ErrPermission):
		return fail.Errorf(fail.Denied, "this machine: %w", err)
	}
	return fmt.Errorf("this machine: %w", err)
}

// openServed opens what the client asked for. The target of a push is made if just its last folder is missing.
func (h *hello) openServed(root string) (tree, error) {
	path := strings.TrimRight(string(h.Path), "/")
	base, err := openFolder(root)
	if err != nil {
		return tree{}, servedError(path, err)
	}
	defer base.close()
	at, err := base.openWithin(path)
	if err == nil {
		return tree{at: at}, nil
	}
	dir, name := split(path)
	switch {
	case !h.Push && errors.Is(err, syscall.ENOTDIR) && validName(name):
		parent, e := base.openWithin(dir)
		if e == nil {
			if _, e = parent.stat(name, false); e == nil {
				return tree{at: parent, only: name}, nil
			}
			parent.close()
		}
	case h.Push && errors.Is(err, os.ErrNotExist) && validName(name):
		if h.DryRun {
			return tree{at: folder{none}}, nil
		}
		parent, e := base.openWithin(dir)
		if e != nil {
			return tree{}, servedError("/"+strings.TrimLeft(dir, "/"), e)
		}
		defer parent.close()
		at, err = newFolder(parent, name, false)
		if err == nil {
			err = at.chmod(".", 0o755)
		}
		if err == nil {
			return tree{at: at}, nil
		}
		if f := final(err); f != nil {
			err = f
		}
	}
	return tree{}, servedError(path, err)
}

func servedError(path string, err error) error {
	path = printable("/" + strings.TrimLeft(path, "/"))
	switch {
	case errors.Is(err, os.ErrNotExist):
		return fail.Errorf(fail.NotFound, "the container has no %s", path)
	case errors.Is(err, syscall.ENOTDIR):
		return fail.Errorf(fail.Invalid, "%s is no folder in the container", path)
	case errors.Is(err, os.ErrPermission):
		return fail.Errorf(fail.Denied, "open %s in the container: %w; the helper may not look into it: it needs to run as root, or as the container's own user", path, err)
	}
	return fmt.Errorf("open %s in the container: %w", path, err)
}
