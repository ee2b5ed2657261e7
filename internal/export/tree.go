// SPDX-License-Identifier: Apache-2.0

package export

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"os"
	"path"
	"slices"
	"strings"
	"sync"

	"hozon.dev/hozon/internal/manifest"
)

// Tree is a Sink that writes a file an object into a folder. What lies there already is replaced if it differs; on Close, files of an earlier
// export that are not in this one are removed. Other files are left alone, and nothing is written outside of the folder.
type Tree struct {
	root  *os.Root
	fresh bool // there was nothing

	mu      sync.Mutex
	open    map[string]*openFolder
	written map[string]bool
}

// openFolder is a folder of the tree that files are written into: the way to it is gone once, not for each file.
type openFolder struct {
	*os.Root
	users int
}

// maxOpen bounds the folders that are kept open and not in use.
const maxOpen = 64

var treeFolders = []string{manifest.ClusterFolder, manifest.NamespaceFolder, manifest.ObjectFolder, manifest.PodFolder}

// OpenTree makes the folder if it does not exist.
func OpenTree(dir string) (*Tree, error) {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return nil, fmt.Errorf("make folder %s: %w", dir, err)
	}
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil, err
	}
	root, err := os.OpenRoot(dir)
	if err != nil {
		return nil, err
	}
	return &Tree{root: root, fresh: len(entries) == 0, open: map[string]*openFolder{}, written: map[string]bool{}}, nil
}

// Put writes one file. A Secret's can be read by its owner only.
func (t *Tree) Put(name string, secret bool, data []byte) error {
	dir, err := t.folder(path.Dir(name))
	if err != nil {
		return err
	}
	defer t.leave(dir)
	t.mu.Lock()
	again := t.written[name]
	t.written[name] = true
	t.mu.Unlock()
	mode := fs.FileMode(0o644)
	if secret {
		mode = 0o600
	}
	base := path.Base(name)
	if t.fresh && !again {
		return create(dir.Root, base, mode, data)
	}
	if old, err := dir.ReadFile(base); err == nil && bytes.Equal(old, data) {
		return nil
	}
	part := "." + base + ".part"
	if len(part) > 255 {
		part = ".part"
	}
	if err := dir.Remove(part); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	if err := create(dir.Root, part, mode, data); err != nil {
		return err
	}
	return dir.Rename(part, base)
}

func create(in *os.Root, name string, mode fs.FileMode, data []byte) error {
	f, err := in.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_EXCL, mode)
	if err != nil {
		return err
	}
	_, err = f.Write(data)
	if err = errors.Join(err, f.Close()); err != nil {
		_ = in.Remove(name) // half a manifest is worse than none
		return fmt.Errorf("write %s: %w", path.Join(in.Name(), name), err)
	}
	return nil
}

// folder makes and opens a folder of the tree, until leave.
func (t *Tree) folder(name string) (*openFolder, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if dir, ok := t.open[name]; ok {
		dir.users++
		return dir, nil
	}
	if err := t.root.MkdirAll(name, 0o755); err != nil {
		return nil, err
	}
	root, err := t.root.OpenRoot(name)
	if err != nil {
		return nil, err
	}
	if len(t.open) >= maxOpen {
		t.shut(func(dir *openFolder) bool { return dir.users == 0 })
	}
	dir := &openFolder{Root: root, users: 1}
	t.open[name] = dir
	return dir, nil
}

func (t *Tree) leave(dir *openFolder) {
	t.mu.Lock()
	defer t.mu.Unlock()
	dir.users--
}

// shut closes folders.
func (t *Tree) shut(which func(*openFolder) bool) {
	for name, dir := range t.open {
		if which(dir) {
			dir.Close()
			delete(t.open, name)
		}
	}
}

// Reset makes Close remove what was written so far, unless it is written again.
func (t *Tree) Reset() error {
	t.fresh = false
	clear(t.written)
	return nil
}

// Close removes what an earlier export has left.
func (t *Tree) Close() error {
	defer t.Abandon()
	if t.fresh {
		return nil
	}
	for _, folder := range treeFolders {
		if err := t.prune(folder); err != nil {
			return err
		}
	}
	return nil
}

// Abandon ends an export that failed: nothing is removed.
func (t *Tree) Abandon() {
	t.shut(func(*openFolder) bool { return true })
	t.root.Close()
}

func (t *Tree) prune(folder string) error {
	var stale []string
	err := fs.WalkDir(t.root.FS(), folder, func(name string, d fs.DirEntry, err error) error {
		if errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		if err != nil {
			return err
		}
		if !d.IsDir() && strings.HasSuffix(name, ".yaml") && !t.written[name] {
			stale = append(stale, name)
		}
		return nil
	})
	if err != nil {
		return err
	}
	for _, name := range stale {
		if err := t.root.Remove(name); err != nil {
			return err
		}
		for dir := path.Dir(name); dir != "."; dir = path.Dir(dir) {
			if t.root.Remove(dir) != nil {
				break // not empty
			}
		}
	}
	return nil
}

// Stream is a Sink that writes everything as one stream of YAML documents, in the order of a tree, when it is closed.
type Stream struct {
	W io.Writer

	mu   sync.Mutex
	docs map[string][]byte
}

// Put keeps a document until Close.
func (s *Stream) Put(name string, _ bool, data []byte) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.docs == nil {
		s.docs = map[string][]byte{}
	}
	s.docs[name] = data
	return nil
}

// Reset forgets all documents.
func (s *Stream) Reset() error {
	s.docs = nil
	return nil
}

// Close writes the documents.
func (s *Stream) Close() error {
	for i, name := range slices.Sorted(maps.Keys(s.docs)) {
		if i > 0 {
			if _, err := io.WriteString(s.W, "---\n"); err != nil {
				return err
			}
		}
		if _, err := s.W.Write(s.docs[name]); err != nil {
			return err
		}
	}
	return nil
}
