// SPDX-License-Identifier: Apache-2.0

// Package hostset saves files of machines into a store, says what has changed on them since, and brings files back.
//
// Its nouns: a Set is a backup of the files of some machines, one archive (package bundle) for each; its Record is written last, and without it
// there is no Set; a Change is one difference between a machine and its archive.
//
// Invariants: an archive is read back and verified before the Record names it; a machine that cannot be saved is in the Record with its reason, and does
// not keep the others from being saved; a restore writes to a machine only after everything has arrived there, keeps what it replaces, removes nothing,
// and can be repeated.
//
// What is worth saving is said by profiles (package host/profile); nothing of a profile is run.
package hostset

import (
	"context"
	"fmt"
	"io"
	"slices"
	"time"

	"hozon.dev/hozon/internal/dr/bundle"
	"hozon.dev/hozon/internal/fail"
	"hozon.dev/hozon/internal/seal"
	"hozon.dev/hozon/internal/store"
)

const (
	format     = 1
	recordFile = "hozon-hosts.json"
	notesFile  = "notes.txt"
)

// Record is what the store says of a Set, in the clear: it has no contents of files.
type Record struct {
	Format  int       `json:"format"`
	Name    string    `json:"name"`
	Tool    string    `json:"tool"`
	Created time.Time `json:"created"`
	Sealed  bool      `json:"sealed"`
	Hosts   []Saved   `json:"hosts"`
}

// Saved is what became of one machine.
type Saved struct {
	Name     string   `json:"name"`
	Address  string   `json:"address,omitempty"`
	Profiles []string `json:"profiles"`
	Archive  string   `json:"archive,omitempty"`
	Size     int64    `json:"size"`  // bytes of the archive
	Files    int      `json:"files"` // folders and links too
	Packages int      `json:"packages"`
	After    []string `json:"after,omitempty"` // what to do after files were brought back
	Error    string   `json:"error,omitempty"`
}

// Failed are the machines that were not saved.
func (r *Record) Failed() int {
	n := 0
	for _, h := range r.Hosts {
		if h.Error != "" {
			n++
		}
	}
	return n
}

// Set is a Set of a store.
type Set struct {
	Record Record

	shelf *store.Shelf
}

// Open opens a Set by its name.
func Open(ctx context.Context, s *store.Store, name string) (*Set, error) {
	shelf, err := s.Shelf(store.Hosts, name)
	if err != nil {
		return nil, err
	}
	out := &Set{shelf: shelf}
	err = shelf.ReadJSON(ctx, recordFile, &out.Record)
	switch {
	case fail.Is(err, fail.NotFound):
		return nil, fail.Errorf(fail.NotFound, "host backup %s: there is none in %s", name, s)
	case err != nil:
		return nil, fmt.Errorf("host backup %s: %w", name, err)
	case out.Record.Format > format || out.Record.Format < 1:
		return nil, fail.Errorf(fail.Unsupported, "host backup %s: it has format %d; this program knows up to %d: use a newer one", name, out.Record.Format, format)
	}
	return out, nil
}

// List lists the Records of all Sets, the oldest first.
func List(ctx context.Context, s *store.Store) ([]Record, error) {
	names, err := s.Shelves(ctx, store.Hosts)
	if err != nil {
		return nil, err
	}
	records := []Record{}
	for _, name := range names {
		set, err := Open(ctx, s, name)
		if fail.Is(err, fail.NotFound) || fail.Is(err, fail.Invalid) {
			continue // one that is being written, or whose writer has died
		}
		if err != nil {
			return nil, err
		}
		records = append(records, set.Record)
	}
	slices.SortFunc(records, func(a, b Record) int { return a.Created.Compare(b.Created) })
	return records, nil
}

// Host opens the archive of one machine, and reads it once from the beginning to the end.
func (s *Set) Host(ctx context.Context, name string, with seal.Identities) (*Archive, error) {
	i := slices.IndexFunc(s.Record.Hosts, func(h Saved) bool { return h.Name == name })
	if i < 0 || s.Record.Hosts[i].Archive == "" {
		return nil, fail.Errorf(fail.NotFound, "host backup %s has nothing of host %s", s.Record.Name, name)
	}
	saved := s.Record.Hosts[i]
	a, err := openArchive(ctx, s.shelf, saved, with)
	if err != nil {
		return nil, fmt.Errorf("host backup %s: host %s: %w", s.Record.Name, name, err)
	}
	return a, nil
}

// Archive is what was saved of one machine.
type Archive struct {
	Saved
	Files    map[string]bundle.File // by path on the machine, without the slash in front
	Paths    []string               // that were asked for
	Packages []string
	Notes    string

	bundle *bundle.Bundle
	prefix string // of the entries that are files
}

func openArchive(ctx context.Context, shelf *store.Shelf, saved Saved, with seal.Identities) (*Archive, error) {
	stored, err := shelf.Open(ctx, saved.Archive)
	if err != nil {
		return nil, err
	}
	var r io.ReaderAt = stored
	size := stored.Size
	head := make([]byte, 32)
	if n, err := r.ReadAt(head, 0); err != nil && err != io.EOF {
		return nil, err
	} else if seal.Sealed(head[:n]) {
		opened, err := seal.Open(r, size, with)
		if err != nil {
			return nil, err
		}
		r, size = opened, opened.Size
	}
	b, err := bundle.Open(ctx, r, size, nil)
	if err != nil {
		return nil, err
	}
	if len(b.Manifest.Hosts) != 1 || b.Manifest.Hosts[0].Name != saved.Name {
		return nil, fail.Errorf(fail.Corrupt, "the archive is of another host")
	}
	a := &Archive{Saved: saved, bundle: b, prefix: "hosts/" + saved.Name + "/files/", Paths: b.Manifest.Hosts[0].Paths}
	return a, a.index()
}
