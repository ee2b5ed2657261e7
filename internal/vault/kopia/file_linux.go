// SPDX-License-Identifier: Apache-2.0

package kopia

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"sync"

	"github.com/klauspost/compress/s2"
	"github.com/kopia/kopia/repo/object"
	"github.com/kopia/kopia/snapshot"
	"golang.org/x/sys/unix"

	"hozon.dev/hozon/internal/vault"
)

// pieceSize is read at once.
const pieceSize = 1 << 20

var pieces = sync.Pool{New: func() any { b := make([]byte, pieceSize); return &b }}

// A linked is a file of several names that was saved by one of them.
type linked struct {
	id     object.ID
	size   int64
	change unix.Timespec
}

// errRead marks what concerns the file, not the repository.
type errRead struct{ error }

// file saves a file, unless the snapshot before has it.
func (s *saver) file(ctx context.Context, b *branch, name string, e *snapshot.DirEntry, stat unix.Stat_t) error {
	if old := b.find(e.Name); old != nil && same(old, e) {
		e.ObjectID = old.Ref.(object.ID)
		s.cached.Add(1)
		s.pass(e.FileSize)
		b.builder.AddEntry(e)
		return nil
	}
	inode := vault.Inode{Device: stat.Dev, Number: stat.Ino}
	if stat.Nlink > 1 {
		if known, ok := s.links.Load(inode); ok && known.(linked).change == stat.Ctim {
			e.ObjectID, e.FileSize = known.(linked).id, known.(linked).size
			s.pass(e.FileSize)
			b.builder.AddEntry(e)
			return nil
		}
	}
	var concerns errRead
	err := s.content(ctx, b, name, e, &stat)
	if errors.As(err, &concerns) {
		s.problem(b, name, concerns.error)
		return nil
	}
	if err != nil {
		return err
	}
	s.fresh.Add(1)
	if stat.Nlink > 1 {
		s.links.Store(inode, linked{e.ObjectID, e.FileSize, stat.Ctim})
	}
	b.builder.AddEntry(e)
	return nil
}

// same reports whether a file has, by all signs, not changed since the snapshot before.
func same(old *vault.Node, e *snapshot.DirEntry) bool {
	return old.Type == vault.Regular && old.Damage == nil && old.Size == e.FileSize && old.Modified.UnixNano() == int64(e.ModTime) &&
		old.UID == e.UserID && old.GID == e.GroupID && old.Mode == mode(fs.FileMode(e.Permissions))
}

// content reads a file into the repository.
func (s *saver) content(ctx context.Context, b *branch, name string, e *snapshot.DirEntry, stat *unix.Stat_t) error {
	fd, err := b.at.openFile(name)
	if err != nil {
		return errRead{fmt.Errorf("open: %w", vanished(err))}
	}
	defer unix.Close(fd)
	var now unix.Stat_t
	if err := unix.Fstat(fd, &now); err != nil || now.Mode&unix.S_IFMT != unix.S_IFREG || now.Ino != stat.Ino {
		return errRead{errors.Join(errChanging{"it was replaced while the volume was saved"}, err)}
	}
	f := &reading{fd: fd, size: stat.Size, sparse: stat.Blocks*512 < stat.Size}
	e.ObjectID, e.FileSize, err = s.copy(ctx, f, e.Name)
	if err != nil {
		return err
	}
	if err := unix.Fstat(fd, &now); err == nil && (now.Mtim != stat.Mtim || now.Size != stat.Size) {
		s.problem(b, name, errChanging{"it changed while it was read: what is saved of it may be of several moments"})
	}
	return nil
}

func (s *saver) copy(ctx context.Context, f *reading, name string) (object.ID, int64, error) {
	piece := pieces.Get().(*[]byte)
	defer pieces.Put(piece)
	var w object.Writer
	var size int64
	for end := false; !end; {
		if ctx.Err() != nil {
			return object.ID{}, 0, context.Cause(ctx)
		}
		n, err := f.next(*piece)
		if end = errors.Is(err, io.EOF); err != nil && !end {
			return object.ID{}, 0, errRead{fmt.Errorf("read at byte %d: %w", size, err)}
		}
		if w == nil {
			w = s.w.NewObjectWriter(ctx, s.options(name, f.size, (*piece)[:n]))
			defer w.Close()
		}
		if n == 0 {
			continue
		}
		if _, err := w.Write((*piece)[:n]); err != nil {
			return object.ID{}, 0, err
		}
		size += int64(n)
		s.read.Add(int64(n))
		s.pass(int64(n))
	}
	id, err := w.Result()
	return id, size, err
}

// options say how a file is split and compressed, by its size and its first bytes.
func (s *saver) options(name string, size int64, first []byte) object.WriterOptions {
	o := object.WriterOptions{Description: "FILE:" + name, MetadataCompressor: metadataCompressor}
	if size > pieceSize {
		o.AsyncWrites = 1
	}
	if s.splits && size <= neverSplit {
		o.Splitter = cheap
	}
	if sample := first[:min(len(first), probeSize)]; len(first) >= leastCompressed {
		if n := s2.EstimateBlockSize(sample); n >= 0 && n < len(sample)*9/10 {
			o.Compressor = fileCompressor
		}
	}
	return o
}

// A reading is an open file that is read from front to back, without asking the disk for its holes.
type reading struct {
	fd     int
	size   int64
	sparse bool
	at     int64
	data   int64 // where data begin again
}

// next fills p, or less at the end of the file, with io.EOF.
func (f *reading) next(p []byte) (int, error) {
	if f.sparse && f.at >= f.data {
		f.seek()
	}
	if hole := f.data - f.at; f.sparse && hole > 0 {
		n := min(int64(len(p)), hole)
		clear(p[:n])
		f.at += n
		if f.at == f.data {
			if _, err := unix.Seek(f.fd, f.at, unix.SEEK_SET); err != nil {
				return int(n), err
			}
		}
		return int(n), nil
	}
	n, err := read(f.fd, p)
	f.at += int64(n)
	return n, err
}

// seek finds where data begin, from where we are. Where that cannot be known, here.
func (f *reading) seek() {
	data, err := unix.Seek(f.fd, f.at, unix.SEEK_DATA)
	switch {
	case errors.Is(err, unix.ENXIO) && f.at < f.size: // a hole up to the end
		data = f.size
	case err != nil:
		data, f.sparse = f.at, false
	}
	f.data = max(data, f.at)
	_, _ = unix.Seek(f.fd, f.at, unix.SEEK_SET)
}
