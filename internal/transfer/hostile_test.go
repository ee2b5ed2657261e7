// SPDX-License-Identifier: Apache-2.0

//go:build linux

package transfer

import (
	"bytes"
	"context"
	"encoding/binary"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"hozon.dev/hozon/internal/fail"
)

// A script is what a hostile pod says to a pull.
type script struct{ bytes.Buffer }

func (s *script) frame(kind byte, payload []byte) *script {
	s.WriteByte(kind)
	_ = binary.Write(s, binary.BigEndian, uint32(len(payload)))
	s.Write(payload)
	return s
}

func (s *script) batch(entries ...Entry) *script {
	var b []byte
	for i := range entries {
		b = entries[i].append(b)
	}
	return s.frame(frameBatch, b)
}

// data sends the whole content of the file whose turn it is.
func (s *script) data(content string) *script {
	s.frame(frameData, append(binary.AppendUvarint(nil, 0), content...))
	return s.frame(frameEnd, binary.AppendUvarint(nil, uint64(len(content))))
}

func hostile() *script {
	s := &script{}
	return s.frame(frameHello, []byte(`{"Version":1}`))
}

// pullFrom is a pull into dir from a pod that says what is in s.
func pullFrom(s io.Reader, dir string, o Options) (Stats, error) {
	return Client(context.Background(), s, io.Discard, Request{Local: dir, Path: "/data", Options: o}, nil)
}

// TestHostile streams are refused, and nothing outside of the folder is touched.
func TestHostile(t *testing.T) {
	root := Entry{Type: Folder, Mode: 0o755}
	folder := func(p string) Entry { return Entry{Path: p, Type: Folder, Mode: 0o755} }
	file := func(p string, size uint64) Entry { return Entry{Path: p, Type: File, Mode: 0o644, Size: size} }
	link := func(p, to string) Entry { return Entry{Path: p, Type: Symlink, Link: to} }
	hard := func(p, to string) Entry { return Entry{Path: p, Type: Hard, Link: to} }
	many := make([]Entry, maxBatch+1)
	for i := range many {
		many[i] = file("x", 0)
	}
	tests := map[string]*script{
		"up":                     hostile().batch(root, file("../evil", 1)).data("x"),
		"up in the middle":       hostile().batch(root, folder("a"), file("a/../../evil", 1)).data("x"),
		"absolute":               hostile().batch(root, file("/tmp/evil", 1)).data("x"),
		"a dot":                  hostile().batch(root, file("./x", 1)),
		"an empty name":          hostile().batch(root, folder("a"), file("a//x", 1)),
		"a zero":                 hostile().batch(root, file("a\x00b", 1)),
		"root is no folder":      hostile().batch(Entry{Type: Symlink, Link: "/"}),
		"root twice":             hostile().batch(root, root),
		"through a link":         hostile().batch(root, link("a", "OUTSIDE"), file("a/evil", 1)).data("x"),
		"link, then folder":      hostile().batch(root, link("a", "OUTSIDE"), folder("a"), file("a/evil", 1)).data("x"),
		"hard link up":           hostile().batch(root, hard("a", "../secret")).frame(frameFinal, nil),
		"without its folder":     hostile().batch(root, file("a/b", 0)),
		"out of order":           hostile().batch(root, file("b", 0), file("a", 0)),
		"twice":                  hostile().batch(root, file("b", 0), file("b", 0)),
		"back into a folder":     hostile().batch(root, folder("a"), folder("b"), file("a/x", 0)),
		"of no type":             hostile().batch(root, Entry{Path: "x", Type: 'q'}),
		"too many entries":       hostile().batch(many...),
		"bytes of nothing":       hostile().batch(root).data("x"),
		"more bytes than said":   hostile().batch(root, file("a", 2)).data("xxx"),
		"bytes before the last":  hostile().batch(root, file("a", 9)).frame(frameData, []byte{4, 'x'}).frame(frameData, []byte{0, 'x'}),
		"an end before the last": hostile().batch(root, file("a", 9)).frame(frameData, []byte{4, 'x'}).frame(frameEnd, []byte{2}),
		"an end without bytes":   hostile().batch(root, file("a", 9)).frame(frameFinal, nil),
		"endless entries":        hostile().batch(root, file("a", 9)).batch(file("b", 9)).batch(file("c", 9)),
		"a huge message":         {},
		"a receiver's message":   hostile().frame(frameWant, nil),
		"garbage":                hostile().frame(frameBatch, []byte("\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff")),
	}
	tests["a huge message"] = hostile()
	tests["a huge message"].WriteString("B\xff\xff\xff\xff")
	for name, s := range tests {
		t.Run(name, func(t *testing.T) {
			base := t.TempDir()
			outside, dir := filepath.Join(base, "outside"), filepath.Join(base, "dir")
			must(t, os.Mkdir(outside, 0o755))
			must(t, os.WriteFile(filepath.Join(base, "secret"), []byte("secret"), 0o600))
			before := describe(t, outside)
			said := bytes.ReplaceAll(s.Bytes(), []byte("OUTSIDE"), []byte(outside)[:7])
			_, err := pullFrom(bytes.NewReader(said), dir, Options{Delete: true})
			if !fail.Is(err, fail.Corrupt) {
				t.Errorf("error: %v (%v)", err, fail.Of(err))
			}
			names, _ := filepath.Glob(filepath.Join(base, "*"))
			if len(names) != 3 || len(describe(t, outside)) != len(before) {
				t.Errorf("outside there is %q", names)
			}
		})
	}
}

