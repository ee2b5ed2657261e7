// SPDX-License-Identifier: Apache-2.0

//go:build linux

package transfer

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"

	"hozon.dev/hozon/internal/fail"
)

// connect runs a request against Serve in this process. cut, if it is not negative, is after how many bytes from the sender the
// connection breaks.
func connect(t testing.TB, req Request, cut int64) (Stats, error) {
	t.Helper()
	clientIn, serverOut := io.Pipe()
	serverIn, clientOut := io.Pipe()
	served := make(chan error, 1)
	go func() {
		var in io.Reader = serverIn
		var out io.Writer = serverOut
		if cut >= 0 && req.Push {
			in = io.LimitReader(serverIn, cut)
		} else if cut >= 0 {
			out = &cutWriter{serverOut, cut}
		}
		err := Serve(t.Context(), in, out, "/")
		serverOut.Close()
		serverIn.Close()
		served <- err
	}()
	stats, err := Client(t.Context(), clientIn, clientOut, req, new(Progress))
	clientOut.Close()
	clientIn.Close()
	<-served
	return stats, err
}

type cutWriter struct {
	w    io.Writer
	left int64
}

var errCut = errors.New("cut")

func (c *cutWriter) Write(p []byte) (int, error) {
	if int64(len(p)) > c.left {
		n, _ := c.w.Write(p[:c.left])
		c.left = 0
		return n, errCut
	}
	c.left -= int64(len(p))
	return c.w.Write(p)
}

// copyTree pulls or pushes all of from to to and fails on any problem.
func copyTree(t *testing.T, push bool, from, to string, o Options) Stats {
	t.Helper()
	req := Request{Local: to, Path: from, Options: o}
	if push {
		req = Request{Push: true, Local: from, Path: to, Options: o}
	}
	stats, err := connect(t, req, -1)
	if err != nil {
		t.Fatal(err)
	}
	if stats.Failed > 0 || !stats.Confirmed {
		t.Errorf("problems: %+v", stats)
	}
	return stats
}

func needRoot(t *testing.T) {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("owners need root")
	}
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// zoo makes one of everything.
func zoo(t *testing.T) string {
	t.Helper()
	root := t.TempDir()
	path := func(name string) string { return filepath.Join(root, name) }
	for _, dir := range []string{"empty", "a/b/c", "read-only", "closed", "sticky"} {
		must(t, os.MkdirAll(path(dir), 0o755))
	}
	files := map[string]string{
		"plain": "plain\n", "nothing": "", "a/b/c/deep": "deep", "read-only/file": "kept", "suid": "#!", "owned": "x",
		"new\nline": "n", "bytes\xff\xfe": "b", " space ": "s", "-rf": "dash", "*": "star", "ünïcode日本": "u", `back\slash`: "\\",
		strings.Repeat("l", 255): "long", "a/.hidden": "h", "first": "linked", "big": strings.Repeat("0123456789abcdef", 200_000),
	}
	for name, content := range files {
		must(t, os.WriteFile(path(name), []byte(content), 0o644))
	}
	must(t, os.Chown(path("owned"), 1234, 4321))
	must(t, unix.Chmod(path("suid"), 0o6755))
	must(t, unix.Chmod(path("sticky"), 0o1777))
	must(t, os.Link(path("first"), path("a/second")))
	must(t, os.Link(path("first"), path("z-third")))
	must(t, os.Symlink("plain", path("link")))
	must(t, os.Symlink("/etc/passwd", path("absolute")))
	must(t, os.Symlink("../../..", path("a/up")))
	must(t, os.Symlink("dangling\nnowhere", path("dangling")))
	must(t, os.Lchown(path("link"), 1000, 1000))
	must(t, unix.Mkfifo(path("pipe"), 0o640))
	must(t, unix.Setxattr(path("plain"), "user.note", []byte("a\x00b"), 0))
	must(t, unix.Setxattr(path("a/b"), "user.dir", []byte("d"), 0))
	sparse, err := os.Create(path("sparse"))
	must(t, err)
	for _, at := range []int64{0, 8 << 20, 40 << 20} {
		_, err := sparse.WriteAt([]byte("island"), at)
		must(t, err)
	}
	must(t, sparse.Truncate(64<<20))
	must(t, sparse.Close())
	hole, err := os.Create(path("hole"))
	must(t, err)
	must(t, hole.Truncate(1<<20))
	must(t, hole.Close())
	must(t, os.Chmod(path("closed"), 0))
	must(t, os.Chmod(path("read-only"), 0o555))
	must(t, filepath.Walk(root, func(p string, _ os.FileInfo, err error) error {
		if err != nil {
			return err
		}
		when := []unix.Timespec{{Sec: 1e9, Nsec: 1}, {Sec: 1_234_567_890 + int64(len(p)), Nsec: 123_456_789}}
		return unix.UtimesNanoAt(unix.AT_FDCWD, p, when, unix.AT_SYMLINK_NOFOLLOW)
	}))
	return root
}

