// SPDX-License-Identifier: Apache-2.0

package restic

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"slices"
	"strconv"
	"strings"
	"time"

	"hozon.dev/hozon/internal/fail"
	"hozon.dev/hozon/internal/vault"
)

type snapshotFile struct {
	Time     time.Time `json:"time"`
	Tree     *id       `json:"tree"`
	Paths    []string  `json:"paths"`
	Hostname string    `json:"hostname"`
	Username string    `json:"username"`
	Tags     []string  `json:"tags"`
	Summary  *struct {
		Files int64 `json:"total_files_processed"`
		Bytes int64 `json:"total_bytes_processed"`
	} `json:"summary"`
}

func (f *snapshotFile) describe(name string) vault.Snapshot {
	s := vault.Snapshot{ID: name, Time: f.Time, User: f.Username, Host: f.Hostname, Path: strings.Join(f.Paths, ", "), Tags: map[string]string{}}
	for _, tag := range f.Tags {
		k, v, _ := strings.Cut(tag, "=")
		s.Tags[k] = v
	}
	if f.Summary != nil {
		s.Files, s.Bytes = f.Summary.Files, f.Summary.Bytes
	}
	return s
}

// Snapshots lists all.
func (r *Repository) Snapshots(ctx context.Context) ([]vault.Snapshot, error) {
	names, err := r.names(ctx, "snapshots/")
	if err != nil {
		return nil, fmt.Errorf("list the snapshots of %s: %w", r.at, err)
	}
	var found []vault.Snapshot
	var problems []error
	for _, name := range names {
		var f snapshotFile
		if err := r.document(ctx, "snapshots/", name, &f); err != nil {
			problems = append(problems, fmt.Errorf("read %s: %w", r.at, err))
			continue
		}
		found = append(found, f.describe(name))
	}
	slices.SortFunc(found, func(a, b vault.Snapshot) int { return a.Time.Compare(b.Time) })
	return found, errors.Join(problems...)
}

// Tree opens a snapshot by its ID, or the first digits of it: Velero notes eight.
func (r *Repository) Tree(ctx context.Context, id string) (vault.Tree, error) {
	names, err := r.names(ctx, "snapshots/")
	if err != nil {
		return nil, fmt.Errorf("list the snapshots of %s: %w", r.at, err)
	}
	names = slices.DeleteFunc(names, func(name string) bool { return id == "" || !strings.HasPrefix(name, id) })
	if len(names) == 0 {
		return nil, fail.Errorf(fail.NotFound, "there is no snapshot %q in %s", id, r.at)
	}
	if len(names) > 1 {
		return nil, fail.Errorf(fail.Invalid, "%d snapshots in %s begin with %q", len(names), r.at, id)
	}
	var f snapshotFile
	if err := r.document(ctx, "snapshots/", names[0], &f); err != nil {
		return nil, fmt.Errorf("read %s: %w", r.at, err)
	}
	if f.Tree == nil {
		return nil, fail.Errorf(fail.Corrupt, "read %s: snapshot %s has no tree", r.at, id)
	}
	// The root is the folder that `restic backup .` ran in: its own owner and mode are not kept.
	return &tree{r, vault.Node{Type: vault.Folder, Mode: 0o755, Modified: f.Time, Ref: content{folder: *f.Tree}}}, nil
}

// content is the Ref of a node.
type content struct {
	folder id
	pieces []id
}

type tree struct {
	repository *Repository
	root       vault.Node
}

func (t *tree) Root() vault.Node { return t.root }

func (t *tree) Keeps() vault.Keeps { return vault.Keeps{Xattrs: true} }

type nodeJSON struct {
	Name      string      `json:"name"`
	Type      string      `json:"type"`
	Mode      fs.FileMode `json:"mode"`
	ModTime   time.Time   `json:"mtime"`
	UID       uint32      `json:"uid"`
	GID       uint32      `json:"gid"`
	Inode     uint64      `json:"inode"`
	DeviceID  uint64      `json:"device_id"`
	Size      uint64      `json:"size"`
	Links     uint64      `json:"links"`
	Target    string      `json:"linktarget"`
	TargetRaw []byte      `json:"linktarget_raw"`
	Xattrs    []struct {
		Name  string `json:"name"`
		Value []byte `json:"value"`
	} `json:"extended_attributes"`
	Device  uint64 `json:"device"`
	Content []id   `json:"content"`
	Subtree *id    `json:"subtree"`
}

// List reads the blob that a folder is kept as.
func (t *tree) List(ctx context.Context, folder vault.Node) ([]vault.Node, error) {
	c, ok := folder.Ref.(content)
	if !ok || folder.Type != vault.Folder {
		return nil, fail.Errorf(fail.Invalid, "list %q: it is no folder", folder.Name)
	}
	text, err := t.repository.blob(ctx, c.folder, maxFolder)
	if err != nil {
		return nil, fmt.Errorf("read folder %q: %w", folder.Name, err)
	}
	nodes, err := decodeFolder(text)
	if err != nil {
		return nil, fail.Errorf(fail.Corrupt, "read folder %q: blob %s: %w", folder.Name, c.folder, err)
	}
	return nodes, nil
}

func decodeFolder(text []byte) ([]vault.Node, error) {
	var f struct {
		Nodes []nodeJSON `json:"nodes"`
	}
	if err := json.Unmarshal(text, &f); err != nil {
		return nil, err
	}
	nodes := make([]vault.Node, 0, len(f.Nodes))
	for i := range f.Nodes {
		n, err := f.Nodes[i].node()
		if err != nil {
			return nil, err
		}
		nodes = append(nodes, n)
	}
	return nodes, vault.Sort(nodes)
}