// TestHostileLinks are made as they are, and never followed: neither by what comes in the same run nor by the next one.
func TestHostileLinks(t *testing.T) {
	base := t.TempDir()
	dir, outside := filepath.Join(base, "dir"), filepath.Join(base, "outside")
	must(t, os.MkdirAll(dir, 0o755))
	must(t, os.Mkdir(outside, 0o755))
	must(t, os.WriteFile(filepath.Join(outside, "kept"), []byte("kept"), 0o644))
	must(t, os.Symlink(outside, filepath.Join(dir, "a")))
	must(t, os.Symlink(filepath.Join(outside, "kept"), filepath.Join(dir, "b")))
	root := Entry{Type: Folder, Mode: 0o755}
	s := hostile().batch(root, Entry{Path: "a", Type: Folder, Mode: 0o755}, Entry{Path: "a/evil", Type: File, Mode: 0o644, Size: 1},
		Entry{Path: "b", Type: File, Mode: 0o644, Size: 1}).data("x").data("y").frame(frameFinal, nil)
	if _, err := pullFrom(s, dir, Options{Delete: true}); err != nil {
		t.Fatal(err)
	}
	if got, _ := os.ReadFile(filepath.Join(outside, "kept")); string(got) != "kept" {
		t.Errorf("outside was changed: %q", got)
	}
	if names, _ := os.ReadDir(outside); len(names) != 1 {
		t.Errorf("outside there is %v", names)
	}
	if got, _ := os.ReadFile(filepath.Join(dir, "a", "evil")); string(got) != "x" {
		t.Errorf("the folder in the link's place: %q", got)
	}

	// A hard link to a symbolic link, or through one.
	s = hostile().batch(root, Entry{Path: "l", Type: Symlink, Link: outside}, Entry{Path: "m", Type: Hard, Link: "l/kept"},
		Entry{Path: "n", Type: Hard, Link: "l"}).frame(frameFinal, nil)
	stats, err := pullFrom(s, dir, Options{})
	if err != nil || stats.Failed != 2 {
		t.Errorf("%v, %+v", err, stats)
	}
	for _, name := range []string{"m", "n"} {
		if _, err := os.Lstat(filepath.Join(dir, name)); err == nil {
			t.Errorf("%s was made", name)
		}
	}
	// Devices only on request, and texts fit for a terminal.
	s = hostile().batch(root, Entry{Path: "dev\x1b[2J", Type: Device, Mode: 0o60666, Dev: 1}).frame(frameFinal, nil)
	stats, err = pullFrom(s, t.TempDir(), Options{})
	if err != nil || stats.Failed != 1 || strings.Contains(stats.Problems[0].Path, "\x1b") {
		t.Errorf("%v, %+v", err, stats)
	}
}

