// SPDX-License-Identifier: Apache-2.0

package kopia

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"runtime"
	"testing"
	"time"

	"github.com/kopia/kopia/fs/localfs"
	"github.com/kopia/kopia/repo"
	"github.com/kopia/kopia/repo/manifest"
	"github.com/kopia/kopia/repo/object"
	"github.com/kopia/kopia/snapshot"
	"github.com/kopia/kopia/snapshot/policy"
	"github.com/kopia/kopia/snapshot/restore"
	"github.com/kopia/kopia/snapshot/snapshotfs"
	"github.com/kopia/kopia/snapshot/upload"
	"golang.org/x/sys/unix"

	"hozon.dev/hozon/internal/blob"
	"hozon.dev/hozon/internal/blob/dir"
	"hozon.dev/hozon/internal/blob/faulty"
	"hozon.dev/hozon/internal/blob/mem"
	"hozon.dev/hozon/internal/transfer"
	"hozon.dev/hozon/internal/vault"
	"hozon.dev/hozon/internal/vault/vaulttest"
)

const password = "a password"

// saved is a repository with a snapshot of a folder that upstream kopia made, over our storage.
func saved(t testing.TB, b blob.Bucket, source string) string {
	t.Helper()
	s := &storage{near: vault.Near{Bucket: b}, prefix: Prefix("files")}
	must(t, repo.Initialize(t.Context(), s, &repo.NewRepositoryOptions{}, password))
	rep := reopen(t, b)
	var id manifest.ID
	must(t, repo.WriteSession(t.Context(), rep, repo.WriteSessionOptions{}, func(ctx context.Context, w repo.RepositoryWriter) error {
		from, err := localfs.Directory(source)
		if err != nil {
			return err
		}
		m, err := upload.NewUploader(w).Upload(ctx, from, policy.BuildTree(nil, policy.DefaultPolicy), snapshot.SourceInfo{UserName: user, Host: host, Path: "x"})
		if err != nil {
			return err
		}
		id, err = snapshot.SaveSnapshot(ctx, w, m)
		return err
	}))
	return string(id)
}

