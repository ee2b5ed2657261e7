// SPDX-License-Identifier: Apache-2.0

package transfer

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"

	"hozon.dev/hozon/internal/fail"
	"hozon.dev/hozon/internal/vault"
)

// Snapshot is what Restore copies: a folder or a file of a tree.
type Snapshot struct {
	Tree vault.Tree
	Path string // of what is copied; "": all
}

// Restore copies what is below a folder of a snapshot into a folder of this machine, or a file into it, as a pull does: only what differs in size
// or time is read, and nothing outside of dir is written. Runs of zeros become holes. p may be nil.
func Restore(ctx context.Context, from Snapshot, dir string, o Options, p *Progress) (Stats, error) {
	if err := o.Check(); err != nil {
		return Stats{}, err
	}
	src, only, err := openSnapshot(ctx, from)
	if err != nil {
		return Stats{}, err
	}
	into, err := openLocal(Request{Local: dir, Options: o})
	if err != nil {
		return Stats{}, err
	}
	defer into.close()
	if p == nil {
		p = new(Progress)
	}
	keeps := from.Tree.Keeps()
	whole := strings.Trim(from.Path, "/") == ""
	r := &receiver{
		root: into.at, filter: o.Filter, delete: o.Delete, dryRun: o.DryRun, devices: o.Devices,
		owner: !o.NoOwner && os.Geteuid() == 0, xattrs: keeps.Xattrs, keepRoot: whole && !keeps.Root, progress: new(Progress),
	}
	defer src.close()
	s := &sender{source: src, only: only, filter: o.Filter, devices: o.Devices, progress: p, sockets: true}
	d := newDirect(from.Tree, r, p)
	r.direct, s.direct = d, d
	stats, err := together(ctx, s, r)
	d.end()
	if keeps.Lost != nil {
		stats.add(Problem{Text: keeps.Lost.Error()})
	}
	return stats, err
}

// together runs both ends in this process.
func together(outer context.Context, s *sender, r *receiver) (Stats, error) {
	ctx, cancel := context.WithCancelCause(outer)
	defer cancel(nil)
	receiverIn, senderOut := io.Pipe()
	senderIn, receiverOut := io.Pipe()
	s.link, r.link = newLink(senderIn, senderOut), newLink(receiverIn, receiverOut)
	sent := make(chan error, 1)
	go func() {
		_, err := s.run(ctx)
		if err != nil {
			s.link.sendFatal(err)
		}
		senderOut.CloseWithError(err)
		senderIn.Close()
		sent <- err
	}()
	stats, err := r.run(ctx)
	if err != nil {
		cancel(err)
		receiverIn.CloseWithError(err)
	}
	receiverOut.Close()
	if e := <-sent; e != nil && (err == nil || errors.Is(err, ErrBroken)) {
		err = e
	}
	if err != nil && outer.Err() != nil {
		err = context.Cause(outer) // whichever end was heard first
	}
	return stats, err
}

func openSnapshot(ctx context.Context, from Snapshot) (*stored, string, error) {
	n, err := vault.Find(ctx, from.Tree, from.Path)
	if err != nil {
		return nil, "", err
	}
	if n.Damage != nil {
		return nil, "", fmt.Errorf("%s: %w", from.Path, n.Damage)
	}
	s := &stored{tree: from.Tree}
	if n.Type != vault.Folder {
		if n.Name == "" {
			return nil, "", fail.Errorf(fail.Unsupported, "the snapshot is of a block device, not of files")
		}
		s.top = &storedPlace{from: s, nodes: []vault.Node{n}, node: vault.Node{Type: vault.Folder}}
		return s, n.Name, nil
	}
	s.top, err = s.open(ctx, n)
	return s, "", err
}

// stored is a source in a repository.
type stored struct {
	tree vault.Tree
	top  *storedPlace
}

func (s *stored) root() place { return s.top }
func (s *stored) close()      {}

func (s *stored) open(ctx context.Context, n vault.Node) (*storedPlace, error) {
	nodes, err := s.tree.List(ctx, n)
	return &storedPlace{from: s, node: n, nodes: nodes}, err
}

func (s *stored) openFile(ctx context.Context, e *Entry) (content, error) {
	f, err := s.tree.Open(ctx, e.node)
	return storedFile{f}, err
}

type storedPlace struct {
	from  *stored
	node  vault.Node
	nodes []vault.Node // sorted
}

func (p *storedPlace) close() { p.nodes = nil }

func (p *storedPlace) names(context.Context) ([]string, error) {
	names := make([]string, len(p.nodes))
	for i := range p.nodes {
		names[i] = p.nodes[i].Name
	}
	return names, nil
}

func (p *storedPlace) find(name string) (vault.Node, error) {
	i, found := slices.BinarySearchFunc(p.nodes, name, func(n vault.Node, name string) int { return strings.Compare(n.Name, name) })
	if !found {
		return vault.Node{}, os.ErrNotExist
	}
	return p.nodes[i], p.nodes[i].Damage
}

func (p *storedPlace) stat(_ context.Context, name string) (Entry, error) {
	if name == "." {
		return entryOf(p.node), nil
	}
	n, err := p.find(name)
	if err != nil {
		return Entry{}, err
	}
	e := entryOf(n)
	e.Path = name
	return e, e.checkStored()
}

// checkStored refuses what the receiver would call a breach of the protocol, and end the run for: it is the fault of one name.
func (e *Entry) checkStored() error {
	total := 0
	for _, x := range e.Xattr {
		total += len(x.Value)
	}
	if total > maxXattrs || len(e.Xattr) > 1024 {
		return errors.New("its attributes are too long")
	}
	if len(e.Link) > maxPath {
		return errors.New("its target is too long")
	}
	return e.check()
}

func (p *storedPlace) enter(ctx context.Context, name string) (place, error) {
	n, err := p.find(name)
	if err != nil {
		return &storedPlace{}, err
	}
	return p.from.open(ctx, n)
}

func entryOf(n vault.Node) Entry {
	e := Entry{
		Type: Type(n.Type), Mode: n.Mode & permMask, UID: n.UID, GID: n.GID, Size: uint64(n.Size), Sec: n.Modified.Unix(), Nsec: uint32(n.Modified.Nanosecond()),
		Dev: n.Rdev, Link: n.Target, node: n,
	}
	if n.Type == vault.Device {
		e.Mode = n.Mode & 0xffff
	}
	for _, x := range n.Xattrs {
		if copied(x.Name) {
			e.Xattr = append(e.Xattr, Xattr(x))
		}
	}
	if n.Inode != (vault.Inode{}) {
		e.links, e.key = 2, inode{n.Inode.Device, n.Inode.Number}
	}
	return e
}

type storedFile struct{ file vault.File }

func (f storedFile) readAt(ctx context.Context, p []byte, off int64) (int, error) {
	return f.file.ReadAt(ctx, p, off)
}
func (f storedFile) nextData(from, size int64) (start, end int64) { return from, size }
func (f storedFile) sparse() bool                                 { return true }
func (f storedFile) changed(*Entry) bool                          { return false }
func (f storedFile) close()                                       { f.file.Close() }