// describe says all that counts about a tree, by means of its own.
func describe(t *testing.T, root string) map[string]string {
	t.Helper()
	found := map[string]string{}
	links := map[uint64]string{}
	must(t, filepath.Walk(root, func(p string, info os.FileInfo, err error) error {
		if err != nil {
			return err
		}
		var s unix.Stat_t
		must(t, unix.Lstat(p, &s))
		name := strings.TrimPrefix(p, root)
		text := fmt.Sprintf("%v %o %d:%d %d.%09d", info.Mode(), s.Mode, s.Uid, s.Gid, s.Mtim.Sec, s.Mtim.Nsec)
		switch s.Mode & unix.S_IFMT {
		case unix.S_IFREG:
			content, err := os.ReadFile(p)
			must(t, err)
			text += fmt.Sprintf(" %x", content[:min(len(content), 64)]) + fmt.Sprint(len(content), hash(content))
			if s.Nlink > 1 {
				if links[s.Ino] == "" {
					links[s.Ino] = name
				}
				text += " also " + links[s.Ino]
			}
			if s.Blocks*512 < s.Size/2 {
				text += " with holes"
			}
		case unix.S_IFLNK:
			to, err := os.Readlink(p)
			must(t, err)
			text += " -> " + to
		}
		for _, attr := range []string{"user.note", "user.dir"} {
			buf := make([]byte, 100)
			if n, err := unix.Lgetxattr(p, attr, buf); err == nil {
				text += fmt.Sprintf(" %s=%q", attr, buf[:n])
			}
		}
		found[name] = text
		return nil
	}))
	return found
}

func hash(b []byte) string {
	var h uint64 = 14695981039346656037
	for _, c := range b {
		h = (h ^ uint64(c)) * 1099511628211
	}
	return fmt.Sprintf(" %x", h)
}

func sameTrees(t *testing.T, want, got string) {
	t.Helper()
	if diff := cmp.Diff(describe(t, want), describe(t, got)); diff != "" {
		t.Errorf("the trees differ (-want +got):\n%s", diff)
	}
}

func TestZoo(t *testing.T) {
	needRoot(t)
	for _, push := range []bool{false, true} {
		t.Run(fmt.Sprintf("push=%t", push), func(t *testing.T) {
			from, to := zoo(t), filepath.Join(t.TempDir(), "new")
			first := copyTree(t, push, from, to, Options{})
			sameTrees(t, from, to)
			if first.Bytes > 8<<20 {
				t.Errorf("%d bytes were sent: the holes too", first.Bytes)
			}
			again := copyTree(t, push, from, to, Options{Delete: true})
			if again.Sent+again.Bytes+again.Changed+again.Deleted != 0 {
				t.Errorf("nothing has changed, and it did %+v", again)
			}
			sameTrees(t, from, to)

			// One file changes, one grows, one goes, modes and owners change, a folder becomes a file and a file a folder.
			must(t, os.WriteFile(filepath.Join(from, "plain"), []byte("other\n"), 0o644))
			must(t, os.Remove(filepath.Join(from, "nothing")))
			must(t, os.RemoveAll(filepath.Join(from, "a")))
			must(t, os.WriteFile(filepath.Join(from, "a"), []byte("a file"), 0o600))
			must(t, os.Remove(filepath.Join(from, "owned")))
			must(t, os.Mkdir(filepath.Join(from, "owned"), 0o700))
			must(t, os.Chmod(filepath.Join(from, "suid"), 0o600))
			must(t, os.Lchown(filepath.Join(from, "link"), 7, 7))
			changed := copyTree(t, push, from, to, Options{Delete: true})
			sameTrees(t, from, to)
			if changed.Sent != 2 {
				t.Errorf("two files have changed, and %d were sent", changed.Sent)
			}
		})
	}
}