func reopen(t testing.TB, b blob.Bucket) repo.Repository {
	t.Helper()
	folder, rep, err := connect(t.Context(), &storage{near: vault.Near{Bucket: b}, prefix: Prefix("files")}, Options{Password: password}, false)
	must(t, err)
	t.Cleanup(func() { _, _ = rep.Close(context.WithoutCancel(t.Context())), os.RemoveAll(folder) })
	return rep
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// grown fills a folder.
func grown(t testing.TB, files, size int) string {
	t.Helper()
	root := t.TempDir()
	random := rand.NewChaCha8([32]byte{1})
	buf := make([]byte, size)
	for i := range files {
		folder := filepath.Join(root, fmt.Sprintf("d%03d", i/500))
		if i%500 == 0 {
			must(t, os.Mkdir(folder, 0o755))
		}
		_, _ = random.Read(buf)
		must(t, os.WriteFile(filepath.Join(folder, fmt.Sprintf("f%05d", i)), buf, 0o644))
	}
	return root
}

// TestFewRequests: what was saved together is read back together, with one request to the store for a stretch of many files.
func TestFewRequests(t *testing.T) {
	const files = 1500
	bucket := faulty.New(mem.New())
	source := grown(t, files, 200)
	must(t, os.Symlink("f00001", filepath.Join(source, "d000", "link")))
	id := saved(t, bucket, source)
	r, err := Open(t.Context(), bucket, Prefix("files"), Options{Password: password})
	must(t, err)
	defer r.Close(t.Context())
	tree, err := r.Tree(t.Context(), id)
	must(t, err)
	bucket.Forget()
	to := t.TempDir()
	stats, err := transfer.Restore(t.Context(), transfer.Snapshot{Tree: tree}, to, transfer.Options{}, nil)
	must(t, err)
	if stats.Failed > 0 || stats.Sent != files {
		t.Errorf("%+v", stats)
	}
	if n := len(bucket.Ops()); n > 40 {
		t.Errorf("%d requests for %d files", n, files)
	}
	vaulttest.Compare(t, vaulttest.Disk(t, to), vaulttest.Disk(t, source))
}

// TestCancel: a restore that is called off ends, and leaves nobody reading.
func TestCancel(t *testing.T) {
	bucket := faulty.New(mem.New())
	id := saved(t, bucket, grown(t, 40, 1<<20))
	r, err := Open(t.Context(), bucket, Prefix("files"), Options{Password: password})
	must(t, err)
	defer r.Close(t.Context())
	tree, err := r.Tree(t.Context(), id)
	must(t, err)
	before := runtime.NumGoroutine()
	ctx, cancel := context.WithCancel(t.Context())
	var p transfer.Progress
	go func() {
		for p.Moved.Load() == 0 {
			runtime.Gosched()
		}
		cancel()
	}()
	if _, err := transfer.Restore(ctx, transfer.Snapshot{Tree: tree}, t.TempDir(), transfer.Options{}, &p); !errors.Is(err, context.Canceled) {
		t.Errorf("%v", err)
	}
	for range 100 {
		if runtime.NumGoroutine() <= before {
			return
		}
		time.Sleep(20 * time.Millisecond) // until they have seen it
	}
	t.Errorf("%d goroutines are left of a restore", runtime.NumGoroutine()-before)
}

// FuzzFolder reads folders that somebody with the password made.
func FuzzFolder(f *testing.F) {
	f.Add([]byte(`{"stream":"kopia:directory","entries":[{"name":"a","type":"f","mode":"0644","size":3,"mtime":"2026-01-02T03:04:05Z","obj":"ff46b2bbe208d7fb0e057dff4308b9ae"}],"summary":{"size":3}}`))
	f.Add([]byte(`{"entries":[{"name":"..","type":"d"},{"name":"l","type":"s","obj":"k1234"}],"stream":"kopia:directory"}`))
	f.Add([]byte(`{"stream":"kopia:directory","entries":null}`))
	f.Fuzz(func(t *testing.T, text []byte) {
		nodes, err := decode(bytes.NewReader(text), func(object.ID) (string, error) { return "target", nil })
		if err != nil {
			return
		}
		for _, n := range nodes {
			if n.Size < 0 && n.Damage == nil || n.Mode&^0o7777 != 0 || n.Type == vault.Symlink && n.Target == "" && n.Damage == nil || n.Type == 0 && n.Damage == nil {
				t.Errorf("%+v", n)
			}
		}
	})
}

// BenchmarkRestore compares our restore with upstream kopia's own, of the same repository in a folder.
func BenchmarkRestore(b *testing.B) {
	for name, kind := range map[string]struct{ files, size int }{"small": {20_000, 200}, "megabyte": {400, 1 << 20}} {
		bucket, err := dir.Open(b.TempDir(), false)
		must(b, err)
		id := saved(b, bucket, grown(b, kind.files, kind.size))
		b.Run(name+"/hozon", func(b *testing.B) {
			defer cpu(b)()
			for b.Loop() {
				r, err := Open(b.Context(), bucket, Prefix("files"), Options{Password: password})
				must(b, err)
				tree, err := r.Tree(b.Context(), id)
				must(b, err)
				stats, err := transfer.Restore(b.Context(), transfer.Snapshot{Tree: tree}, b.TempDir(), transfer.Options{}, nil)
				must(b, err)
				if stats.Sent != int64(kind.files) || stats.Failed > 0 {
					b.Fatalf("%+v", stats)
				}
				must(b, r.Close(b.Context()))
			}
		})
		b.Run(name+"/kopia", func(b *testing.B) {
			defer cpu(b)()
			for b.Loop() {
				rep := reopen(b, bucket)
				m, err := snapshot.LoadSnapshot(b.Context(), rep, manifest.ID(id))
				must(b, err)
				root, err := snapshotfs.SnapshotRoot(rep, m)
				must(b, err)
				out := &restore.FilesystemOutput{TargetPath: b.TempDir(), OverwriteDirectories: true, OverwriteFiles: true}
				must(b, out.Init(b.Context()))
				stats, err := restore.Entry(b.Context(), rep, out, root, restore.Options{Parallel: 8, RestoreDirEntryAtDepth: math.MaxInt32})
				must(b, err)
				if stats.RestoredFileCount != int32(kind.files) {
					b.Fatalf("%+v", stats)
				}
			}
		})
	}
}

// cpu reports the time on processors, which says more than the clock where others work too.
func cpu(b *testing.B) func() {
	used := func() int64 {
		var u unix.Rusage
		must(b, unix.Getrusage(unix.RUSAGE_SELF, &u))
		return u.Utime.Nano() + u.Stime.Nano()
	}
	before := used()
	return func() { b.ReportMetric(float64(used()-before)/1e6/float64(b.N), "cpu-ms/op") }
}
