// SPDX-License-Identifier: Apache-2.0

package bundle

import (
	"archive/tar"
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"time"

	"github.com/klauspost/compress/flate"

	"hozon.dev/hozon/internal/fail"
)

// Writer writes an archive. It is not safe for concurrent use.
type Writer struct {
	blocks *blocks
	tar    *tar.Writer
	files  []File
	now    time.Time
}

// NewWriter begins an archive.
func NewWriter(w io.Writer, now time.Time) (*Writer, error) {
	b, err := newBlocks(w)
	if err != nil {
		return nil, err
	}
	out := &Writer{blocks: b, tar: tar.NewWriter(b), now: now}
	return out, out.AddBytes(versionName, []byte(fmt.Sprintf("%d\n", Format)))
}

// AddBytes adds a file of ours.
func (w *Writer) AddBytes(name string, content []byte) error {
	return w.Add(&tar.Header{Typeflag: tar.TypeReg, Name: name, Mode: 0o600, Size: int64(len(content)), ModTime: w.now}, bytes.NewReader(content))
}

// Add adds an entry as a machine's tar described it; r has exactly the bytes that it announces.
func (w *Writer) Add(h *tar.Header, r io.Reader) error {
	f, ok := Describe(h)
	if !ok {
		return nil
	}
	if len(w.files) == maxFiles {
		return fail.Errorf(fail.Unsupported, "more than %d files", maxFiles)
	}
	h.Format = tar.FormatPAX
	if err := w.tar.WriteHeader(h); err != nil {
		return fmt.Errorf("write %s: %w", h.Name, err)
	}
	if f.Type == "file" {
		sum := sha256.New()
		n, err := io.Copy(io.MultiWriter(w.tar, sum), r)
		if err == nil && n != h.Size {
			err = fail.Errorf(fail.Corrupt, "%d bytes announced, %d came", h.Size, n)
		}
		if err != nil {
			return fmt.Errorf("write %s: %w", h.Name, err)
		}
		f.SHA256 = hex.EncodeToString(sum.Sum(nil))
	}
	w.files = append(w.files, f)
	return nil
}

// Close adds the manifest, with the lists that only the Writer knows, and ends the archive.
func (w *Writer) Close(m *Manifest) error {
	if err := w.tar.Flush(); err != nil {
		return err
	}
	if err := errors.Join(w.blocks.flush(), w.blocks.wait()); err != nil { // the manifest has to list the block with the last files, too
		return err
	}
	m.Format, m.Files = Format, w.files
	m.Blocks = append([]Block{}, w.blocks.list...)
	text, err := json.MarshalIndent(m, "", " ")
	if err != nil {
		return err
	}
	if err := w.AddBytes(ManifestName, text); err != nil {
		return err
	}
	if err := w.tar.Close(); err != nil {
		return err
	}
	return w.blocks.close()
}

// Release waits until nothing is written any more. Who gives up before Close calls it before what is written to is closed.
func (w *Writer) Release() { _ = w.blocks.wait() }

// blocks is a gzip member made of pieces that do not refer to each other. One is packed and written while the next one is filled.
type blocks struct {
	open    []byte
	spare   []byte
	packing chan error // nil: nothing is being packed
	failed  error      // the first error of what was

	// What follows belongs to who packs, until wait returns.
	out     io.Writer
	deflate *flate.Writer
	store   *flate.Writer // for what does not become smaller
	list    []Block
	offset  int64
	plain   int64
	crc     uint32
}

// gzipHead is that of a member without name and time.
var gzipHead = []byte{0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 255}

func newBlocks(w io.Writer) (*blocks, error) {
	b := &blocks{out: w, open: make([]byte, 0, blockSize), spare: make([]byte, 0, blockSize)}
	var err error
	if b.deflate, err = flate.NewWriter(nil, 2); err != nil {
		return nil, err
	}
	if b.store, err = flate.NewWriter(nil, flate.NoCompression); err != nil {
		return nil, err
	}
	return b, b.put(gzipHead)
}

func (b *blocks) put(p []byte) error {
	n, err := b.out.Write(p)
	b.offset += int64(n)
	return err
}

func (b *blocks) Write(p []byte) (int, error) {
	done := 0
	for done < len(p) {
		n := min(len(p)-done, blockSize-len(b.open))
		b.open = append(b.open, p[done:done+n]...)
		done += n
		if len(b.open) == blockSize {
			if err := b.flush(); err != nil {
				return done, err
			}
		}
	}
	return done, nil
}

type toOut struct{ *blocks }

func (t toOut) Write(p []byte) (int, error) { return len(p), t.put(p) }

// flush begins to pack what there is.
func (b *blocks) flush() error {
	if len(b.open) == 0 {
		return nil
	}
	if err := b.wait(); err != nil {
		return err
	}
	full, ended := b.open, make(chan error, 1)
	b.open, b.spare, b.packing = b.spare[:0], full, ended
	go func() { ended <- b.pack(full) }()
	return nil
}

// wait waits for the block that is being packed.
func (b *blocks) wait() error {
	if b.packing != nil {
		if err := <-b.packing; b.failed == nil {
			b.failed = err
		}
		b.packing = nil
	}
	return b.failed
}

func (b *blocks) pack(p []byte) error {
	b.list = append(b.list, Block{Offset: b.offset, Plain: b.plain})
	z := b.deflate
	if random(p) {
		z = b.store
	}
	z.Reset(toOut{b})
	if _, err := z.Write(p); err != nil {
		return err
	}
	if err := z.Flush(); err != nil {
		return err
	}
	b.crc = crc32.Update(b.crc, crc32.IEEETable, p)
	b.plain += int64(len(p))
	return nil
}

// random says whether bytes look like what is encrypted or compressed already: in a sample of them each value is about as frequent as any other.
func random(p []byte) bool {
	const samples, run = 64, 64
	if len(p) < 4*samples*run {
		return false
	}
	var count [256]int
	for i := range samples {
		from := i * (len(p) - run) / (samples - 1)
		for _, c := range p[from : from+run] {
			count[c]++
		}
	}
	squares := 0
	for _, n := range count {
		squares += n * n
	}
	// Chi-square: 255 with a deviation of 23 where all are as frequent, 10,000 and more in text.
	return squares*256/(samples*run)-samples*run < 450
}

func (b *blocks) close() error {
	if err := errors.Join(b.flush(), b.wait()); err != nil {
		return err
	}
	end := []byte{3, 0} // an empty final block
	end = binary.LittleEndian.AppendUint32(end, b.crc)
	return b.put(binary.LittleEndian.AppendUint32(end, uint32(b.plain)))
}