// TestFilter takes a part of a tree, and deletes nothing that it was not asked about.
func TestFilter(t *testing.T) {
	from, to := t.TempDir(), t.TempDir()
	for _, name := range []string{"keep.log", "drop.tmp", "cache/x.log", "sub/cache/y.log", "sub/z.log", "sub/w.txt"} {
		must(t, os.MkdirAll(filepath.Dir(filepath.Join(from, name)), 0o755))
		must(t, os.WriteFile(filepath.Join(from, name), []byte(name), 0o644))
	}
	must(t, os.WriteFile(filepath.Join(to, "mine.tmp"), []byte("mine"), 0o644))
	must(t, os.WriteFile(filepath.Join(to, "old.log"), []byte("old"), 0o644))
	copyTree(t, false, from, to, Options{Delete: true, Filter: Filter{Include: []string{"*.log"}, Exclude: []string{"/cache"}}})
	var names []string
	for name, text := range describe(t, to) {
		if strings.HasPrefix(text, "-") {
			names = append(names, name)
		}
	}
	want := map[string]bool{"/keep.log": true, "/sub/cache/y.log": true, "/sub/z.log": true, "/mine.tmp": true}
	for _, name := range names {
		if !want[name] {
			t.Errorf("there is %s", name)
		}
		delete(want, name)
	}
	if len(want) > 0 {
		t.Errorf("missing: %v", want)
	}
	if _, err := connect(t, Request{Local: to, Path: from, Options: Options{Filter: Filter{Exclude: []string{"["}}}}, -1); !fail.Is(err, fail.Invalid) {
		t.Errorf("a bad pattern: %v", err)
	}
}

// TestCut breaks the connection at random points until the work is done, and wants no byte to be sent twice for long.
func TestCut(t *testing.T) {
	for _, push := range []bool{false, true} {
		t.Run(fmt.Sprintf("push=%t", push), func(t *testing.T) {
			seed := uint64(time.Now().UnixNano())
			t.Logf("seed %d", seed)
			random := rand.New(rand.NewPCG(seed, 0))
			from, to := t.TempDir(), filepath.Join(t.TempDir(), "to")
			must(t, os.Mkdir(to, 0o755))
			for i := range 300 {
				must(t, os.WriteFile(filepath.Join(from, fmt.Sprint("f", i)), make([]byte, random.IntN(20000)), 0o644))
			}
			big := make([]byte, 24<<20)
			for i := range big {
				big[i] = byte(random.Uint32())
			}
			must(t, os.WriteFile(filepath.Join(from, "big"), big, 0o644))
			req := Request{Local: to, Path: from}
			if push {
				req = Request{Push: true, Local: from, Path: to}
			}
			var moved int64
			for try := 0; ; try++ {
				stats, err := connect(t, req, 4096+random.Int64N(12<<20))
				moved += stats.Bytes
				if err == nil {
					if try == 0 {
						t.Error("it was never cut")
					}
					break
				}
				if !errors.Is(err, ErrBroken) {
					t.Fatalf("cut: %v", err)
				}
				if try > 200 {
					t.Fatal("it does not get on")
				}
			}
			sameTrees(t, from, to)
			if !push && moved > 60<<20 {
				t.Errorf("%d bytes were sent for 27 MB", moved)
			}
			left, _ := filepath.Glob(filepath.Join(to, partPrefix+"*"))
			if len(left) > 0 {
				t.Errorf("left: %v", left)
			}
		})
	}
}

// TestPartOfAnother is gone on from only if it is the beginning of the file.
func TestPartOfAnother(t *testing.T) {
	from, to := t.TempDir(), t.TempDir()
	must(t, os.WriteFile(filepath.Join(from, "f"), make([]byte, 3<<20), 0o644))
	dir, err := openFolder(from)
	must(t, err)
	defer dir.close()
	e, err := dir.stat("f", false)
	must(t, err)
	e.Path = "f"
	must(t, os.WriteFile(filepath.Join(to, partName(&e)), []byte(strings.Repeat("x", 2<<20)), 0o644))
	copyTree(t, false, from, to, Options{})
	sameTrees(t, from, to)
}

func TestDryRun(t *testing.T) {
	needRoot(t)
	from, to := zoo(t), t.TempDir()
	must(t, os.WriteFile(filepath.Join(to, "extra"), nil, 0o644))
	before := describe(t, to)
	stats := copyTree(t, false, from, to, Options{DryRun: true, Delete: true})
	if diff := cmp.Diff(before, describe(t, to)); diff != "" {
		t.Errorf("it changed something: %s", diff)
	}
	if stats.Deleted != 1 || stats.Sent == 0 || len(stats.Would) == 0 {
		t.Errorf("it says %+v", stats)
	}
	new := filepath.Join(t.TempDir(), "new")
	copyTree(t, true, from, new, Options{DryRun: true})
	if _, err := os.Stat(new); err == nil {
		t.Error("it made the target")
	}
}

