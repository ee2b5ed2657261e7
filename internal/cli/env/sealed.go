// SPDX-License-Identifier: Apache-2.0

package env

import (
	"fmt"
	"io"
	"os"

	"hozon.dev/hozon/internal/seal"
)

// Plain is a file that is read at any offset, as if it had never been sealed.
type Plain struct {
	io.ReaderAt
	Size int64

	file *os.File
}

// Close closes the file.
func (p *Plain) Close() error { return p.file.Close() }

// OpenSealed opens a file, with the age identity in another one if it is sealed.
func OpenSealed(name, identity string) (*Plain, error) {
	f, err := os.Open(name)
	if err != nil {
		return nil, UsageError(err)
	}
	p, err := plain(f, identity)
	if err != nil {
		f.Close()
		return nil, fmt.Errorf("open %s: %w", name, err)
	}
	return p, nil
}

func plain(f *os.File, identity string) (*Plain, error) {
	info, err := f.Stat()
	if err != nil {
		return nil, err
	}
	if !info.Mode().IsRegular() {
		return nil, Usagef("it is not a file")
	}
	var head [32]byte
	n, err := f.ReadAt(head[:], 0)
	if err != nil && err != io.EOF {
		return nil, err
	}
	if !seal.Sealed(head[:n]) {
		return &Plain{f, info.Size(), f}, nil
	}
	if identity == "" {
		return nil, Usagef("it is sealed: give the identity that opens it with --identity FILE")
	}
	text, err := ReadText(identity)
	if err != nil {
		return nil, err
	}
	with, err := seal.ParseIdentities(text)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", identity, err)
	}
	opened, err := seal.Open(f, info.Size(), with)
	if err != nil {
		return nil, err
	}
	return &Plain{opened, opened.Size, f}, nil
}
