// SPDX-License-Identifier: Apache-2.0

package kopia

import (
	"bytes"
	"context"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/kopia/kopia/repo/manifest"
	"github.com/kopia/kopia/snapshot"
	"golang.org/x/sys/unix"

	"hozon.dev/hozon/internal/blob"
	"hozon.dev/hozon/internal/blob/mem"
	"hozon.dev/hozon/internal/fail"
	"hozon.dev/hozon/internal/transfer"
	"hozon.dev/hozon/internal/vault"
	"hozon.dev/hozon/internal/vault/vaulttest"
)

var someVolume = vault.Source{Namespace: "files", Pod: "writer", Volume: "data", Tags: map[string]string{"backup": "b1", "ns": "files"}}

// created is a new repository, open to be written.
func created(t testing.TB, b blob.Bucket) *Repository {
	t.Helper()
	must(t, Create(t.Context(), b, Prefix("files"), Options{Password: password}))
	r, err := OpenWrite(t.Context(), b, Prefix("files"), Options{Password: password})
	must(t, err)
	t.Cleanup(func() { must(t, r.Close(context.WithoutCancel(t.Context()))) })
	return r
}

func save(t testing.TB, r *Repository, root string) vault.Saved {
	t.Helper()
	saved, err := r.Save(t.Context(), root, someVolume, vault.SaveOptions{})
	must(t, err)
	if saved.Failed > 0 {
		t.Fatalf("%+v", saved.Problems)
	}
	return saved
}

func restored(t testing.TB, r *Repository, id string) string {
	t.Helper()
	tree, err := r.Tree(t.Context(), id)
	must(t, err)
	to := t.TempDir()
	stats, err := transfer.Restore(t.Context(), transfer.Snapshot{Tree: tree}, to, transfer.Options{Devices: true}, nil)
	must(t, err)
	if stats.Failed > 0 {
		t.Errorf("%+v", stats)
	}
	return to
}

// odd fills a folder with everything that a disk can hold.
func odd(t testing.TB) string {
	t.Helper()
	root := t.TempDir()
	at := func(name string) string { return filepath.Join(root, name) }
	write := func(name string, mode os.FileMode, text []byte) {
		must(t, os.WriteFile(at(name), text, 0o600))
		must(t, os.Chmod(at(name), mode))
	}
	must(t, os.MkdirAll(at("folder/below"), 0o750))
	must(t, os.Mkdir(at("empty"), 0o3777))
	must(t, os.Chmod(at("empty"), 0o777|os.ModeSticky|os.ModeSetgid))
	write("empty file", 0o000, nil)
	write("program", 0o755|os.ModeSetuid|os.ModeSetgid, []byte("#!/bin/sh\n"))
	write("a\xff\xfe.txt", 0o644, []byte("not UTF-8"))
	write("a\xfe\xff.txt", 0o644, []byte("not UTF-8 either"))
	write("a\uFFFD\uFFFD.txt", 0o644, []byte("what the others would become"))
	write("new\nline\t\"quoted\" \\ ünïcødé ☃", 0o644, []byte("fine"))
	write("folder/large", 0o600, bytes.Repeat([]byte("compressible "), 1<<20))
	write("folder/below/deep", 0o640, []byte("deep"))
	must(t, os.Mkdir(at("b\xff"), 0o700))
	write("b\xff/c\xff", 0o644, []byte("in a folder with an odd name"))
	must(t, os.Link(at("folder/large"), at("second name")))
	must(t, os.Link(at("folder/large"), at("folder/below/third")))
	must(t, os.Symlink("folder/large", at("link")))
	must(t, os.Symlink("/nowhere/\xff", at("dangling")))
	must(t, unix.Mkfifo(at("pipe"), 0o622))
	must(t, unix.Chmod(at("pipe"), 0o622))
	sparse, err := os.Create(at("sparse"))
	must(t, err)
	_, err = sparse.WriteAt([]byte("in the middle"), 5<<20)
	must(t, err)
	must(t, errors.Join(sparse.Truncate(9<<20), sparse.Close()))
	must(t, unix.Lsetxattr(at("folder/below/deep"), "user.note", []byte("\x00binary\xff"), 0))
	must(t, unix.Lsetxattr(at("folder"), "user.folder", []byte("yes"), 0))
	must(t, unix.Lsetxattr(root, "user.root", []byte("mine"), 0))
	if os.Geteuid() == 0 {
		must(t, os.Lchown(at("link"), 7, 8))
		must(t, os.Chown(at("folder/below/deep"), 1234, 5678))
		must(t, unix.Mknod(at("null"), unix.S_IFCHR|0o666, int(unix.Mkdev(1, 3))))
		must(t, unix.Lsetxattr(at("program"), "security.capability", []byte("\x01\x00\x00\x02\x00\x04\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00"), 0))
		vaulttest.Special(t, root)
	}
	old := time.Date(1969, 7, 20, 20, 17, 40, 123456789, time.UTC)
	must(t, os.Chtimes(at("folder/below/deep"), old, old))
	must(t, os.Chtimes(at("folder/below"), old, old))
	must(t, os.Chtimes(at("folder"), old, old))
	must(t, os.Chtimes(root, old, old))
	return root
}

