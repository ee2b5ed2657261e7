// SPDX-License-Identifier: Apache-2.0

//go:build linux

package transfer

import (
	"context"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"hozon.dev/hozon/internal/fail"
	"hozon.dev/hozon/internal/vault"
)

// made is a snapshot that somebody made to do harm: its folders are what their Ref holds.
type made struct {
	nodes []vault.Node
	keeps vault.Keeps
}

type bytesOf struct {
	data string
	err  error
}

func (m made) Root() vault.Node   { return vault.Node{Type: vault.Folder, Mode: 0o700, Ref: m.nodes} }
func (m made) Keeps() vault.Keeps { return m.keeps }

func (m made) List(_ context.Context, n vault.Node) ([]vault.Node, error) {
	if err, ok := n.Ref.(error); ok {
		return nil, err
	}
	return n.Ref.([]vault.Node), nil
}

func (m made) Open(_ context.Context, n vault.Node) (vault.File, error) { return n.Ref.(bytesOf), nil }

func (c bytesOf) Close() error { return nil }

func (c bytesOf) ReadAt(_ context.Context, p []byte, off int64) (int, error) {
	if c.err != nil {
		return 0, c.err
	}
	if off >= int64(len(c.data)) {
		return 0, io.EOF
	}
	n := copy(p, c.data[off:])
	if n < len(p) {
		return n, io.EOF
	}
	return n, nil
}

func file(name, data string) vault.Node {
	return vault.Node{Name: name, Type: vault.Regular, Mode: 0o600, Size: int64(len(data)), Modified: time.Unix(1, 0), Ref: bytesOf{data: data}}
}

// TestHostileSnapshot: whatever a snapshot holds, it stays in its folder, and the good names beside the bad ones come back.
func TestHostileSnapshot(t *testing.T) {
	outside := t.TempDir()
	long := strings.Repeat("x", 70_000)
	m := made{nodes: []vault.Node{
		file("../escaped", "x"),
		file("/etc/escaped", "x"),
		file("a", "good"),
		{Name: "b", Type: vault.Symlink, Target: outside},
		{Name: "bad-link", Type: vault.Symlink, Target: "nul\x00"},
		{Name: "bad-mode", Type: vault.Folder, Mode: 0xffffffff, Ref: []vault.Node{file("in", "good")}},
		{Name: "bad-type", Type: 'x'},
		{Name: "damaged", Type: vault.Regular, Size: 1, Damage: fail.Errorf(fail.Corrupt, "rotten")},
		{Name: "damaged-folder", Type: vault.Folder, Ref: fail.Errorf(fail.Corrupt, "rotten")},
		{Name: "long-link", Type: vault.Symlink, Target: long},
		{Name: "lying", Type: vault.Regular, Size: 1 << 40, Ref: bytesOf{data: "short"}},
		{Name: "unreadable", Type: vault.Regular, Size: 5, Ref: bytesOf{err: errors.New("rotten")}},
		{Name: "xattrs", Type: vault.Regular, Xattrs: []vault.Xattr{{Name: "user.x", Value: long + long}}, Ref: bytesOf{}},
		file("z", "good"),
	}, keeps: vault.Keeps{Xattrs: true, Root: true}}
	// A link in the place of a folder that comes later.
	m.nodes = append(m.nodes, vault.Node{Name: "zz", Type: vault.Folder, Mode: 0o700, Ref: []vault.Node{file("in", "good")}})
	dir := filepath.Join(t.TempDir(), "dir")
	must(t, os.Mkdir(dir, 0o700))
	must(t, os.Symlink(outside, filepath.Join(dir, "zz")))
	stats, err := Restore(t.Context(), Snapshot{Tree: m}, dir, Options{NoOwner: true}, nil)
	if err != nil {
		t.Fatal(err)
	}
	problems := map[string]string{}
	for _, p := range stats.Problems {
		problems[p.Path] = p.Text
	}
	for _, name := range []string{"../escaped", "/etc/escaped", "bad-link", "bad-type", "damaged", "damaged-folder", "long-link", "lying", "unreadable", "xattrs"} {
		if problems[name] == "" {
			t.Errorf("no word of %q; there are %v", name, problems)
		}
	}
	for _, name := range []string{"a", "z", "bad-mode/in", "zz/in"} {
		if data, err := os.ReadFile(filepath.Join(dir, name)); string(data) != "good" {
			t.Errorf("%s: %q, %v", name, data, err)
		}
	}
	for _, empty := range []string{outside, filepath.Dir(dir)} {
		entries, err := os.ReadDir(empty)
		must(t, err)
		if len(entries) > 1 || len(entries) == 1 && entries[0].Name() != "dir" {
			t.Errorf("%s: %v", empty, entries)
		}
	}
	if _, err := os.Lstat("/etc/escaped"); err == nil {
		t.Error("/etc/escaped was written")
	}
}

// TestLostStore: a store that is gone ends the run; it is not the fault of one file after the other.
func TestLostStore(t *testing.T) {
	gone := fail.Errorf(fail.Transient, "no route to host")
	for name, nodes := range map[string][]vault.Node{
		"folder": {{Name: "a", Type: vault.Folder, Ref: gone}, file("b", "x")},
		"file":   {{Name: "a", Type: vault.Regular, Size: 1, Ref: bytesOf{err: gone}}, file("b", "x")},
	} {
		stats, err := Restore(t.Context(), Snapshot{Tree: made{nodes: nodes}}, t.TempDir(), Options{NoOwner: true}, nil)
		if !fail.Is(err, fail.Transient) || !strings.Contains(err.Error(), "no route to host") {
			t.Errorf("%s: %+v, %v", name, stats, err)
		}
	}
}

// TestKeepRoot: what a snapshot does not know of its root stays as it is.
func TestKeepRoot(t *testing.T) {
	for _, knows := range []bool{false, true} {
		dir := t.TempDir()
		must(t, os.Chmod(dir, 0o750))
		if _, err := Restore(t.Context(), Snapshot{Tree: made{nodes: []vault.Node{file("a", "x")}, keeps: vault.Keeps{Root: knows}}}, dir, Options{NoOwner: true}, nil); err != nil {
			t.Fatal(err)
		}
		info, err := os.Stat(dir)
		must(t, err)
		if (info.Mode().Perm() == 0o700) != knows {
			t.Errorf("knows %v: %v", knows, info.Mode())
		}
	}
}
