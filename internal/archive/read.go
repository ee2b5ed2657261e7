// SPDX-License-Identifier: Apache-2.0

package archive

import (
	"archive/tar"
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"hash/maphash"
	"io"
	"strings"

	"hozon.dev/hozon/internal/fail"
	"hozon.dev/hozon/internal/object"
)

const (
	defaultMaxEntries = 1 << 24
	maxPadding        = 1 << 20 // zeros after the last tar entry
	maxVersion        = 64      // bytes of metadata/version
	keepBody          = 4 << 20 // a longer body is not kept for the comparison with the next
)

// Read walks an archive of any Velero 1.x or Hozon from beginning to end and calls fn for each file below resources/.
//
// It is strict (doc/format.md, section 4): whatever is refused ends the walk with fail.Corrupt, or fail.Unsupported if the
// format version is another one. That can be found late, the checksum even at the very end: act on what fn got
// only after Read returned nil. Faults of r and errors of fn are returned with their own kinds.
func Read(r io.Reader, o ReadOptions, fn func(Entry) error) (ReadSummary, error) {
	g, err := newGunzip(r)
	if err != nil {
		return ReadSummary{}, fmt.Errorf("read archive: %w", err)
	}
	w := newWalker(g, o, fn)
	if err := w.walk(); err != nil {
		return w.sum, fmt.Errorf("read archive: %w", err)
	}
	return w.sum, nil
}

// walker is the state of one walk.
type walker struct {
	src  stream
	tar  *tar.Reader
	fn   func(Entry) error
	max  int
	seen seen
	sum  ReadSummary

	path       string // of the entry at hand; empty before its header is read
	end        int64  // of the last entry, padding included
	body, prev []byte
	head       object.Head // of prev, and why it has none
	headErr    error
	same       bool // body is what prev was
}

func newWalker(s stream, o ReadOptions, fn func(Entry) error) *walker {
	return &walker{src: s, tar: tar.NewReader(s), fn: fn, max: cmp.Or(o.MaxEntries, defaultMaxEntries), seen: seen{seed: maphash.MakeSeed()}}
}

func (w *walker) walk() error {
	for {
		err := w.step()
		if err == io.EOF {
			err = w.finish()
			w.sum.Uncompressed, w.sum.Size = w.src.plain(), w.src.packed()
			if err == nil {
				return nil
			}
		}
		if err != nil {
			return w.explain(err)
		}
	}
}

// callbackError is an error of the caller's own function.
type callbackError struct{ error }

func (w *walker) explain(err error) error {
	var own callbackError
	if errors.As(err, &own) {
		return own.error
	}
	if fault := w.src.fault(); fault != nil {
		return fault
	}
	kind := fail.Corrupt
	if k := fail.Of(err); k != fail.Unknown {
		kind = k
	}
	what := fmt.Sprintf("after %d entries", w.sum.Entries)
	if w.path != "" {
		what = fmt.Sprintf("entry %q", w.path[:min(len(w.path), 500)])
	}
	return fail.Errorf(kind, "%s, at byte %d of the tar, about byte %d of the file: %w", what, w.src.plain(), w.src.packed(), err)
}

// step reads one entry. io.EOF: there is none.
func (w *walker) step() error {
	w.path = ""
	h, err := w.tar.Next()
	if err == io.EOF {
		return err
	}
	if err != nil {
		if errors.Is(err, io.ErrUnexpectedEOF) {
			return fmt.Errorf("the tar is cut off: %w", err)
		}
		return err
	}
	if len(h.Name) <= maxPath {
		w.path = h.Name
	}
	path, err := w.check(h)
	if err != nil {
		return err
	}
	w.end = w.src.plain() + (h.Size+tarBlock-1)&^(tarBlock-1)
	if h.Typeflag == tar.TypeDir {
		return nil
	}
	if strings.HasPrefix(path, "metadata/") {
		if path != versionFile {
			return nil
		}
		return w.version(h.Size)
	}
	p, err := parsePath(path)
	if err != nil {
		return err
	}
	return w.item(p, h.Size)
}