// TestOdd: what a disk can hold comes back as it was, and kopia's own view of it has what kopia can hold.
func TestOdd(t *testing.T) {
	r := created(t, mem.New())
	source := odd(t)
	saved := save(t, r, source)
	to := restored(t, r, saved.Snapshot.ID)
	vaulttest.Compare(t, vaulttest.Disk(t, to), vaulttest.Disk(t, source))
	for _, path := range []string{source, to} {
		info, err := os.Stat(path)
		must(t, err)
		value := make([]byte, 64)
		n, err := unix.Lgetxattr(path, "user.root", value)
		must(t, err)
		if info.ModTime().Year() != 1969 || string(value[:n]) != "mine" {
			t.Errorf("root %s: %v, %q", path, info.ModTime(), value[:n])
		}
	}
	var stat unix.Stat_t
	must(t, unix.Stat(filepath.Join(to, "sparse"), &stat))
	if stat.Size != 9<<20 || stat.Blocks*512 > 1<<20 {
		t.Errorf("a sparse file of %d bytes has %d on the disk", stat.Size, stat.Blocks*512)
	}
	m, err := snapshot.LoadSnapshot(t.Context(), r.rep, manifest.ID(saved.Snapshot.ID))
	must(t, err)
	if m.Source.String() != "default@default:snapshot-pod-volume/kopia/files/writer/data" || m.Description != "Kopia Uploader" || !slices.Equal(m.Pins, []string{"velero-pin"}) ||
		m.Tags["snapshot-requester"] != "snapshot-pod-volume" || m.Tags["snapshot-uploader"] != "kopia" || m.Tags["backup"] != "b1" {
		t.Errorf("%+v", m)
	}
	all, err := r.Snapshots(t.Context())
	must(t, err)
	if len(all) != 1 || all[0].Bytes != saved.Snapshot.Bytes || all[0].Files != saved.Snapshot.Files {
		t.Errorf("%+v", all)
	}
}

// TestIncremental: what has not changed is not read again.
func TestIncremental(t *testing.T) {
	r := created(t, mem.New())
	source := grown(t, 600, 3000)
	first := save(t, r, source)
	if first.Incremental != 600*3000 || first.Snapshot.Bytes != 600*3000 || first.Snapshot.Files != 600 {
		t.Errorf("%+v", first)
	}
	must(t, os.WriteFile(filepath.Join(source, "d000", "f00007"), []byte("changed"), 0o644))
	must(t, os.Remove(filepath.Join(source, "d001", "f00501")))
	second := save(t, r, source)
	if second.Incremental != 7 || second.Snapshot.Files != 599 {
		t.Errorf("%+v", second)
	}
	vaulttest.Compare(t, vaulttest.Disk(t, restored(t, r, second.Snapshot.ID)), vaulttest.Disk(t, source))
	other, err := r.Save(t.Context(), source, vault.Source{Namespace: "files", Pod: "writer", Volume: "other"}, vault.SaveOptions{})
	must(t, err)
	if other.Incremental != 598*3000+7 {
		t.Errorf("another volume's snapshot was built upon: %+v", other)
	}
}

