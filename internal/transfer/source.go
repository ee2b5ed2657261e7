// SPDX-License-Identifier: Apache-2.0

package transfer

import (
	"context"
	"errors"
	"os"
)

// A source is the tree that a sender sends: a folder of this machine, or a snapshot.
type source interface {
	root() place
	// openFile opens a file that stat has described.
	openFile(ctx context.Context, e *Entry) (content, error)
	close()
}

// A place is an open folder of a source.
type place interface {
	names(ctx context.Context) ([]string, error) // sorted by bytes; what was read before an error comes with it
	stat(ctx context.Context, name string) (Entry, error)
	enter(ctx context.Context, name string) (place, error)
	close()
}

// A content is an open file of a source.
type content interface {
	readAt(ctx context.Context, p []byte, off int64) (int, error) // as io.ReaderAt
	// nextData returns where the next bytes that are no hole begin and end, from an offset; size and size if there are none.
	nextData(from, size int64) (start, end int64)
	// sparse: zeros are as good as a hole.
	sparse() bool
	// changed reports whether it is not the file any more that e describes.
	changed(e *Entry) bool
	close()
}

// local is a folder of this machine.
type local struct {
	top   folder
	files cursor
}

func newLocal(top folder) *local { return &local{top: top, files: cursor{root: top}} }

func (l *local) root() place { return localPlace{l.top} }
func (l *local) close()      { l.files.cut(0) }

func (l *local) openFile(_ context.Context, e *Entry) (content, error) {
	dir, name := split(e.Path)
	f, err := l.files.at(dir)
	if err != nil {
		return nil, err
	}
	file, err := f.openFile(name)
	if err != nil {
		return nil, err
	}
	info, err := file.Stat()
	if err != nil || !info.Mode().IsRegular() {
		file.Close()
		return nil, errors.New("it was replaced while it was copied")
	}
	return localFile{file}, nil
}

type localPlace struct{ at folder }

func (p localPlace) names(context.Context) ([]string, error)            { return p.at.names() }
func (p localPlace) stat(_ context.Context, name string) (Entry, error) { return p.at.stat(name, true) }
func (p localPlace) close()                                             { p.at.close() }
func (p localPlace) enter(_ context.Context, name string) (place, error) {
	below, err := p.at.open(name)
	return localPlace{below}, err
}

type localFile struct{ file *os.File }

func (f localFile) readAt(_ context.Context, p []byte, off int64) (int, error) {
	return f.file.ReadAt(p, off)
}
func (f localFile) nextData(from, size int64) (start, end int64) { return nextData(f.file, from, size) }
func (f localFile) sparse() bool                                 { return false }
func (f localFile) close()                                       { f.file.Close() }

func (f localFile) changed(e *Entry) bool {
	info, err := f.file.Stat()
	return err != nil || info.ModTime().Unix() != e.Sec || info.ModTime().Nanosecond() != int(e.Nsec)
}
