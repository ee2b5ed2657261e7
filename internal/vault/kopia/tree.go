// SPDX-License-Identifier: Apache-2.0

package kopia

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"slices"

	"github.com/kopia/kopia/repo/manifest"
	"github.com/kopia/kopia/repo/object"
	"github.com/kopia/kopia/snapshot"

	"hozon.dev/hozon/internal/fail"
	"hozon.dev/hozon/internal/vault"
)

// Snapshots lists all snapshots, of all sources.
func (r *Repository) Snapshots(ctx context.Context) (found []vault.Snapshot, err error) {
	defer r.guard(&err)
	entries, err := r.rep.FindManifests(ctx, map[string]string{manifest.TypeLabelKey: snapshot.ManifestType})
	if err != nil {
		return nil, fmt.Errorf("list the snapshots of %s: %w", r.at, damaged(err))
	}
	var problems []error
	for _, e := range entries {
		m, err := snapshot.LoadSnapshot(ctx, r.rep, e.ID)
		if err != nil {
			problems = append(problems, fmt.Errorf("read snapshot %s of %s: %w", e.ID, r.at, damaged(err)))
			continue
		}
		if m.Source.Path != sidecarPath {
			found = append(found, describe(m))
		}
	}
	slices.SortFunc(found, func(a, b vault.Snapshot) int { return a.Time.Compare(b.Time) })
	return found, errors.Join(problems...)
}

func describe(m *snapshot.Manifest) vault.Snapshot {
	return vault.Snapshot{
		ID: string(m.ID), Time: m.StartTime.ToTime(), User: m.Source.UserName, Host: m.Source.Host, Path: m.Source.Path,
		Tags: m.Tags, Files: int64(m.Stats.TotalFileCount), Bytes: m.Stats.TotalFileSize, Incomplete: m.IncompleteReason,
	}
}

// Tree opens the snapshot with the ID of its manifest.
func (r *Repository) Tree(ctx context.Context, id string) (_ vault.Tree, err error) {
	defer r.guard(&err)
	m, err := snapshot.LoadSnapshot(ctx, r.rep, manifest.ID(id))
	if errors.Is(err, snapshot.ErrSnapshotNotFound) && r.rep.Refresh(ctx) == nil { // it may be younger than what we know
		m, err = snapshot.LoadSnapshot(ctx, r.rep, manifest.ID(id))
	}
	if errors.Is(err, snapshot.ErrSnapshotNotFound) {
		return nil, fail.Errorf(fail.NotFound, "there is no snapshot %q in %s", id, r.at)
	}
	if err != nil {
		return nil, fmt.Errorf("read snapshot %s of %s: %w", id, r.at, damaged(err))
	}
	if m.RootEntry == nil {
		return nil, fail.Errorf(fail.Corrupt, "read snapshot %s of %s: it has no root", id, r.at)
	}
	root := node(m.RootEntry)
	if root.Damage != nil {
		return nil, fmt.Errorf("read snapshot %s of %s: %w", id, r.at, root.Damage)
	}
	if root.Name = ""; root.Type == vault.Folder {
		root.Ref = place{m.RootEntry.ObjectID, ""}
	}
	t := &tree{repository: r, root: root}
	switch tagged := m.Tags[sidecarTag]; tagged {
	case "":
	case sidecarNone:
		t.exact = true
	default:
		t.sidecar, t.lost = r.sidecar(ctx, manifest.ID(tagged))
		t.exact = t.lost == nil
	}
	return t, t.readRoot()
}

// sidecar opens the one that a snapshot names. What it cannot be had for does not keep the rest from being read.
func (r *Repository) sidecar(ctx context.Context, id manifest.ID) (s *sidecar, lost error) {
	m, err := snapshot.LoadSnapshot(ctx, r.rep, id)
	if err == nil && m.RootEntry == nil {
		err = errors.New("it has no root")
	}
	var o object.Reader
	if err == nil {
		o, err = r.rep.OpenObject(ctx, m.RootEntry.ObjectID)
	}
	if err == nil {
		if s, err = openSidecar(o); err == nil {
			return s, nil
		}
		o.Close()
	}
	return nil, fmt.Errorf("what kopia's own tree cannot hold (attributes, pipes, several names of one file) is lost: sidecar %s: %w", id, damaged(err))
}

// guard makes a panic of kopia's, over a number that no honest writer wrote, an error.
func (r *Repository) guard(err *error) {
	if p := recover(); p != nil {
		*err = fail.Errorf(fail.Corrupt, "read %s: %v", r.at, p)
	}
}

