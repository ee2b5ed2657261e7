// SPDX-License-Identifier: Apache-2.0

package archive

import (
	"bufio"
	"errors"
	"fmt"
	"io"

	"github.com/klauspost/compress/gzip"

	"hozon.dev/hozon/internal/fail"
)

// input counts what was read of a file, and keeps the file's own faults apart from what is wrong with its content.
type input struct {
	r   io.Reader
	n   int64
	err error
}

func (in *input) Read(p []byte) (int, error) {
	n, err := in.r.Read(p)
	in.n += int64(n)
	if err != nil && err != io.EOF && in.err == nil {
		in.err = err
	}
	return n, err
}

// stream is the content of a gzip member, read from the start.
type stream interface {
	io.Reader
	plain() int64  // bytes inflated so far
	packed() int64 // bytes of the file used for them, about
	fault() error  // of the file, not of its content; nil if there is none
}

// gunzip reads a file that is one gzip member and nothing else. Its Read returns io.EOF only if
// checksum and length are right and the file ends there.
type gunzip struct {
	in  *input
	buf *bufio.Reader
	gz  *gzip.Reader
	n   int64
}

func newGunzip(r io.Reader) (*gunzip, error) {
	g := &gunzip{in: &input{r: r}}
	g.buf = bufio.NewReaderSize(g.in, 64<<10)
	gz, err := gzip.NewReader(g.buf)
	if err != nil {
		return nil, describe(g, inflateError(err))
	}
	gz.Multistream(false)
	g.gz = gz
	return g, nil
}

func (g *gunzip) Read(p []byte) (int, error) {
	n, err := g.gz.Read(p)
	g.n += int64(n)
	switch {
	case err == nil:
	case err == io.EOF:
		if _, more := g.buf.Peek(1); more == nil {
			err = errTrailing
		} else if more != io.EOF {
			err = more
		}
	default:
		err = inflateError(err)
	}
	return n, err
}

func (g *gunzip) plain() int64  { return g.n }
func (g *gunzip) packed() int64 { return g.in.n - int64(g.buf.Buffered()) }
func (g *gunzip) fault() error  { return g.in.err }

var errTrailing = errors.New("there are bytes after the end of the gzip member")

// inflateError gives the errors of gzip and deflate words that say what is wrong with the file.
func inflateError(err error) error {
	switch {
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
		return fmt.Errorf("the file is cut off: %w", io.ErrUnexpectedEOF)
	case errors.Is(err, gzip.ErrChecksum):
		return fmt.Errorf("checksum or length do not match: %w", err)
	case errors.Is(err, gzip.ErrHeader):
		return fmt.Errorf("no gzip header: %w", err)
	}
	return err
}

// describe makes an error of reading s an error with a kind and a place: fail.Corrupt, unless the file itself had a fault.
func describe(s stream, err error) error {
	if fault := s.fault(); fault != nil {
		return fault
	}
	return fail.Errorf(fail.Corrupt, "at byte %d of the content, about byte %d of the file: %w", s.plain(), s.packed(), err)
}