// check refuses what the format refuses by the header alone, and returns the path.
func (w *walker) check(h *tar.Header) (string, error) {
	w.sum.Entries++
	path := h.Name
	switch h.Typeflag {
	case tar.TypeReg:
	case tar.TypeDir:
		path = strings.TrimSuffix(path, "/")
		if h.Size != 0 {
			return "", fail.Errorf(fail.Corrupt, "a folder with content")
		}
	default:
		return "", fail.Errorf(fail.Corrupt, "%s, where only files belong", typeName(h.Typeflag))
	}
	if err := checkPath(path); err != nil {
		return "", err
	}
	for key := range h.PAXRecords {
		if strings.HasPrefix(key, "GNU.sparse.") {
			return "", fail.Errorf(fail.Corrupt, "a sparse file")
		}
	}
	top, _, _ := strings.Cut(path, "/")
	switch {
	case top != "resources" && top != "metadata" || top == path && h.Typeflag == tar.TypeReg:
		return "", fail.Errorf(fail.Corrupt, "not a path of the format")
	case h.Size < 0 || h.Size > MaxItem:
		return "", fail.Errorf(fail.Corrupt, "%d bytes; an entry has at most %d", h.Size, MaxItem)
	case !w.seen.add(path):
		return "", fail.Errorf(fail.Corrupt, "the path is there twice")
	case w.sum.Entries > w.max:
		return "", fail.Errorf(fail.Corrupt, "more than %d entries", w.max)
	}
	return path, nil
}

func typeName(flag byte) string {
	switch flag {
	case tar.TypeSymlink:
		return "a symbolic link"
	case tar.TypeLink:
		return "a hard link"
	case tar.TypeChar, tar.TypeBlock:
		return "a device"
	case tar.TypeFifo:
		return "a pipe"
	case tar.TypeGNUSparse:
		return "a sparse file"
	}
	return fmt.Sprintf("an entry of type %q", flag)
}

func (w *walker) version(size int64) error {
	if size > maxVersion {
		return fail.Errorf(fail.Corrupt, "%d bytes for a version", size)
	}
	b := make([]byte, size)
	if err := w.fill(b); err != nil {
		return err
	}
	v := strings.TrimSpace(string(b))
	if !goodFormat(v) {
		return fail.Errorf(fail.Corrupt, "%q is no version", v)
	}
	if major, _, _ := strings.Cut(v, "."); major != "1" {
		return fail.Errorf(fail.Unsupported, "the archive has format version %s; 1 and 1.x can be read", v)
	}
	w.sum.Format = v
	return nil
}

// goodFormat: numbers with dots between them.
func goodFormat(v string) bool {
	for number := range strings.SplitSeq(v, ".") {
		if number == "" || strings.Trim(number, "0123456789") != "" {
			return false
		}
	}
	return true
}

func (w *walker) fill(b []byte) error {
	if _, err := io.ReadFull(w.tar, b); err != nil {
		if errors.Is(err, io.ErrUnexpectedEOF) {
			return fmt.Errorf("the entry is cut off: %w", err)
		}
		return err
	}
	return nil
}

func (w *walker) item(p place, size int64) error {
	e := Entry{Path: w.path, Offset: w.src.plain(), Ref: p.ref, Version: p.version, Unversioned: p.unversioned, Preferred: p.preferred || p.unversioned}
	if p.unversioned {
		w.sum.Items++
	} else {
		w.sum.Versioned++
	}
	if int64(cap(w.body)) < size {
		w.body = nil // let go before the longer one is made
		w.body = make([]byte, size)
	}
	w.body = w.body[:size]
	if err := w.fill(w.body); err != nil {
		return err
	}
	e.Body = w.body
	// The second copy of an item mostly follows the first.
	w.same = size > 0 && bytes.Equal(w.body, w.prev)
	if !w.same {
		w.head, w.headErr = object.Scan(w.body)
	}
	e.Head = w.head
	if w.headErr != nil {
		e.Err = fmt.Errorf("%q: %w", e.Path, w.headErr)
	} else {
		e.Err = match(w.head, &e)
	}
	if err := w.fn(e); err != nil {
		return callbackError{err}
	}
	w.body, w.prev = w.prev[:0], w.body
	if cap(w.prev) > keepBody {
		w.prev = nil
	}
	return nil
}

// finish reads what follows the last entry: the rest of the tar's trailer, and the end of the file.
func (w *walker) finish() error {
	var buf [4 << 10]byte
	for {
		n, err := w.src.Read(buf[:])
		if len(bytes.Trim(buf[:n], "\x00")) > 0 {
			return errors.New("there are bytes after the end of the tar")
		}
		if err != nil && err != io.EOF {
			return err
		}
		rest := w.src.plain() - w.end
		if rest > maxPadding {
			return fmt.Errorf("more than %d zeros after the end of the tar", maxPadding)
		}
		if err == io.EOF {
			return w.complete(rest)
		}
	}
}

func (w *walker) complete(rest int64) error {
	switch {
	case rest < tarTrailer:
		return errors.New("the tar is cut off: its trailer is missing")
	case w.sum.Format == "":
		return fail.Errorf(fail.Unsupported, "%s is missing: this is no backup, or one of a Velero before 1.0, which cannot be read", versionFile)
	}
	return nil
}