type tree struct {
	repository *Repository
	root       vault.Node
	sidecar    *sidecar // nil: there is none, or it is lost
	lost       error
	exact      bool // what is not in the sidecar was not on the disk
}

// A place is what a folder is found by: its object, and its path for the sidecar.
type place struct {
	id   object.ID
	path string
}

func (t *tree) Root() vault.Node { return t.root }

func (t *tree) Keeps() vault.Keeps {
	return vault.Keeps{Root: true, Xattrs: t.exact, Lost: t.lost}
}

// readRoot gives the root the attributes that the sidecar has of it.
func (t *tree) readRoot() error {
	if t.sidecar == nil {
		return nil
	}
	list, err := t.sidecar.folder("")
	if err != nil {
		return fmt.Errorf("read the sidecar: %w", damaged(err))
	}
	for i := range list {
		if list[i].name == "." && list[i].kind == 0 {
			list[i].apply(&t.root)
			t.root.Name = ""
		}
	}
	return nil
}

// streamType begins the JSON of every folder.
const streamType = "kopia:directory"

// maxFolder bounds the JSON of one folder, which is held in memory for a moment: five million names.
const maxFolder = 1 << 30

// List reads a folder, and what the sidecar has of it.
func (t *tree) List(ctx context.Context, folder vault.Node) (nodes []vault.Node, err error) {
	defer t.repository.guard(&err)
	if nodes, err = t.plain(ctx, folder); err != nil || t.sidecar == nil {
		return nodes, err
	}
	list, err := t.sidecar.folder(folder.Ref.(place).path)
	if err == nil && len(list) > 0 {
		nodes, err = merge(nodes, list)
	}
	if err != nil {
		return nil, fmt.Errorf("read folder %q: %w", folder.Name, damaged(err))
	}
	return nodes, nil
}

// plain reads the JSON that a folder is kept as.
func (t *tree) plain(ctx context.Context, folder vault.Node) (nodes []vault.Node, err error) {
	defer t.repository.guard(&err)
	at, ok := folder.Ref.(place)
	if !ok || folder.Type != vault.Folder {
		return nil, fail.Errorf(fail.Invalid, "list %q: it is no folder", folder.Name)
	}
	r, err := t.repository.rep.OpenObject(ctx, at.id)
	if err != nil {
		return nil, fmt.Errorf("read folder %q: %w", folder.Name, damaged(err))
	}
	defer r.Close()
	target := func(id object.ID) (string, error) { return t.repository.target(ctx, id) }
	if nodes, err = decode(io.LimitReader(r, maxFolder), target); err != nil {
		return nil, fmt.Errorf("read folder %q: %w", folder.Name, damaged(err))
	}
	if err := vault.Sort(nodes); err != nil {
		return nil, fmt.Errorf("read folder %q: %w", folder.Name, err)
	}
	for i := range nodes {
		if n := &nodes[i]; n.Type == vault.Folder {
			id, _ := n.Ref.(object.ID)
			n.Ref = place{id, join(at.path, n.Name)}
		}
	}
	return nodes, nil
}

func join(folder, name string) string {
	if folder == "" {
		return name
	}
	return folder + "/" + name
}

// decode goes through the JSON entry by entry: the whole would be several times larger. target reads what a link points to.
func decode(in io.Reader, target func(object.ID) (string, error)) ([]vault.Node, error) {
	d := json.NewDecoder(in)
	if err := expect(d, json.Delim('{')); err != nil {
		return nil, err
	}
	var nodes []vault.Node
	for d.More() {
		key, err := d.Token()
		if err != nil {
			return nil, err
		}
		switch key {
		case "stream":
			if err := expect(d, streamType); err != nil {
				return nil, err
			}
		case "entries":
			if nodes, err = entries(d, nodes, target); err != nil {
				return nil, err
			}
		default:
			var skip json.RawMessage
			if err := d.Decode(&skip); err != nil {
				return nil, err
			}
		}
	}
	return nodes, expect(d, json.Delim('}'))
}

func expect(d *json.Decoder, want json.Token) error {
	got, err := d.Token()
	if err != nil {
		return err
	}
	if got != want {
		return fmt.Errorf("it has %v where %v belongs", got, want)
	}
	return nil
}

