// SPDX-License-Identifier: Apache-2.0

package kopia

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	kopiafs "github.com/kopia/kopia/fs"
	"github.com/kopia/kopia/repo"
	"github.com/kopia/kopia/repo/object"
	"github.com/kopia/kopia/snapshot"
	"github.com/kopia/kopia/snapshot/snapshotfs"
	"golang.org/x/sys/unix"

	"hozon.dev/hozon/internal/vault"
)

// maxDepth is how many folders above each other are gone into; each holds an open file.
const maxDepth = 512

// A saver saves one folder. Work is shared with as many goroutines as there are tokens; who finds none does it himself.
type saver struct {
	w        repo.RepositoryWriter
	old      *tree // the snapshot before; nil: none
	splits   bool  // small files are split alike by the repository's splitter and by a cheap one
	extras   *extraWriter
	progress func(done, total int64)
	tokens   chan struct{}
	links    sync.Map // inode → linked

	done, total, read atomic.Int64
	cached, fresh     atomic.Int32

	mu       sync.Mutex
	failed   int64
	lost     int64 // of those that failed, what did not only change
	problems []vault.Problem
}

// A branch is an open folder of the walk.
type branch struct {
	at      disk
	path    string // of kopia's names; "": the root
	depth   int
	old     []vault.Node // what the snapshot before has in it, sorted
	builder snapshotfs.DirManifestBuilder
	names   map[string]bool // kopia's names that were given already, where that can matter

	mu     sync.Mutex
	extras []extra
}

// group waits for shared work and keeps the first error that ends all.
type group struct {
	wg  sync.WaitGroup
	mu  sync.Mutex
	err error
}

