// SPDX-License-Identifier: Apache-2.0

package dr

import (
	"context"
	"io"
	"path"
	"slices"

	"hozon.dev/hozon/internal/dr/bundle"
	"hozon.dev/hozon/internal/etcd"
	"hozon.dev/hozon/internal/fail"
)

// maxSmall bounds the files of an archive that are held in memory: certificates and configuration.
const maxSmall = 1 << 20

// Archive is an archive that a restore takes from. It was read to its end, and every hash in it is right.
type Archive struct {
	File   string // its name, for messages and the journal
	Bundle *bundle.Bundle
	Image  *Image
	Status etcd.Status

	files map[string]*bundle.File
}

// Load opens an archive for a restore.
func Load(ctx context.Context, file string, r io.ReaderAt, size int64) (*Archive, error) {
	image, b, err := OpenArchive(ctx, r, size, Options{})
	if err != nil {
		return nil, err
	}
	if !image.Hashed() {
		return nil, fail.Errorf(fail.Corrupt, "etcd's snapshot in it does not end with its hash")
	}
	a := &Archive{File: file, Bundle: b, Image: image, files: map[string]*bundle.File{}}
	if a.Status, err = image.snapshot.Status(ctx); err != nil {
		return nil, err
	}
	for i := range b.Manifest.Files {
		f := &b.Manifest.Files[i]
		a.files[f.Name] = f
	}
	return a, nil
}

// entryOf is the name in an archive of a machine's file.
func entryOf(host, file string) string { return "hosts/" + host + "/files" + path.Clean(file) }

func (a *Archive) has(host, file string) bool { return a.files[entryOf(host, file)] != nil }

func (a *Archive) sum(name string) string {
	if f := a.files[name]; f != nil {
		return f.SHA256
	}
	return ""
}

// read is the content of a small file of a machine.
func (a *Archive) read(host, file string) ([]byte, error) {
	r, err := a.Bundle.File(entryOf(host, file))
	if err != nil {
		return nil, err
	}
	if r.Size() > maxSmall {
		return nil, fail.Errorf(fail.Corrupt, "%s of machine %s has %d bytes", file, host, r.Size())
	}
	return io.ReadAll(r)
}

// host finds what the archive says of a machine.
func (a *Archive) host(name string) *bundle.Host {
	all := a.Bundle.Manifest.Hosts
	i := slices.IndexFunc(all, func(h bundle.Host) bool { return h.Name == name })
	if i < 0 {
		return nil
	}
	return &all[i]
}
