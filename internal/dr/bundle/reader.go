// SPDX-License-Identifier: Apache-2.0

package bundle

import (
	"archive/tar"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"hash"
	"io"
	"path"
	"strings"

	"github.com/klauspost/compress/gzip"

	"hozon.dev/hozon/internal/fail"
)

// Bundle is an archive that was opened.
type Bundle struct {
	Manifest Manifest

	r      io.ReaderAt
	size   int64
	places map[string]place
	body   [sha256.Size]byte // hash of the snapshot without the one that it ends with

	cache cache
}

// stream is the tar of a whole archive.
type stream struct {
	*ahead
	packed *ahead
}

func openStream(ctx context.Context, r io.ReaderAt, size int64) (*stream, error) {
	packed := readAhead(cancelled{ctx, io.NewSectionReader(r, 0, size)})
	gz, err := gzip.NewReader(packed)
	if err != nil {
		packed.Close()
		return nil, err
	}
	gz.Multistream(false)
	return &stream{readAhead(gz), packed}, nil
}

func (s *stream) Close() {
	s.ahead.Close()
	s.packed.Close()
}

// SnapshotBody is the SHA-256 of etcd's snapshot but for the 32 bytes at its end, in which etcd says what it should be.
func (b *Bundle) SnapshotBody() [sha256.Size]byte { return b.body }

// place is where a file's bytes lie in the tar.
type place struct{ offset, size int64 }

// Is says whether a file that begins with head may be an archive.
func Is(head []byte) bool { return len(head) >= 2 && head[0] == 0x1f && head[1] == 0x8b }

// Open reads an archive of size bytes once from the beginning to the end and compares every file in it with the manifest. visit, which may be nil, sees
// every file but the manifest.
func Open(ctx context.Context, r io.ReaderAt, size int64, visit func(*tar.Header, io.Reader) error) (*Bundle, error) {
	b := &Bundle{r: r, size: size, places: map[string]place{}}
	all, err := openStream(ctx, r, size)
	if err != nil {
		return nil, b.explain(ctx, err)
	}
	defer all.Close()
	counted := &counter{r: all}
	seen, err := b.scan(tar.NewReader(counted), counted, visit)
	if err == nil {
		_, err = io.Copy(io.Discard, io.LimitReader(counted, 1<<20))
	}
	if err != nil {
		return nil, b.explain(ctx, err)
	}
	return b, b.compare(seen)
}

func (b *Bundle) explain(ctx context.Context, err error) error {
	switch {
	case ctx.Err() != nil:
		return ctx.Err()
	case fail.Of(err) != fail.Unknown:
		return err
	case errors.Is(err, io.ErrUnexpectedEOF), errors.Is(err, io.EOF):
		return fail.Errorf(fail.Corrupt, "the archive was cut off")
	}
	return fail.Errorf(fail.Corrupt, "archive: %w", err)
}

// scan goes through the entries and reads the manifest, which is the last.
func (b *Bundle) scan(t *tar.Reader, at *counter, visit func(*tar.Header, io.Reader) error) ([]File, error) {
	var seen []File
	for {
		h, err := t.Next()
		switch {
		case errors.Is(err, io.EOF):
			return nil, fail.Errorf(fail.Corrupt, "the archive has no manifest")
		case errors.Is(err, tar.ErrHeader) && len(seen) == 0:
			return nil, fail.Errorf(fail.Invalid, "this is no archive of a control plane; if it is a compressed snapshot of etcd, unpack it first (gunzip)")
		case err != nil:
			return nil, err
		}
		name := strings.TrimSuffix(h.Name, "/")
		if path.IsAbs(name) || path.Clean(name) != name || name == ".." || strings.HasPrefix(name, "../") || len(seen) > maxFiles {
			return nil, fail.Errorf(fail.Corrupt, "the archive has an entry %.200q, or too many", h.Name)
		}
		if len(seen) == 0 && name != versionName {
			return nil, fail.Errorf(fail.Invalid, "this is no archive of a control plane: its first entry is %.100q", name)
		}
		if name == ManifestName {
			return seen, b.readManifest(t, h.Size)
		}
		if _, twice := b.places[h.Name]; twice {
			return nil, fail.Errorf(fail.Corrupt, "the archive has %.200q twice", name)
		}
		b.places[h.Name] = place{at.n, h.Size}
		f := File{Name: h.Name, Size: h.Size}
		if h.Typeflag == tar.TypeReg {
			sum := &bodySum{Hash: sha256.New(), left: h.Size - sha256.Size}
			body := io.TeeReader(t, sum)
			if visit != nil {
				if err := visit(h, body); err != nil {
					return nil, err
				}
			}
			if _, err := io.Copy(io.Discard, body); err != nil {
				return nil, err
			}
			if h.Name == Snapshot {
				b.body = sum.body
			}
			f.SHA256 = hex.EncodeToString(sum.Sum(nil))
		}
		seen = append(seen, f)
	}
}