// TestProblems: what vanishes, changes or cannot be read is a problem of its own.
func TestProblems(t *testing.T) {
	r := created(t, mem.New())
	source := grown(t, 300, 100)
	must(t, os.WriteFile(filepath.Join(source, "big"), make([]byte, 12<<20), 0o644))
	var done bool
	saved, err := r.Save(t.Context(), source, someVolume, vault.SaveOptions{Parallel: 1, Progress: func(bytes, total int64) {
		if !done { // "big" is read first: "b" is before "d000"
			done = true
			must(t, os.Remove(filepath.Join(source, "d000", "f00100")))
			f, err := os.OpenFile(filepath.Join(source, "big"), os.O_WRONLY|os.O_APPEND, 0)
			must(t, err)
			_, err = f.WriteString("more")
			must(t, errors.Join(err, f.Close()))
		}
	}})
	must(t, err)
	if saved.Snapshot.Files != 300 || saved.Failed != 1 || !strings.Contains(saved.Problems[0].Text, "changed while it was read") || saved.Problems[0].Path != "big" ||
		saved.Lost != 0 || !saved.Problems[0].Changing {
		t.Errorf("%+v", saved)
	}
	if _, err := r.Save(t.Context(), filepath.Join(source, "nothing"), someVolume, vault.SaveOptions{}); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("%v", err)
	}
}

// TestSaveCancel: a run that is called off leaves no snapshot, and the next one works.
func TestSaveCancel(t *testing.T) {
	r := created(t, mem.New())
	source := grown(t, 40, 1<<20)
	ctx, cancel := context.WithCancelCause(t.Context())
	why := errors.New("enough")
	_, err := r.Save(ctx, source, someVolume, vault.SaveOptions{Progress: func(done, _ int64) {
		if done > 10<<20 {
			cancel(why)
		}
	}})
	if !errors.Is(err, why) {
		t.Fatalf("%v", err)
	}
	if all, err := r.Snapshots(t.Context()); err != nil || len(all) != 0 {
		t.Errorf("%v, %v", all, err)
	}
	save(t, r, source)
}

// TestCreate: a repository is made once, and not over the remains of another.
func TestCreate(t *testing.T) {
	b := mem.New()
	created(t, b)
	if err := Create(t.Context(), b, Prefix("files"), Options{Password: password}); !fail.Is(err, fail.Exists) {
		t.Errorf("%v", err)
	}
	must(t, b.Delete(t.Context(), Prefix("files")+"kopia.repository"))
	if err := Create(t.Context(), b, Prefix("files"), Options{Password: password}); !fail.Is(err, fail.Corrupt) {
		t.Errorf("%v", err)
	}
	if _, err := OpenWrite(t.Context(), b, Prefix("none"), Options{Password: password}); !fail.Is(err, fail.NotFound) {
		t.Errorf("%v", err)
	}
}

// TestFullVolume: a volume that fills up ends its restore, with what to do; what is whole stays, and the next run goes on.
func TestFullVolume(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("needs root, to mount a small disk")
	}
	r := created(t, mem.New())
	source := grown(t, 12, 1<<20)
	saved := save(t, r, source)
	tree, err := r.Tree(t.Context(), saved.Snapshot.ID)
	must(t, err)
	to := t.TempDir()
	must(t, unix.Mount("tmpfs", to, "tmpfs", 0, "size=8m"))
	t.Cleanup(func() { must(t, unix.Unmount(to, 0)) })
	_, err = transfer.Restore(t.Context(), transfer.Snapshot{Tree: tree}, to, transfer.Options{}, nil)
	if !fail.Is(err, fail.Busy) || !strings.Contains(err.Error(), "no space left on device: make room") || !strings.Contains(err.Error(), "d000/f") {
		t.Fatalf("%v", err)
	}
	must(t, unix.Mount("tmpfs", to, "tmpfs", unix.MS_REMOUNT, "size=32m"))
	stats, err := transfer.Restore(t.Context(), transfer.Snapshot{Tree: tree}, to, transfer.Options{}, nil)
	must(t, err)
	if stats.Failed > 0 || stats.Sent == 12 {
		t.Errorf("%+v", stats)
	}
	vaulttest.Compare(t, vaulttest.Disk(t, to), vaulttest.Disk(t, source))
}

