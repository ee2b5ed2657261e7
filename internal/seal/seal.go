// SPDX-License-Identifier: Apache-2.0

// Package seal encrypts what leaves for a place that is not trusted, to age recipients, and opens it again at any offset.
//
//	w, err := seal.NewWriter(file, recipients); …; err = w.Close()
//	f, err := seal.Open(file, size, identities); f.ReadAt(…)
//
// The format is age v1 (age-encryption.org/v1), nothing of ours: `age -d` opens what this package wrote. Each 64 KiB of it is
// authenticated by itself, together with its place and whether it is the last, so that a part can be read without the rest and a cut is noticed.
//
// Its nouns: Recipients can seal and not open; Identities can open.
//
// Invariants: nothing is stored that could be read without an identity; what is read is hostile: the header is bounded before it is parsed, and a byte
// that was changed is fail.Corrupt; keys are never part of an error and print nothing.
package seal

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"strings"
	"sync/atomic"

	"filippo.io/age"

	"hozon.dev/hozon/internal/fail"
)

// Extension is what names of sealed files end in.
const Extension = ".age"

// intro is how an age file begins.
const intro = "age-encryption.org/v1\n"

// maxHeader bounds the part of a file in front of the data: a recipient takes about 100 bytes, one that quantum computers do not break about 1,700.
const maxHeader = 256 << 10

// Recipients are who can open what is sealed.
type Recipients []age.Recipient

// Identities are the secrets that open what was sealed to their recipients.
type Identities []age.Identity

func (i Identities) String() string   { return fmt.Sprintf("%d identities", len(i)) }
func (i Identities) GoString() string { return i.String() }

// ParseRecipients reads recipients ("age1…"), one a line; empty lines and lines that begin with # are passed over.
func ParseRecipients(text string) (Recipients, error) {
	list, err := age.ParseRecipients(strings.NewReader(text))
	if err != nil {
		if strings.Contains(text, "AGE-SECRET-KEY-") {
			return nil, fail.Errorf(fail.Invalid, "read recipients: this is an identity, the secret half; give the recipient that `age-keygen -y` prints")
		}
		return nil, fail.Errorf(fail.Invalid, "read recipients: %w", err)
	}
	return list, nil
}

// ParseIdentities reads identities ("AGE-SECRET-KEY-…") as age-keygen writes them, one a line.
func ParseIdentities(text string) (Identities, error) {
	list, err := age.ParseIdentities(strings.NewReader(text))
	if err != nil { // age's own text could quote the line
		return nil, fail.Errorf(fail.Invalid, "read identities: not a file as age-keygen writes it, with lines that begin with AGE-SECRET-KEY-")
	}
	return list, nil
}

// NewWriter seals what is written to it. It does not close w.
func NewWriter(w io.Writer, to Recipients) (io.WriteCloser, error) {
	if len(to) == 0 {
		return nil, fail.Errorf(fail.Invalid, "seal: no recipients")
	}
	out, err := age.Encrypt(w, to...)
	if err != nil {
		return nil, fmt.Errorf("seal: %w", err)
	}
	return out, nil
}

// NewCheckedWriter is a NewWriter to one recipient more, made for this run: who holds the Identities, which never leave the process, can read back
// what was written.
func NewCheckedWriter(w io.Writer, to Recipients) (io.WriteCloser, Identities, error) {
	own, err := age.GenerateX25519Identity()
	if err != nil {
		return nil, nil, err
	}
	out, err := NewWriter(w, append(append(Recipients{}, to...), own.Recipient()))
	return out, Identities{own}, err
}

// Sealed says whether a file that begins with head is sealed; 22 bytes are enough.
func Sealed(head []byte) bool { return bytes.HasPrefix(head, []byte(intro)) }

// File is a sealed file, opened.
type File struct {
	Size int64 // bytes of the content

	plain  io.ReaderAt
	source *source
}

// source remembers whether reading itself has failed, which is no damage.
type source struct {
	io.ReaderAt
	failed atomic.Bool
}

func (s *source) ReadAt(p []byte, off int64) (int, error) {
	n, err := s.ReaderAt.ReadAt(p, off)
	if err != nil && !errors.Is(err, io.EOF) {
		s.failed.Store(true)
	}
	return n, err
}

// Open opens a sealed file of size bytes. fail.Denied: none of the identities is of its recipients.
func Open(r io.ReaderAt, size int64, with Identities) (*File, error) {
	if len(with) == 0 {
		return nil, fail.Errorf(fail.Denied, "it is sealed: an identity is needed")
	}
	if err := checkHeader(r, size); err != nil {
		return nil, err
	}
	s := &source{ReaderAt: r}
	plain, length, err := age.DecryptReaderAt(s, size, with...)
	var no *age.NoIdentityMatchError
	switch {
	case errors.As(err, &no):
		return nil, fail.Errorf(fail.Denied, "it is sealed to other recipients: none of the %d identities opens it", len(with))
	case err != nil:
		return nil, s.explain(err)
	}
	return &File{Size: length, plain: plain, source: s}, nil
}

// checkHeader finds the end of the header within the bound.
func checkHeader(r io.ReaderAt, size int64) error {
	head := make([]byte, min(size, maxHeader))
	if _, err := r.ReadAt(head, 0); err != nil && !errors.Is(err, io.EOF) {
		return err
	}
	if !Sealed(head) {
		return fail.Errorf(fail.Corrupt, "not a sealed file")
	}
	if !bytes.Contains(head, []byte("\n--- ")) {
		return fail.Errorf(fail.Corrupt, "a sealed file whose header does not end within %d bytes", len(head))
	}
	return nil
}

func (s *source) explain(err error) error {
	if s.failed.Load() {
		return err
	}
	return fail.Errorf(fail.Corrupt, "sealed file: %w", err)
}

// ReadAt reads the content. It may be called from several goroutines.
func (f *File) ReadAt(p []byte, off int64) (int, error) {
	n, err := f.plain.ReadAt(p, off)
	if err != nil && !errors.Is(err, io.EOF) {
		return n, f.source.explain(err)
	}
	return n, err
}
