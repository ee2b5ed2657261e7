// SPDX-License-Identifier: Apache-2.0

package store

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"path"
	"strings"
	"sync"

	"k8s.io/apimachinery/pkg/util/validation"

	"hozon.dev/hozon/internal/blob"
	"hozon.dev/hozon/internal/fail"
)

// ShelfSort is what lies on a shelf.
type ShelfSort string

const (
	Clusters ShelfSort = "clusters" // archives of control planes, one shelf for each cluster
	Hosts    ShelfSort = "hosts"    // archives of files of hosts, one shelf for each backup
)

// Shelf is a folder of the store with archives that are no backups of objects (doc/format.md, sections 8, 10 and 11). What is put there is never replaced.
type Shelf struct {
	bucket blob.Bucket
	prefix string
}

// Shelf returns a shelf, which may be empty.
func (s *Store) Shelf(sort ShelfSort, name string) (*Shelf, error) {
	if msgs := validation.IsDNS1123Subdomain(name); len(msgs) > 0 {
		return nil, fail.Errorf(fail.Invalid, "name %q: %s", name, msgs[0])
	}
	return &Shelf{s.bucket, "metadata/hozon/" + string(sort) + "/" + name + "/"}, nil
}

// Shelves lists the names of shelves that are not empty, sorted.
func (s *Store) Shelves(ctx context.Context, sort ShelfSort) ([]string, error) {
	var names []string
	err := s.bucket.List(ctx, "metadata/hozon/"+string(sort)+"/", true, func(i blob.Info) error {
		if i.Dir {
			names = append(names, path.Base(i.Key))
		}
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("list %s of %s: %w", sort, s, err)
	}
	return names, nil
}

// Name is how messages name a file of the shelf.
func (f *Shelf) Name(file string) string {
	return strings.TrimSuffix(f.bucket.String(), "/") + "/" + f.prefix + file
}

// Put writes a file that was not there. When write fails, nothing is left.
func (f *Shelf) Put(ctx context.Context, file string, write func(io.Writer) error) (int64, error) {
	pr, pw := io.Pipe()
	ended := make(chan error, 1)
	go func() {
		err := write(pw)
		pw.CloseWithError(err)
		ended <- err
	}()
	n, err := f.bucket.Put(ctx, f.prefix+file, pr, blob.PutOptions{IfAbsent: true})
	pr.CloseWithError(errors.New("the store takes no more"))
	if cause := <-ended; cause != nil && err == nil {
		err = cause
	}
	if err != nil {
		return n, fmt.Errorf("write %s: %w", f.Name(file), err)
	}
	return n, nil
}

// PutJSON writes a file that was not there.
func (f *Shelf) PutJSON(ctx context.Context, file string, v any) error {
	text, err := json.MarshalIndent(v, "", "  ")
	if err != nil {
		return err
	}
	_, err = f.Put(ctx, file, func(w io.Writer) error {
		_, err := w.Write(text)
		return err
	})
	return err
}

// ReadJSON reads a file of at most 16 MiB. One that cannot be parsed is fail.Corrupt.
func (f *Shelf) ReadJSON(ctx context.Context, file string, into any) error {
	r, err := f.bucket.Get(ctx, f.prefix+file, 0, recordLimit+1)
	if err != nil {
		return fmt.Errorf("read %s: %w", f.Name(file), err)
	}
	defer r.Close()
	text, err := io.ReadAll(r)
	if err == nil && len(text) > recordLimit {
		err = fail.Errorf(fail.Corrupt, "larger than %d bytes", recordLimit)
	}
	if err != nil {
		return fmt.Errorf("read %s: %w", f.Name(file), err)
	}
	if err := json.Unmarshal(text, into); err != nil {
		return fail.Errorf(fail.Corrupt, "read %s: %w", f.Name(file), err)
	}
	return nil
}

// List lists the files, sorted.
func (f *Shelf) List(ctx context.Context) ([]string, error) {
	var names []string
	err := f.bucket.List(ctx, f.prefix, true, func(i blob.Info) error {
		if !i.Dir {
			names = append(names, strings.TrimPrefix(i.Key, f.prefix))
		}
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("list %s: %w", f.Name(""), err)
	}
	return names, nil
}

// Delete removes files, in their order; one that is not there is no error.
func (f *Shelf) Delete(ctx context.Context, files ...string) error {
	for _, file := range files {
		if err := f.bucket.Delete(ctx, f.prefix+file); err != nil {
			return fmt.Errorf("delete %s: %w", f.Name(file), err)
		}
	}
	return nil
}

// Open opens a file for reading at any offset, until ctx ends.
func (f *Shelf) Open(ctx context.Context, file string) (*Stored, error) {
	info, err := f.bucket.Stat(ctx, f.prefix+file)
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", f.Name(file), err)
	}
	get := func(offset, length int64) (io.ReadCloser, error) {
		return f.bucket.Get(ctx, f.prefix+file, offset, length)
	}
	return &Stored{Name: f.Name(file), Size: info.Size, get: get, windows: map[int64][]byte{}}, nil
}

// What a Stored keeps of its object: windows of a MiB.
const (
	window  = 1 << 20
	windows = 16
)

// Stored is a file of a bucket as an io.ReaderAt: it fetches a MiB at a time and keeps the last 16.
type Stored struct {
	Name string
	Size int64

	get     func(offset, length int64) (io.ReadCloser, error)
	mu      sync.Mutex
	windows map[int64][]byte
	order   []int64 // of the windows, the oldest first
}

func (s *Stored) ReadAt(p []byte, off int64) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	done := 0
	for done < len(p) {
		at := off + int64(done)
		if at < 0 || at >= s.Size {
			return done, io.EOF
		}
		w, err := s.window(at / window)
		if err != nil {
			return done, fmt.Errorf("read %s: %w", s.Name, err)
		}
		from := at % window
		if from >= int64(len(w)) {
			return done, io.ErrUnexpectedEOF
		}
		done += copy(p[done:], w[from:])
	}
	return done, nil
}

func (s *Stored) window(i int64) ([]byte, error) {
	if have, ok := s.windows[i]; ok {
		return have, nil
	}
	r, err := s.get(i*window, window)
	if err != nil {
		return nil, err
	}
	defer r.Close()
	var buffer []byte
	if len(s.order) == windows {
		buffer = s.windows[s.order[0]]
		delete(s.windows, s.order[0])
		s.order = s.order[1:]
	}
	if cap(buffer) < window {
		buffer = make([]byte, window)
	}
	n, err := io.ReadFull(r, buffer[:window])
	if err != nil && !errors.Is(err, io.ErrUnexpectedEOF) && !errors.Is(err, io.EOF) {
		return nil, err
	}
	s.windows[i], s.order = buffer[:n], append(s.order, i)
	return buffer[:n], nil
}