// TestSaveRefused: a wrong password, and a repository that was opened to be read.
func TestSaveRefused(t *testing.T) {
	b := mem.New()
	created(t, b)
	if _, err := OpenWrite(t.Context(), b, Prefix("files"), Options{Password: "wrong"}); !fail.Is(err, fail.Denied) {
		t.Errorf("%v", err)
	}
	r, err := Open(t.Context(), b, Prefix("files"), Options{Password: password})
	must(t, err)
	defer r.Close(t.Context())
	_, saving := r.Save(t.Context(), t.TempDir(), someVolume, vault.SaveOptions{})
	_, maintaining := r.Maintain(t.Context(), true)
	for _, err := range []error{saving, r.Forget(t.Context(), "any"), maintaining} {
		if !fail.Is(err, fail.Denied) {
			t.Errorf("%v", err)
		}
	}
}

// TestDamagedParent: a snapshot before whose folders cannot be read does not keep the next one from being made: all is read then.
func TestDamagedParent(t *testing.T) {
	b := mem.New()
	r := created(t, b)
	source := grown(t, 20, 1000)
	first := save(t, r, source)
	tree, err := r.Tree(t.Context(), first.Snapshot.ID)
	must(t, err)
	ids, err := r.rep.VerifyObject(t.Context(), tree.Root().Ref.(place).id)
	must(t, err)
	info, err := r.rep.ContentInfo(t.Context(), ids[0])
	must(t, err)
	key := Prefix("files") + string(info.PackBlobID)
	var pack bytes.Buffer
	must(t, vault.Fetch(t.Context(), b, key, 0, -1, &pack))
	broken := pack.Bytes()
	for i := range int(info.PackedLength) {
		broken[int(info.PackOffset)+i] ^= 0x55
	}
	_, err = b.Put(t.Context(), key, bytes.NewReader(broken), blob.PutOptions{})
	must(t, err)
	again, err := OpenWrite(t.Context(), b, Prefix("files"), Options{Password: password})
	must(t, err)
	defer again.Close(t.Context())
	must(t, os.Chtimes(source, time.Now(), time.Now().Add(time.Hour))) // else the same folder would be taken for saved
	second := save(t, again, source)
	if second.Incremental != 20*1000 {
		t.Errorf("%d bytes were read", second.Incremental)
	}
}

// TestCached: with an index that is kept in files, and hardly any room for them, everything is as without.
func TestCached(t *testing.T) {
	b := mem.New()
	must(t, Create(t.Context(), b, Prefix("files"), Options{Password: password}))
	source := odd(t)
	open := func() *Repository {
		s := &storage{near: vault.Near{Bucket: b}, prefix: Prefix("files")}
		folder, rep, err := connect(t.Context(), s, Options{Password: password, Cache: t.TempDir(), Limit: 1 << 20}, true)
		must(t, err)
		r := &Repository{at: s.String(), rep: rep, storage: s, folder: folder}
		t.Cleanup(func() { must(t, r.Close(context.WithoutCancel(t.Context()))) })
		return r
	}
	save(t, open(), source)
	again := save(t, open(), source)
	if again.Incremental != 0 {
		t.Errorf("%+v", again)
	}
	vaulttest.Compare(t, vaulttest.Disk(t, restored(t, open(), again.Snapshot.ID)), vaulttest.Disk(t, source))
}