// TestBadPaths get a clear message.
func TestBadPaths(t *testing.T) {
	dir := t.TempDir()
	must(t, os.WriteFile(filepath.Join(dir, "file"), []byte("one file"), 0o644))
	tests := []struct {
		name string
		req  Request
		kind fail.Kind
		text string
	}{
		{"no such folder", Request{Local: dir + "/to", Path: dir + "/none/none"}, fail.NotFound, "has no " + dir + "/none/none"},
		{"push below nothing", Request{Push: true, Local: dir, Path: dir + "/no/no"}, fail.NotFound, "has no " + dir + "/no"},
		{"push from nothing", Request{Push: true, Local: dir + "/no", Path: dir}, fail.NotFound, "this machine"},
		{"pull onto a file", Request{Local: dir + "/file", Path: dir}, fail.Invalid, "this machine"},
		{"push onto a file", Request{Push: true, Local: dir, Path: dir + "/file"}, fail.Invalid, "is no folder"},
	}
	for _, tt := range tests {
		_, err := connect(t, tt.req, -1)
		if !fail.Is(err, tt.kind) || !strings.Contains(err.Error(), tt.text) {
			t.Errorf("%s: %v (%v)", tt.name, err, fail.Of(err))
		}
	}
	// One file is a tree as well.
	copyTree(t, false, dir+"/file", dir+"/to", Options{Delete: true})
	copyTree(t, true, dir+"/file", dir+"/there", Options{})
	for _, copied := range []string{"/to/file", "/there/file"} {
		if got, _ := os.ReadFile(dir + copied); string(got) != "one file" {
			t.Errorf("%s: %q", copied, got)
		}
	}
}

// TestFullDisk stops with a word about it, and goes on when there is room.
func TestFullDisk(t *testing.T) {
	needRoot(t)
	from, to := t.TempDir(), t.TempDir()
	if err := unix.Mount("tmpfs", to, "tmpfs", 0, "size=4m"); err != nil {
		t.Skip(err)
	}
	defer unix.Unmount(to, 0)
	for i := range 3 {
		must(t, os.WriteFile(filepath.Join(from, fmt.Sprint(i)), make([]byte, 2<<20), 0o644))
	}
	for _, req := range []Request{{Local: to, Path: from}, {Push: true, Local: from, Path: to}} {
		_, err := connect(t, req, -1)
		if err == nil || !strings.Contains(err.Error(), "no space left") || !strings.Contains(err.Error(), "what is whole stays") {
			t.Errorf("full disk, push %t: %v", req.Push, err)
		}
		if info, err := os.Stat(to + "/0"); err != nil || info.Size() != 2<<20 {
			t.Errorf("the file that found room: %v", err)
		}
	}
	must(t, unix.Mount("tmpfs", to, "tmpfs", unix.MS_REMOUNT, "size=16m"))
	copyTree(t, false, from, to, Options{})
	must(t, unix.Mount("tmpfs", to, "tmpfs", unix.MS_REMOUNT|unix.MS_RDONLY, ""))
	must(t, os.WriteFile(from+"/0", []byte("new"), 0o644))
	if _, err := connect(t, Request{Push: true, Local: from, Path: to}, -1); !fail.Is(err, fail.Denied) || !strings.Contains(err.Error(), "read-only") {
		t.Errorf("read-only: %v", err)
	}
}

// TestVanishing files and sockets are problems of their own.
func TestUnreadable(t *testing.T) {
	from, to := t.TempDir(), t.TempDir()
	fd, err := unix.Socket(unix.AF_UNIX, unix.SOCK_STREAM, 0)
	must(t, err)
	defer unix.Close(fd)
	must(t, unix.Bind(fd, &unix.SockaddrUnix{Name: filepath.Join(from, "socket")}))
	must(t, os.WriteFile(filepath.Join(from, "file"), []byte("x"), 0o644))
	stats, err := connect(t, Request{Local: to, Path: from}, -1)
	if err != nil || stats.Failed != 1 || stats.Problems[0].Path != "socket" {
		t.Errorf("%v, %+v", err, stats)
	}
	if _, err := os.Stat(to + "/file"); err != nil {
		t.Error(err)
	}
}

func TestCancel(t *testing.T) {
	ctx, cancel := context.WithCancelCause(t.Context())
	stop := errors.New("the user has enough")
	cancel(stop)
	in, out := io.Pipe()
	defer in.Close()
	defer out.Close()
	go func() { _ = Serve(ctx, in, io.Discard, "/") }()
	if _, err := Client(ctx, strings.NewReader(""), out, Request{Local: t.TempDir(), Path: "/etc"}, nil); err == nil {
		t.Error("no error")
	}
}