// TestNames: a name that this file system cannot hold is a problem of that name, and the rest is copied. (The other end may be of a
// system that counts characters where this one counts bytes.)
func TestNames(t *testing.T) {
	dir := t.TempDir()
	long := strings.Repeat("語", 100) // 300 bytes
	s := hostile().batch(Entry{Type: Folder, Mode: 0o755}, Entry{Path: "a", Type: File, Mode: 0o644, Size: 1},
		Entry{Path: "b", Type: Folder, Mode: 0o755}, Entry{Path: "b/" + long, Type: Symlink, Link: "a"},
		Entry{Path: "z", Type: File, Mode: 0o644, Size: 1}, Entry{Path: long, Type: Folder, Mode: 0o755}, Entry{Path: long + "/below", Type: File, Mode: 0o644, Size: 1},
		Entry{Path: long + "x", Type: File, Mode: 0o644, Size: 1}).data("1").data("2").data("3").frame(frameFinal, nil)
	stats, err := pullFrom(s, dir, Options{})
	if err != nil {
		t.Fatal(err)
	}
	if stats.Failed != 3 || stats.Sent != 2 {
		t.Errorf("%+v", stats)
	}
	for _, p := range stats.Problems {
		if !strings.Contains(p.Text, "file name too long") || !strings.Contains(p.Path, long) {
			t.Errorf("%+v", p)
		}
	}
	for name, want := range map[string]string{"a": "1", "z": "2"} {
		if got, err := os.ReadFile(filepath.Join(dir, name)); string(got) != want {
			t.Errorf("%s: %q, %v", name, got, err)
		}
	}
	if names, _ := os.ReadDir(dir); len(names) != 3 {
		t.Errorf("there is %v", names)
	}
}

// FuzzPull wants no stream to panic or to reach out of the folder.
func FuzzPull(f *testing.F) {
	root := Entry{Type: Folder, Mode: 0o755}
	f.Add(hostile().batch(root, Entry{Path: "a", Type: File, Size: 1}).data("x").frame(frameFinal, nil).Bytes())
	f.Add(hostile().batch(root, Entry{Path: "a", Type: Symlink, Link: ".."}, Entry{Path: "b", Type: Hard, Link: "a"}).frame(frameFinal, nil).Bytes())
	f.Add(hostile().batch(root, Entry{Path: "a", Type: Folder}, Entry{Path: "a/p", Type: Pipe}).Bytes())
	f.Fuzz(func(t *testing.T, stream []byte) {
		base := t.TempDir()
		_, _ = pullFrom(bytes.NewReader(stream), filepath.Join(base, "dir"), Options{})
		if names, _ := os.ReadDir(base); len(names) > 1 {
			t.Errorf("it made %v", names)
		}
	})
}

// FuzzPush says any bytes to a push: it ends, and nothing of the folder that it sends is changed.
func FuzzPush(f *testing.F) {
	want := func(w ...want) []byte {
		var b []byte
		for _, one := range w {
			b = appendWant(b, one)
		}
		return b
	}
	f.Add(hostile().frame(frameWant, want(want1(1, 0))).frame(frameDone, []byte(`{"files":1,"confirmed":true}`)).Bytes())
	f.Add(hostile().frame(frameWant, want(want1(1, 2))).frame(frameWant, nil).Bytes())
	f.Add(hostile().frame(frameDone, []byte(`{"files":-1}`)).Bytes())
	f.Fuzz(func(t *testing.T, stream []byte) {
		dir := t.TempDir()
		if err := os.WriteFile(filepath.Join(dir, "a"), []byte("content"), 0o600); err != nil {
			t.Fatal(err)
		}
		_, _ = Client(t.Context(), bytes.NewReader(stream), io.Discard, Request{Push: true, Local: dir, Path: "/data"}, nil)
		if got, err := os.ReadFile(filepath.Join(dir, "a")); err != nil || string(got) != "content" {
			t.Errorf("%q, %v", got, err)
		}
	})
}

func want1(index int, offset uint64) want { return want{index: index, offset: offset} }