func (b *Bundle) readManifest(r io.Reader, size int64) error {
	if size > maxManifest {
		return fail.Errorf(fail.Corrupt, "a manifest of %d bytes", size)
	}
	text, err := io.ReadAll(r)
	if err != nil {
		return err
	}
	if err := json.Unmarshal(text, &b.Manifest); err != nil {
		return fail.Errorf(fail.Corrupt, "the manifest is not readable: %w", err)
	}
	if f := b.Manifest.Format; f > Format {
		return fail.Errorf(fail.Unsupported, "the archive has format %d; this program knows up to %d: use a newer one", f, Format)
	} else if f < 1 {
		return fail.Errorf(fail.Corrupt, "a manifest without a format number")
	}
	return nil
}

// Walk reads the archive once more and shows every entry but the manifest, with all that the machine's tar said of it. The reader is valid during the call.
func (b *Bundle) Walk(ctx context.Context, each func(*tar.Header, io.Reader) error) error {
	all, err := openStream(ctx, b.r, b.size)
	if err != nil {
		return b.explain(ctx, err)
	}
	defer all.Close()
	t := tar.NewReader(all)
	for {
		h, err := t.Next()
		if err != nil {
			return b.explain(ctx, err)
		}
		if h.Name == ManifestName {
			return nil
		}
		if _, known := b.places[h.Name]; !known {
			return fail.Errorf(fail.Corrupt, "the archive has changed since it was opened: %.200q", h.Name)
		}
		if err := each(h, t); err != nil {
			return err
		}
	}
}

// compare wants the entries and the manifest's list to be the same, and the blocks to ascend.
func (b *Bundle) compare(seen []File) error {
	m := &b.Manifest
	if len(seen) != len(m.Files) {
		return fail.Errorf(fail.Corrupt, "the manifest lists %d files, the archive has %d", len(m.Files), len(seen))
	}
	for i, f := range m.Files {
		if s := seen[i]; s.Name != f.Name || s.SHA256 != f.SHA256 || s.Size != f.Size {
			return fail.Errorf(fail.Corrupt, "%.200q is not what the manifest says", f.Name)
		}
	}
	for i, k := range m.Blocks {
		if k.Plain != int64(i)*blockSize || k.Offset < 0 || i > 0 && k.Offset <= m.Blocks[i-1].Offset {
			return fail.Errorf(fail.Corrupt, "block %d of the manifest lies at %d (%d)", i, k.Offset, k.Plain)
		}
	}
	return nil
}

// File opens a file of the archive for reading at any offset.
func (b *Bundle) File(name string) (*io.SectionReader, error) {
	p, ok := b.places[name]
	if !ok {
		return nil, fail.Errorf(fail.NotFound, "the archive has no %s", name)
	}
	return io.NewSectionReader(plain{b}, p.offset, p.size), nil
}

// Each goes through all entries but the manifest, folders and links too.
func (b *Bundle) Each(ctx context.Context, each func(*tar.Header, io.Reader) error) error {
	t := tar.NewReader(cancelled{ctx, io.NewSectionReader(plain{b}, 0, 1<<62)})
	for range b.Manifest.Files {
		h, err := t.Next()
		if err != nil {
			return b.explain(ctx, err)
		}
		h.Name = strings.TrimSuffix(h.Name, "/")
		if err := each(h, t); err != nil {
			return err
		}
	}
	return nil
}

// plain is the tar as if it lay there.
type plain struct{ b *Bundle }

func (p plain) ReadAt(out []byte, off int64) (int, error) {
	done := 0
	for done < len(out) {
		at := off + int64(done)
		n, err := p.b.copy(out[done:], int(at/blockSize), int(at%blockSize))
		if done += n; err != nil {
			return done, err
		}
	}
	return done, nil
}

// bodySum also keeps the hash of all but the last 32 bytes.
type bodySum struct {
	hash.Hash
	left int64 // until there
	body [sha256.Size]byte
}

func (s *bodySum) Write(p []byte) (int, error) {
	if n := s.left; n >= 0 && n <= int64(len(p)) {
		s.Hash.Write(p[:n])
		s.Sum(s.body[:0])
		s.Hash.Write(p[n:])
		s.left = -1
		return len(p), nil
	}
	s.left -= int64(len(p))
	return s.Hash.Write(p)
}

type counter struct {
	r io.Reader
	n int64
}

func (c *counter) Read(p []byte) (int, error) {
	n, err := c.r.Read(p)
	c.n += int64(n)
	return n, err
}

// cancelled ends with its context.
type cancelled struct {
	ctx context.Context
	r   io.Reader
}

func (c cancelled) Read(p []byte) (int, error) {
	if err := c.ctx.Err(); err != nil {
		return 0, err
	}
	return c.r.Read(p)
}