// types are restic's words.
var types = map[string]vault.Type{
	"file": vault.Regular, "dir": vault.Folder, "symlink": vault.Symlink, "fifo": vault.Pipe, "socket": vault.Socket, "dev": vault.Device, "chardev": vault.Device,
}

func (j *nodeJSON) node() (vault.Node, error) {
	// Names are quoted as in Go's source, so that JSON can hold any bytes.
	name, err := strconv.Unquote(`"` + j.Name + `"`)
	if err != nil {
		return vault.Node{}, fmt.Errorf("name %q: %w", j.Name[:min(len(j.Name), 80)], err)
	}
	n := vault.Node{
		Name: name, Type: types[j.Type], Mode: mode(j.Mode), UID: j.UID, GID: j.GID, Modified: j.ModTime, Rdev: j.Device,
	}
	for _, x := range j.Xattrs {
		n.Xattrs = append(n.Xattrs, vault.Xattr{Name: x.Name, Value: string(x.Value)})
	}
	slices.SortFunc(n.Xattrs, func(a, b vault.Xattr) int { return strings.Compare(a.Name, b.Name) })
	switch n.Type {
	case vault.Regular:
		if n.Size = int64(j.Size); n.Size < 0 {
			n.Damage = fail.Errorf(fail.Corrupt, "it is said to have %d bytes", j.Size)
		}
		if j.Links > 1 {
			n.Inode = vault.Inode{Device: j.DeviceID, Number: j.Inode}
		}
		n.Ref = content{pieces: j.Content}
	case vault.Folder:
		if j.Subtree == nil {
			n.Damage = fail.Errorf(fail.Corrupt, "it has no content")
			break
		}
		n.Ref = content{folder: *j.Subtree}
	case vault.Symlink:
		n.Target = j.Target
		if len(j.TargetRaw) > 0 {
			n.Target = string(j.TargetRaw)
		}
		if n.Target == "" || len(n.Target) > vault.MaxTarget {
			n.Damage = fail.Errorf(fail.Corrupt, "it has a target of %d bytes", len(n.Target))
		}
	case vault.Device:
		n.Mode |= 0o060000 // S_IFBLK
		if j.Type == "chardev" {
			n.Mode = n.Mode&^0o170000 | 0o020000
		}
	case vault.Pipe, vault.Socket:
	default:
		n.Damage = fail.Errorf(fail.Unsupported, "it is of the unknown type %q", j.Type)
	}
	return n, nil
}

// mode is Go's mode, which restic writes, as chmod has it.
func mode(m fs.FileMode) uint32 {
	bits := uint32(m.Perm())
	if m&fs.ModeSetuid != 0 {
		bits |= 0o4000
	}
	if m&fs.ModeSetgid != 0 {
		bits |= 0o2000
	}
	if m&fs.ModeSticky != 0 {
		bits |= 0o1000
	}
	return bits
}

// Open opens a file.
func (t *tree) Open(ctx context.Context, n vault.Node) (vault.File, error) {
	c, ok := n.Ref.(content)
	if !ok || n.Type != vault.Regular {
		return nil, fail.Errorf(fail.Invalid, "open %q: it is no file", n.Name)
	}
	x, err := t.repository.loaded(ctx)
	if err != nil {
		return nil, err
	}
	f := &file{repository: t.repository, name: n.Name, pieces: c.pieces, ends: make([]int64, len(c.pieces)), held: -1}
	var end int64
	for i, piece := range c.pieces {
		places := x.find(piece)
		if len(places) == 0 { // its length is not known, so nor is where the others are
			_, err := t.repository.blob(ctx, piece, maxPiece)
			return nil, fmt.Errorf("read file %q: %w", n.Name, err)
		}
		end += places[0].size()
		f.ends[i] = end
	}
	if end != n.Size {
		return nil, fail.Errorf(fail.Corrupt, "read file %q: its pieces have %d bytes, its folder says %d", n.Name, end, n.Size)
	}
	return f, nil
}

type file struct {
	repository *Repository
	name       string
	pieces     []id
	ends       []int64 // where each piece ends

	held int // the piece in data; -1: none
	data []byte
}

func (f *file) Close() error { return nil }

func (f *file) ReadAt(ctx context.Context, p []byte, off int64) (int, error) {
	n := 0
	for n < len(p) {
		at := off + int64(n)
		i, found := slices.BinarySearch(f.ends, at)
		for found && i < len(f.ends) && f.ends[i] <= at { // it ends where at begins
			i++
		}
		if i == len(f.ends) {
			return n, io.EOF
		}
		if err := f.hold(ctx, i); err != nil {
			return n, fmt.Errorf("read file %q: %w", f.name, err)
		}
		start := f.ends[i] - int64(len(f.data))
		n += copy(p[n:], f.data[at-start:])
	}
	return n, nil
}

func (f *file) hold(ctx context.Context, i int) error {
	if f.held == i {
		return nil
	}
	data, err := f.repository.blob(ctx, f.pieces[i], maxPiece)
	if err != nil {
		return err
	}
	start := int64(0)
	if i > 0 {
		start = f.ends[i-1]
	}
	if int64(len(data)) != f.ends[i]-start {
		return fail.Errorf(fail.Corrupt, "blob %s has %d bytes, its index says %d", f.pieces[i], len(data), f.ends[i]-start)
	}
	f.held, f.data = i, data
	return nil
}
