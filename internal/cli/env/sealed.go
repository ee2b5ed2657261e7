// SPDX-License-Identifier: Apache-2.0

package env

import (
	"context"
	"fmt"
	"io"
	"os"
	"strings"

	"hozon.dev/hozon/internal/seal"
	"hozon.dev/hozon/internal/store"
)

// Plain is a file that is read at any offset, as if it had never been sealed.
type Plain struct {
	io.ReaderAt
	Size int64

	file io.Closer // nil: it lies in a store
}

// Close closes the file.
func (p *Plain) Close() error {
	if p.file == nil {
		return nil
	}
	return p.file.Close()
}

// OpenArchive opens a file, with the age identity in another one if it is sealed. A name as archives of control planes have it, of which there is no file, is
// looked for in the store of --store.
func (e *Env) OpenArchive(ctx context.Context, name, identity string) (*Plain, error) {
	f, err := os.Open(name)
	if cluster, _, ok := strings.Cut(name, "_backup_"); ok && os.IsNotExist(err) && e.StoreURL != "" && !strings.Contains(name, "/") {
		return e.openStored(ctx, cluster, name, identity)
	}
	if err != nil {
		return nil, UsageError(err)
	}
	info, err := f.Stat()
	if err == nil && !info.Mode().IsRegular() {
		err = Usagef("it is not a file")
	}
	var p *Plain
	if err == nil {
		p, err = plain(f, info.Size(), identity)
	}
	if err != nil {
		f.Close()
		return nil, fmt.Errorf("open %s: %w", name, err)
	}
	p.file = f
	return p, nil
}

func (e *Env) openStored(ctx context.Context, cluster, name, identity string) (*Plain, error) {
	s, err := e.OpenStore(ctx, false)
	if err != nil {
		return nil, err
	}
	shelf, err := s.Shelf(store.Clusters, cluster)
	if err != nil {
		return nil, err
	}
	stored, err := shelf.Open(ctx, name)
	if err != nil {
		return nil, err
	}
	p, err := plain(stored, stored.Size, identity)
	if err != nil {
		return nil, fmt.Errorf("open %s: %w", stored.Name, err)
	}
	return p, nil
}

func plain(f io.ReaderAt, size int64, identity string) (*Plain, error) {
	var head [32]byte
	n, err := f.ReadAt(head[:], 0)
	if err != nil && err != io.EOF {
		return nil, err
	}
	if !seal.Sealed(head[:n]) {
		return &Plain{ReaderAt: f, Size: size}, nil
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
	opened, err := seal.Open(f, size, with)
	if err != nil {
		return nil, err
	}
	return &Plain{ReaderAt: opened, Size: opened.Size}, nil
}
