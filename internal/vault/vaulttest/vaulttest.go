// SPDX-License-Identifier: Apache-2.0

// Package vaulttest compares trees with the lists of files that lie beside the reference data.
package vaulttest

import (
	"compress/gzip"
	"context"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"hozon.dev/hozon/internal/blob"
	"hozon.dev/hozon/internal/blob/dir"
	"hozon.dev/hozon/internal/blob/mem"
	"hozon.dev/hozon/internal/vault"
)

// Password is that of all repositories of the reference data.
const Password = "static-passw0rd"

// Fixtures is the folder of the reference data, which lies beside the repository of the source.
func Fixtures(t testing.TB) string {
	t.Helper()
	at, err := os.Getwd()
	if err != nil {
		t.Fatal(err)
	}
	for {
		if _, err := os.Stat(filepath.Join(at, "go.mod")); err == nil {
			break
		}
		if at == "/" {
			t.Fatal("this is not within the source")
		}
		at = filepath.Dir(at)
	}
	path := filepath.Join(at, "..", "shared", "fixtures")
	if _, err := os.Stat(path); err != nil {
		t.Fatalf("the reference data must lie in ../shared/fixtures beside the repository: %v", err)
	}
	return path
}

// Bucket opens a bucket of the reference data, to read it.
func Bucket(t testing.TB, name string) *dir.Bucket {
	t.Helper()
	b, err := dir.Open(filepath.Join(Fixtures(t), name, "bucket"), false)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// Copy is a copy in memory of what lies below a prefix of a bucket, to be damaged.
func Copy(t testing.TB, from blob.Bucket, prefix string) *mem.Bucket {
	t.Helper()
	to := mem.New()
	err := from.List(t.Context(), prefix, false, func(i blob.Info) error {
		r, err := from.Get(t.Context(), i.Key, 0, -1)
		if err != nil {
			return err
		}
		defer r.Close()
		_, err = to.Put(t.Context(), i.Key, r, blob.PutOptions{})
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return to
}

// Entry is one name of a list.
type Entry struct {
	Path      string            `json:"path"`
	PathRaw   []byte            `json:"pathBase64"`
	Type      string            `json:"type"`
	Mode      string            `json:"mode"`
	UID       uint32            `json:"uid"`
	GID       uint32            `json:"gid"`
	ModTime   int64             `json:"mtimeNs"`
	Size      int64             `json:"size"`
	SHA256    string            `json:"sha256"`
	Target    string            `json:"target"`
	TargetRaw []byte            `json:"targetBase64"`
	HardLinks int               `json:"hardlinkGroup"`
	Xattrs    map[string]string `json:"xattrsBase64"`
}

// Bits are those of chmod.
func (e *Entry) Bits() uint32 {
	n, _ := strconv.ParseUint(e.Mode, 8, 32)
	return uint32(n)
}

// List reads a list, such as "fsbackup/files/files-1-scratch.json.gz".
func List(t testing.TB, name string) []Entry {
	t.Helper()
	f, err := os.Open(filepath.Join(Fixtures(t), name))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	z, err := gzip.NewReader(f)
	if err != nil {
		t.Fatal(err)
	}
	var list []Entry
	if err := json.NewDecoder(z).Decode(&list); err != nil {
		t.Fatal(err)
	}
	for i := range list {
		e := &list[i]
		if len(e.PathRaw) > 0 {
			e.Path = string(e.PathRaw)
		}
		if len(e.TargetRaw) > 0 {
			e.Target = string(e.TargetRaw)
		}
	}
	if len(list) == 0 {
		t.Fatalf("%s is empty", name)
	}
	return list
}

// Kopia makes a list what kopia's trees hold of it: no attributes, pipes and several names of one file, and U+FFFD for bytes of names that are not UTF-8.
func Kopia(list []Entry) []Entry {
	list = slices.DeleteFunc(slices.Clone(list), func(e Entry) bool { return e.Type == "fifo" })
	for i := range list {
		e := &list[i]
		e.Xattrs, e.HardLinks = nil, 0
		var valid strings.Builder
		for _, r := range e.Path {
			valid.WriteRune(r)
		}
		e.Path = valid.String()
	}
	return list
}

var words = map[vault.Type]string{
	vault.Regular: "file", vault.Folder: "dir", vault.Symlink: "symlink", vault.Pipe: "fifo", vault.Device: "device", vault.Socket: "socket",
}

// Read makes a list of a tree, and returns what could not be read, by path.
func Read(t testing.TB, tree vault.Tree) ([]Entry, map[string]error) {
	t.Helper()
	r := &reader{ctx: t.Context(), tree: tree, inodes: map[vault.Inode]int{}, damages: map[string]error{}}
	r.folder(tree.Root(), "")
	return r.list, r.damages
}

type reader struct {
	ctx     context.Context
	tree    vault.Tree
	list    []Entry
	inodes  map[vault.Inode]int
	damages map[string]error
}

func (r *reader) folder(n vault.Node, path string) {
	nodes, err := r.tree.List(r.ctx, n)
	if err != nil {
		r.damages[path+"/"] = err
		return
	}
	for _, n := range nodes {
		r.node(n, strings.TrimPrefix(path+"/"+n.Name, "/"))
	}
}

func (r *reader) node(n vault.Node, path string) {
	if n.Damage != nil {
		r.damages[path] = n.Damage
		return
	}
	e := Entry{
		Path: path, Type: words[n.Type], Mode: "0" + strconv.FormatUint(uint64(n.Mode&0o7777), 8), UID: n.UID, GID: n.GID,
		ModTime: n.Modified.UnixNano(), Size: n.Size, Target: n.Target,
	}
	for _, x := range n.Xattrs {
		if e.Xattrs == nil {
			e.Xattrs = map[string]string{}
		}
		e.Xattrs[x.Name] = base64.StdEncoding.EncodeToString([]byte(x.Value))
	}
	if n.Inode != (vault.Inode{}) {
		if r.inodes[n.Inode] == 0 {
			r.inodes[n.Inode] = len(r.inodes) + 1
		}
		e.HardLinks = r.inodes[n.Inode]
	}
	if n.Type == vault.Regular {
		sum, err := Sum(r.ctx, r.tree, n)
		if err != nil {
			r.damages[path] = err
			return
		}
		e.SHA256 = sum
	}
	r.list = append(r.list, e)
	if n.Type == vault.Folder {
		r.folder(n, path)
	}
}

// Sum reads a file of a tree, in pieces of an odd size.
func Sum(ctx context.Context, tree vault.Tree, n vault.Node) (string, error) {
	f, err := tree.Open(ctx, n)
	if err != nil {
		return "", err
	}
	defer f.Close()
	h := sha256.New()
	buf := make([]byte, 70_001)
	for off := int64(0); ; {
		k, err := f.ReadAt(ctx, buf, off)
		h.Write(buf[:k])
		off += int64(k)
		if errors.Is(err, io.EOF) {
			return hex.EncodeToString(h.Sum(nil)), nil
		}
		if err != nil {
			return "", err
		}
	}
}

// Without is a list without what is damaged, and what is below damaged folders ("a/b/").
func Without(list []Entry, damages map[string]error) []Entry {
	return slices.DeleteFunc(slices.Clone(list), func(e Entry) bool {
		for path := range damages {
			if e.Path == path || strings.HasSuffix(path, "/") && strings.HasPrefix("/"+e.Path, "/"+strings.TrimPrefix(path, "/")) {
				return true
			}
		}
		return false
	})
}

// Compare reports how two lists differ.
func Compare(t testing.TB, got, want []Entry) {
	t.Helper()
	have := map[string]Entry{}
	for _, e := range got {
		have[e.Path] = e
	}
	for _, w := range want {
		g, ok := have[w.Path]
		delete(have, w.Path)
		w.PathRaw, w.TargetRaw = nil, nil
		if !ok {
			t.Errorf("%q is missing", w.Path)
			continue
		}
		if g.Bits() != w.Bits() || g.HardLinks != 0 != (w.HardLinks != 0) {
			t.Errorf("%q: mode %s, names %d, want %s, %d", w.Path, g.Mode, g.HardLinks, w.Mode, w.HardLinks)
		}
		g.Mode, g.HardLinks, w.HardLinks = w.Mode, 0, 0
		a, _ := json.Marshal(g)
		b, _ := json.Marshal(w)
		if string(a) != string(b) {
			t.Errorf("%q:\n got %s\nwant %s", w.Path, a, b)
		}
	}
	for path := range have {
		t.Errorf("%q should not be there", path)
	}
}