func entries(d *json.Decoder, nodes []vault.Node, target func(object.ID) (string, error)) ([]vault.Node, error) {
	first, err := d.Token()
	if err != nil || first == nil { // null: an empty folder
		return nodes, err
	}
	if first != json.Delim('[') {
		return nil, fmt.Errorf("it has %v where [ belongs", first)
	}
	for d.More() {
		var e snapshot.DirEntry
		if err := d.Decode(&e); err != nil {
			return nil, err
		}
		n := node(&e)
		if n.Type == vault.Symlink && n.Damage == nil {
			n.Target, err = target(e.ObjectID)
			if n.Damage = damaged(err); err != nil && !fail.Is(n.Damage, fail.Corrupt) {
				return nil, n.Damage
			}
		}
		nodes = append(nodes, n)
	}
	return nodes, expect(d, json.Delim(']'))
}

// target reads what a link points to: a file of its own.
func (r *Repository) target(ctx context.Context, id object.ID) (string, error) {
	o, err := r.rep.OpenObject(ctx, id)
	if err != nil {
		return "", err
	}
	defer o.Close()
	b, err := io.ReadAll(io.LimitReader(o, vault.MaxTarget+1))
	if err == nil && (len(b) == 0 || len(b) > vault.MaxTarget) {
		err = fmt.Errorf("a link whose target has %d bytes", len(b))
	}
	return string(b), err
}

// node is an entry in our words.
func node(e *snapshot.DirEntry) vault.Node {
	n := vault.Node{
		Name: e.Name, Mode: mode(fs.FileMode(e.Permissions)), UID: e.UserID, GID: e.GroupID, Modified: e.ModTime.ToTime(), Ref: e.ObjectID,
	}
	switch e.Type {
	case snapshot.EntryTypeFile:
		if n.Type, n.Size = vault.Regular, e.FileSize; n.Size < 0 {
			n.Damage = fail.Errorf(fail.Corrupt, "it is said to have %d bytes", n.Size)
		}
	case snapshot.EntryTypeDirectory:
		n.Type = vault.Folder
	case snapshot.EntryTypeSymlink:
		n.Type = vault.Symlink
	default:
		n.Damage = fail.Errorf(fail.Corrupt, "it is of the unknown type %q", e.Type)
	}
	return n
}

// specials are the bits that Go and chmod have in different places.
var specials = [...]struct {
	is  fs.FileMode
	bit uint32
}{{fs.ModeSetuid, 0o4000}, {fs.ModeSetgid, 0o2000}, {fs.ModeSticky, 0o1000}}

// mode is Go's mode, which kopia writes, as chmod has it.
func mode(m fs.FileMode) uint32 {
	bits := uint32(m.Perm())
	for _, special := range specials {
		if m&special.is != 0 {
			bits |= special.bit
		}
	}
	return bits
}

// Open opens a file.
func (t *tree) Open(ctx context.Context, n vault.Node) (f vault.File, err error) {
	defer t.repository.guard(&err)
	id, ok := n.Ref.(object.ID)
	if !ok || n.Type != vault.Regular {
		return nil, fail.Errorf(fail.Invalid, "open %q: it is no file", n.Name)
	}
	r, err := t.repository.rep.OpenObject(ctx, id)
	if err != nil {
		return nil, fmt.Errorf("read file %q: %w", n.Name, damaged(err))
	}
	if r.Length() != n.Size {
		r.Close()
		return nil, fail.Errorf(fail.Corrupt, "read file %q: it has %d bytes, its folder says %d", n.Name, r.Length(), n.Size)
	}
	return &file{t.repository, n.Name, r, 0}, nil
}

type file struct {
	repository *Repository
	name       string
	r          object.Reader
	at         int64
}

func (f *file) Close() error { return f.r.Close() }

// ReadAt reads with the context that the file was opened with, which is how kopia does it; ctx is only asked before.
func (f *file) ReadAt(ctx context.Context, p []byte, off int64) (n int, err error) {
	defer f.repository.guard(&err)
	if err := ctx.Err(); err != nil {
		return 0, context.Cause(ctx)
	}
	if off >= f.r.Length() {
		return 0, io.EOF
	}
	if off != f.at {
		if _, err := f.r.Seek(off, io.SeekStart); err != nil {
			return 0, fmt.Errorf("read file %q: %w", f.name, damaged(err))
		}
	}
	n, err = io.ReadFull(f.r, p)
	f.at = off + int64(n)
	if errors.Is(err, io.ErrUnexpectedEOF) || err == io.EOF {
		if f.at == f.r.Length() {
			return n, io.EOF
		}
		err = fail.Errorf(fail.Corrupt, "it ends at %d of %d", f.at, f.r.Length())
	}
	if err != nil {
		f.at = -1
		return n, fmt.Errorf("read file %q: %w", f.name, damaged(err))
	}
	return n, nil
}