func (g *group) fail(err error) {
	if err == nil {
		return
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.err == nil {
		g.err = err
	}
}

func (g *group) failed() error {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.err
}

// share does f, beside the caller if somebody is free.
func (s *saver) share(g *group, f func() error) {
	select {
	case s.tokens <- struct{}{}:
		g.wg.Go(func() {
			defer func() { <-s.tokens }()
			g.fail(f())
		})
	default:
		g.fail(f())
	}
}

// problem notes what could not be saved as it is.
func (s *saver) problem(b *branch, name string, err error) {
	path := join(b.path, name)
	b.builder.AddFailedEntry(path, true, err)
	s.mu.Lock()
	defer s.mu.Unlock()
	var changing errChanging
	is := errors.As(err, &changing)
	if !is {
		s.lost++
	}
	if s.failed++; len(s.problems) < vault.MaxProblems {
		s.problems = append(s.problems, vault.Problem{Path: path, Text: err.Error(), Changing: is})
	}
}

// folder saves an open folder, and returns the object that it is kept as.
func (s *saver) folder(ctx context.Context, b *branch, modified time.Time) (object.ID, *kopiafs.DirectorySummary, error) {
	names, err := b.at.names()
	if err != nil {
		s.problem(b, "", fmt.Errorf("list the folder: %w", err))
	}
	var g group
	var stat unix.Stat_t
	for _, name := range names {
		if name == "." || name == ".." {
			continue
		}
		if err := ctx.Err(); err != nil {
			g.fail(context.Cause(ctx))
		}
		if g.failed() != nil {
			break
		}
		if err := b.at.stat(name, &stat); err != nil {
			s.problem(b, name, vanished(err))
			continue
		}
		s.name(ctx, &g, b, name, stat)
	}
	g.wg.Wait()
	if g.err != nil {
		return object.ID{}, nil, g.err
	}
	if err := s.extras.add(ctx, b.path, b.extras); err != nil {
		return object.ID{}, nil, err
	}
	m := b.builder.Build(kopiafs.UTCTimestampFromTime(modified), "")
	id, err := snapshotfs.WriteDirManifest(ctx, s.w, b.path, m, metadataCompressor)
	return id, m.Summary, err
}

// name saves one name of a folder.
func (s *saver) name(ctx context.Context, g *group, b *branch, name string, stat unix.Stat_t) {
	e := entry(&stat)
	e.Name = b.kopiaName(name)
	x := extra{name: e.Name}
	if e.Name != name {
		x.raw = name
	}
	if sec, nsec := stat.Mtim.Unix(); time.Unix(0, int64(e.ModTime)).Unix() != sec {
		x.sec, x.nsec, x.timed = sec, uint32(nsec), true
	}
	xattrs, err := b.at.xattrs(name)
	if err != nil && !errors.Is(err, unix.ENOENT) {
		s.problem(b, name, fmt.Errorf("read its attributes: %w", err))
	}
	x.xattrs = xattrs
	switch stat.Mode & unix.S_IFMT {
	case unix.S_IFREG:
		if stat.Nlink > 1 {
			x.inode = vault.Inode{Device: stat.Dev, Number: stat.Ino}
		}
		b.keep(x)
		s.share(g, func() error { return s.file(ctx, b, name, e, stat) })
	case unix.S_IFDIR:
		b.keep(x)
		s.share(g, func() error { return s.below(ctx, b, name, e) })
	case unix.S_IFLNK:
		b.keep(x)
		g.fail(s.symlink(ctx, b, name, e))
	default:
		x.special(name, &stat)
		b.keep(x)
	}
}

// keep notes what kopia's tree cannot hold of a name.
func (b *branch) keep(x extra) {
	if x.empty() {
		return
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	b.extras = append(b.extras, x)
}

// kopiaName is the name that kopia's tree can hold: its JSON has no bytes that are not UTF-8.
func (b *branch) kopiaName(name string) string {
	valid := strings.ToValidUTF8(name, "\uFFFD")
	if valid == name && !strings.Contains(name, "\uFFFD") {
		return name
	}
	if b.names == nil {
		b.names = map[string]bool{}
	}
	for unique, i := valid, 2; ; i++ {
		if !b.names[unique] {
			b.names[unique] = true
			return unique
		}
		unique = fmt.Sprintf("%s~%d", valid, i)
	}
}

// below saves a folder in a folder.
func (s *saver) below(ctx context.Context, b *branch, name string, e *snapshot.DirEntry) error {
	if b.depth >= maxDepth {
		s.problem(b, name, fmt.Errorf("it lies below more than %d folders, and is not saved", maxDepth))
		return nil
	}
	at, err := b.at.open(name)
	if err != nil {
		s.problem(b, name, fmt.Errorf("open the folder: %w; nothing in it is saved", vanished(err)))
		return nil
	}
	defer at.close()
	below := &branch{at: at, path: join(b.path, e.Name), depth: b.depth + 1, old: s.list(ctx, b.find(e.Name))}
	e.ObjectID, e.DirSummary, err = s.folder(ctx, below, e.ModTime.ToTime())
	if err != nil {
		return err
	}
	e.FileSize = 0
	b.builder.AddEntry(e)
	return nil
}

// list returns what the snapshot before has in a folder. If that cannot be read all of it is read anew.
func (s *saver) list(ctx context.Context, old *vault.Node) []vault.Node {
	if s.old == nil || old == nil || old.Type != vault.Folder {
		return nil
	}
	nodes, err := s.old.plain(ctx, *old)
	if err != nil {
		return nil
	}
	return nodes
}

func (b *branch) find(name string) *vault.Node {
	i, found := slices.BinarySearchFunc(b.old, name, func(n vault.Node, name string) int { return strings.Compare(n.Name, name) })
	if !found {
		return nil
	}
	return &b.old[i]
}

// symlink saves a link: kopia keeps its target like a file.
func (s *saver) symlink(ctx context.Context, b *branch, name string, e *snapshot.DirEntry) error {
	target, err := b.at.readlink(name)
	if err != nil {
		s.problem(b, name, fmt.Errorf("read the link: %w", vanished(err)))
		return nil
	}
	w := s.w.NewObjectWriter(ctx, object.WriterOptions{Description: "SYMLINK:" + e.Name, MetadataCompressor: metadataCompressor})
	defer w.Close()
	if _, err := w.Write([]byte(target)); err != nil {
		return err
	}
	if e.ObjectID, err = w.Result(); err != nil {
		return err
	}
	e.FileSize = int64(len(target))
	b.builder.AddEntry(e)
	return nil
}

// entry is a name as kopia keeps it, without its content.
func entry(s *unix.Stat_t) *snapshot.DirEntry {
	e := &snapshot.DirEntry{
		Type: snapshot.EntryTypeFile, Permissions: snapshot.Permissions(permissions(s.Mode)), FileSize: s.Size,
		ModTime: kopiafs.UTCTimestamp(s.Mtim.Nano()), UserID: s.Uid, GroupID: s.Gid,
	}
	switch s.Mode & unix.S_IFMT {
	case unix.S_IFDIR:
		e.Type = snapshot.EntryTypeDirectory
	case unix.S_IFLNK:
		e.Type = snapshot.EntryTypeSymlink
	}
	return e
}

// permissions are chmod's bits as Go has them, which kopia writes.
func permissions(mode uint32) fs.FileMode {
	bits := fs.FileMode(mode & 0o777)
	for _, special := range specials {
		if mode&special.bit != 0 {
			bits |= special.is
		}
	}
	return bits
}

// vanished says what it means that a name is gone which was there a moment ago.
func vanished(err error) error {
	if errors.Is(err, unix.ENOENT) {
		return errChanging{"it vanished while the volume was saved"}
	}
	return err
}

// errChanging says what happened to a name while the volume was saved.
type errChanging struct{ text string }

func (e errChanging) Error() string { return e.text }

// count adds up the bytes of the files, for the progress.
func (s *saver) count(ctx context.Context, at disk, depth int) {
	names, _ := at.names()
	var stat unix.Stat_t
	for _, name := range names {
		if name == "." || name == ".." || at.stat(name, &stat) != nil {
			continue
		}
		if ctx.Err() != nil {
			return
		}
		switch stat.Mode & unix.S_IFMT {
		case unix.S_IFREG:
			s.total.Add(stat.Size)
		case unix.S_IFDIR:
			if below, err := at.open(name); err == nil && depth < maxDepth {
				s.count(ctx, below, depth+1)
				below.close()
			}
		}
	}
}

// pass reports bytes that are dealt with.
func (s *saver) pass(n int64) {
	done := s.done.Add(n)
	if s.progress != nil {
		s.progress(done, max(done, s.total.Load()))
	}
}
