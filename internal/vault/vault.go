// SPDX-License-Identifier: Apache-2.0

// Package vault has the words for repositories with the data of volumes: a Repository holds Snapshots, a snapshot is a Tree of Nodes.
// The formats live in sub-packages, one each: kopia, which is written too, and restic, which is only read, for ever.
//
// What every Repository promises:
//   - opening and reading write nothing into the bucket;
//   - memory does not grow with the repository or with a file: one folder's nodes, and a few pieces of files, are held at a time;
//   - what is read is hostile: names, sizes, depths and references are checked before they are used, and no byte is returned that was not
//     checked against its hash or MAC;
//   - damage (fail.Corrupt) concerns what it touches: it names the object of the bucket, and everything else can still be read;
//   - a wrong password is fail.Denied, no repository at all fail.NotFound, a format that is not known fail.Unsupported.
//
// It knows no backups, no clusters, and does not write to disks but for a cache.
package vault

import (
	"context"
	"io"
	"slices"
	"strings"
	"time"

	"hozon.dev/hozon/internal/fail"
)

// Repository is an open repository. Its methods may be called from several goroutines.
type Repository interface {
	// Snapshots lists all, sorted by time. Those that cannot be read are left out and joined into the error, beside the others.
	Snapshots(ctx context.Context) ([]Snapshot, error)
	// Tree opens one by its ID; where the format shortens IDs, by any part that is enough. fail.NotFound if there is none.
	Tree(ctx context.Context, id string) (Tree, error)
	Close(ctx context.Context) error
}

// Snapshot describes one volume at one time.
type Snapshot struct {
	ID         string            `json:"id"`
	Time       time.Time         `json:"time"`
	User       string            `json:"user,omitempty"`
	Host       string            `json:"host,omitempty"`
	Path       string            `json:"path,omitempty"`
	Tags       map[string]string `json:"tags,omitempty"`
	Files      int64             `json:"files,omitempty"` // 0 if not recorded
	Bytes      int64             `json:"bytes,omitempty"` // likewise
	Incomplete string            `json:"incomplete,omitempty"`
}

// Tree is what a snapshot holds.
type Tree interface {
	// Root is the volume itself, nearly always a folder. Its name is empty.
	Root() Node
	// Keeps says what this tree has of its files.
	Keeps() Keeps
	// List returns what is in a folder of this tree, sorted by the bytes of the names.
	List(ctx context.Context, folder Node) ([]Node, error)
	// Open opens a file of this tree. Close it.
	Open(ctx context.Context, file Node) (File, error)
}

// Keeps says what a tree has of its files, beside names, bytes, modes, owners, links and times.
type Keeps struct {
	Xattrs bool  // extended attributes; else nobody knows whether there were any
	Root   bool  // mode and owner of the root
	Lost   error // why something that was kept cannot be had, of the whole tree
}

// File gives the bytes of a file, up to its Node's size. A damaged part is an error where it is; the parts beside it can be read.
// It is for one goroutine, and fastest from front to back.
type File interface {
	ReadAt(ctx context.Context, p []byte, off int64) (int, error) // as io.ReaderAt
	io.Closer
}

// Type says what a node is.
type Type byte

const (
	Regular Type = 'f'
	Folder  Type = 'd'
	Symlink Type = 'l'
	Pipe    Type = 'p'
	Device  Type = 'c' // of either sort, told apart by Mode
	Socket  Type = 's'
)

// Node is one name of a tree.
type Node struct {
	Name     string
	Type     Type
	Mode     uint32 // the twelve bits of chmod; of a device also its sort, as Linux has it
	UID, GID uint32
	Size     int64 // regular files
	Modified time.Time
	Target   string // symbolic links
	Rdev     uint64 // devices
	Inode    Inode  // of files with several names; else zero
	Xattrs   []Xattr

	// Damage is why this one cannot be had, although its folder names it.
	Damage error

	Ref any // what the Tree finds the content by
}

// Inode tells files apart that have several names each: nodes of one tree with the same one are the same file.
type Inode struct{ Device, Number uint64 }

// Xattr is an extended attribute.
type Xattr struct{ Name, Value string }

// Bounds of what a folder may hold; beyond them it is damaged, or made to do harm.
const (
	maxName   = 4096
	MaxTarget = 64 << 10
	maxDepth  = 512
)

// CheckName refuses names that mean something outside of their folder.
func CheckName(name string) error {
	if name == "" || name == "." || name == ".." || strings.ContainsAny(name, "/\x00") || len(name) > maxName {
		return fail.Errorf(fail.Corrupt, "%q cannot be the name of a file", name[:min(len(name), 64)])
	}
	return nil
}

// Sort puts the nodes of a folder into order, and refuses two of one name and names that are none.
func Sort(nodes []Node) error {
	slices.SortFunc(nodes, func(a, b Node) int { return strings.Compare(a.Name, b.Name) })
	for i := range nodes {
		if err := CheckName(nodes[i].Name); err != nil {
			return err
		}
		if i > 0 && nodes[i].Name == nodes[i-1].Name {
			return fail.Errorf(fail.Corrupt, "the name %q is there twice", nodes[i].Name)
		}
	}
	return nil
}

// Find walks from the root of a tree to a path; "" and "/" are the root. What is not there is fail.NotFound. Links are not followed.
func Find(ctx context.Context, t Tree, path string) (Node, error) {
	at := t.Root()
	depth := 0
	for name := range strings.SplitSeq(path, "/") {
		if name == "" || name == "." {
			continue
		}
		if depth++; depth > maxDepth {
			return Node{}, fail.Errorf(fail.Invalid, "the path has more than %d folders", maxDepth)
		}
		if at.Type != Folder {
			return Node{}, fail.Errorf(fail.NotFound, "there is no %s: %q is no folder", path, at.Name)
		}
		nodes, err := t.List(ctx, at)
		if err != nil {
			return Node{}, err
		}
		i, found := slices.BinarySearchFunc(nodes, name, func(n Node, name string) int { return strings.Compare(n.Name, name) })
		if !found {
			return Node{}, fail.Errorf(fail.NotFound, "there is no %s: nothing is called %q there", path, name)
		}
		at = nodes[i]
	}
	return at, nil
}
