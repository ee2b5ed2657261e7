// SPDX-License-Identifier: Apache-2.0

package volume_test

import (
	"context"
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/klauspost/compress/gzip"

	"hozon.dev/hozon/internal/blob"
	"hozon.dev/hozon/internal/blob/mem"
	"hozon.dev/hozon/internal/blob/open"
	"hozon.dev/hozon/internal/fail"
	"hozon.dev/hozon/internal/store"
	"hozon.dev/hozon/internal/transfer"
	"hozon.dev/hozon/internal/vault"
	"hozon.dev/hozon/internal/vault/vaulttest"
	"hozon.dev/hozon/internal/volume"
	"hozon.dev/hozon/test/s3server"
)

func openStore(t *testing.T, b blob.Bucket) *store.Store {
	t.Helper()
	s, err := store.Open(t.Context(), b)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func openTree(t *testing.T, s *store.Store, backup, place string, r *volume.Reader) vault.Tree {
	t.Helper()
	volumes, err := volume.List(t.Context(), s, backup)
	if err != nil {
		t.Fatal(err)
	}
	v, err := volume.Find(volumes, place)
	if err != nil {
		t.Fatal(err)
	}
	tree, err := r.Tree(t.Context(), v)
	if err != nil {
		t.Fatal(err)
	}
	return tree
}

// TestRestore brings every volume of the reference data back to a disk, and compares bytes, owners, modes, times, links, attributes and pipes with what
// was on the disk that was saved. A second run has nothing to do.
func TestRestore(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("needs root, to give files to others")
	}
	for fixture, volumes := range map[string]map[string]string{
		"fsbackup": {
			"files-1 files/writer:scratch": "files-1-scratch", "files-1 files/archive": "files-1-archive", "files-1 files/keeper:tmp": "files-1-tmp",
			"files-2 files/writer:scratch": "files-2-scratch", "files-2 files/archive": "files-2-archive", "files-2 files/keeper:tmp": "files-2-tmp",
		},
		"restic": {
			"attic-0301 attic/box-0:stuff": "attic-0301-stuff", "attic-0302 attic/box-0:stuff": "attic-0302-stuff",
			"cellar-0301 cellar/barrel:wine": "cellar-0301-wine", "cellar-0301 cellar/barrel:more": "cellar-0301-more",
		},
	} {
		b := vaulttest.Bucket(t, fixture)
		s := openStore(t, b)
		r := &volume.Reader{Bucket: b, Cache: t.TempDir()}
		for what, list := range volumes {
			backup, place, _ := strings.Cut(what, " ")
			want := vaulttest.List(t, fixture+"/files/"+list+".json.gz")
			if fixture == "fsbackup" {
				want = vaulttest.Kopia(want)
			}
			from := transfer.Snapshot{Tree: openTree(t, s, backup, place, r)}
			to := t.TempDir()
			stats, err := transfer.Restore(t.Context(), from, to, transfer.Options{}, nil)
			if err != nil || stats.Failed > 0 || !stats.Confirmed {
				t.Fatalf("%s: %+v, %v", what, stats, err)
			}
			vaulttest.Compare(t, vaulttest.Disk(t, to), want)
			stats, err = transfer.Restore(t.Context(), from, to, transfer.Options{Delete: true}, nil)
			if err != nil || stats.Sent+stats.Changed+stats.Deleted+stats.Failed != 0 {
				t.Errorf("%s: a second run did something: %+v, %v", what, stats, err)
			}
		}
		if err := r.Close(context.WithoutCancel(t.Context())); err != nil {
			t.Error(err)
		}
	}
}

// TestBucket restores out of a real S3 server: both formats ask for parts of packs there.
func TestBucket(t *testing.T) {
	if testing.Short() {
		t.Skip("starts a server")
	}
	server := s3server.Start(t)
	t.Setenv("AWS_ACCESS_KEY_ID", server.AccessKey)
	t.Setenv("AWS_SECRET_ACCESS_KEY", server.SecretKey)
	for fixture, v := range map[string][3]string{
		"fsbackup": {"files-2", "files/archive", "files-2-archive"}, "restic": {"cellar-0301", "cellar/barrel:wine", "cellar-0301-wine"},
	} {
		if err := server.CreateBucket(fixture); err != nil {
			t.Fatal(err)
		}
		b, err := open.Bucket(t.Context(), "s3://"+fixture+"?endpoint="+server.Endpoint, open.Options{})
		if err != nil {
			t.Fatal(err)
		}
		from := vaulttest.Bucket(t, fixture)
		err = from.List(t.Context(), "", false, func(i blob.Info) error {
			r, err := from.Get(t.Context(), i.Key, 0, -1)
			if err != nil {
				return err
			}
			defer r.Close()
			_, err = b.Put(t.Context(), i.Key, r, blob.PutOptions{})
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
		want := vaulttest.List(t, fixture+"/files/"+v[2]+".json.gz")
		if fixture == "fsbackup" {
			want = vaulttest.Kopia(want)
		}
		r := &volume.Reader{Bucket: b, Cache: t.TempDir()}
		got, damages := vaulttest.Read(t, openTree(t, openStore(t, b), v[0], v[1], r))
		if len(damages) > 0 {
			t.Error(damages)
		}
		vaulttest.Compare(t, got, want)
		if err := r.Close(t.Context()); err != nil {
			t.Error(err)
		}
	}
}

func TestOneFile(t *testing.T) {
	b := vaulttest.Bucket(t, "fsbackup")
	tree := openTree(t, openStore(t, b), "files-1", "files/writer:scratch", &volume.Reader{Bucket: b})
	to := t.TempDir()
	stats, err := transfer.Restore(t.Context(), transfer.Snapshot{Tree: tree, Path: "deep/d0/../d0"}, to, transfer.Options{NoOwner: true}, nil)
	if !fail.Is(err, fail.NotFound) {
		t.Errorf("..: %+v, %v", stats, err)
	}
	for range 2 {
		stats, err = transfer.Restore(t.Context(), transfer.Snapshot{Tree: tree, Path: "/many/00/file-007.txt"}, to, transfer.Options{NoOwner: true}, nil)
		if err != nil || stats.Failed > 0 {
			t.Fatalf("%+v, %v", stats, err)
		}
	}
	entries, err := os.ReadDir(to)
	if err != nil || len(entries) != 1 || entries[0].Name() != "file-007.txt" || stats.Sent != 0 {
		t.Errorf("%v, %+v, %v", entries, stats, err)
	}
	// A file of the volume among what the filter leaves.
	to = t.TempDir()
	stats, err = transfer.Restore(t.Context(), transfer.Snapshot{Tree: tree, Path: "many"}, to, transfer.Options{NoOwner: true, Filter: transfer.Filter{Include: []string{"file-00*.txt"}}}, nil)
	if err != nil || stats.Files == 0 || stats.Files > 20 {
		t.Errorf("%+v, %v", stats, err)
	}
	// Zeros are holes.
	to = t.TempDir()
	if stats, err = transfer.Restore(t.Context(), transfer.Snapshot{Tree: tree, Path: "sparse.img"}, to, transfer.Options{NoOwner: true}, nil); err != nil || stats.Bytes >= 600_000 {
		t.Errorf("%+v, %v", stats, err)
	}
}

// TestDamagedPack: what lies in a pack that is gone is named with the pack; the rest comes back.
func TestDamagedPack(t *testing.T) {
	whole := vaulttest.Bucket(t, "restic")
	want, _ := vaulttest.Read(t, openTree(t, openStore(t, whole), "attic-0301", "attic/box-0:stuff", &volume.Reader{Bucket: whole}))
	b := vaulttest.Copy(t, whole, "")
	var pack string
	var most int64
	err := b.List(t.Context(), "restic/attic/data/", false, func(i blob.Info) error {
		if i.Size > most {
			pack, most = i.Key, i.Size
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if err := b.Delete(t.Context(), pack); err != nil {
		t.Fatal(err)
	}
	to := t.TempDir()
	stats, err := transfer.Restore(t.Context(), transfer.Snapshot{Tree: openTree(t, openStore(t, b), "attic-0301", "attic/box-0:stuff", &volume.Reader{Bucket: b})}, to, transfer.Options{}, nil)
	if err != nil || stats.Failed == 0 || !stats.Confirmed {
		t.Fatalf("%+v, %v", stats, err)
	}
	lost := map[string]error{}
	for _, p := range stats.Problems {
		path := p.Path
		if raw, err := strconv.Unquote(path); err == nil { // as names are shown that terminals would obey
			path = raw
		}
		lost[path] = os.ErrNotExist
		if !strings.Contains(p.Text, filepath.Base(pack)) && !strings.Contains(p.Text, "link to") {
			t.Errorf("%s: %s", p.Path, p.Text)
		}
	}
	if os.Geteuid() == 0 {
		vaulttest.Compare(t, vaulttest.Disk(t, to), vaulttest.Without(want, lost))
	}
}

func TestFind(t *testing.T) {
	volumes, err := volume.List(t.Context(), openStore(t, vaulttest.Bucket(t, "fsbackup")), "files-2")
	if err != nil || len(volumes) != 3 {
		t.Fatalf("%v, %v", volumes, err)
	}
	if !slices.IsSortedFunc(volumes, func(a, b volume.Volume) int { return strings.Compare(a.String(), b.String()) }) {
		t.Errorf("not sorted: %v", volumes)
	}
	a, err := volume.Find(volumes, "files/archive")
	b, err2 := volume.Find(volumes, "files/keeper:archive")
	if err != nil || err2 != nil || a != b || a.SnapshotID != "c19c3addb090b20530659be8ddc9083e" || a.Bytes != 798026 || a.Completed.IsZero() {
		t.Errorf("%+v, %+v, %v, %v", a, b, err, err2)
	}
	for text, kind := range map[string]fail.Kind{
		"": fail.Invalid, "files": fail.Invalid, "/x": fail.Invalid, "files/": fail.Invalid, "files/p:": fail.Invalid, "files/:v": fail.Invalid, "files/a/b": fail.Invalid,
		"files/keeper": fail.NotFound, "other/archive": fail.NotFound, "files/keeper:scratch": fail.NotFound,
	} {
		if _, err := volume.Find(volumes, text); !fail.Is(err, kind) {
			t.Errorf("%q: %v", text, err)
		}
	}
	again := []volume.Volume{
		{Namespace: "a", Claim: "c", Pod: "p1", Name: "v", Phase: "Failed", Message: "the disk is gone"},
		{Namespace: "a", Claim: "d", Pod: "p1", Name: "w", Phase: "Failed", Message: "the disk is gone"},
		{Namespace: "a", Claim: "c", Pod: "p2", Name: "v", Phase: "Completed", SnapshotID: "1"},
	}
	if v, err := volume.Find(again, "a/c"); err != nil || v.SnapshotID != "1" {
		t.Errorf("%+v, %v", v, err)
	}
	if _, err := volume.Find(again, "a/d"); !fail.Is(err, fail.NotFound) || !strings.Contains(err.Error(), "the disk is gone") {
		t.Error(err)
	}
}

// TestPasswords: the location's own key comes before Velero's default; a given one before both.
func TestPasswords(t *testing.T) {
	b := vaulttest.Copy(t, vaulttest.Bucket(t, "restic"), "restic/attic/")
	v := volume.Volume{Namespace: "attic", Uploader: "restic", SnapshotID: "1ee74286"}
	open := func(passwords ...string) error {
		r := &volume.Reader{Bucket: b, Passwords: passwords}
		defer r.Close(t.Context())
		_, err := r.Tree(t.Context(), v)
		return err
	}
	key := func(text string) {
		t.Helper()
		if _, err := b.Put(t.Context(), volume.KeyObject, strings.NewReader(text), blob.PutOptions{}); err != nil {
			t.Fatal(err)
		}
	}
	if err := open(); err != nil {
		t.Errorf("Velero's own: %v", err)
	}
	key("another\n")
	if err := open(); err != nil {
		t.Errorf("a key for other repositories: %v", err)
	}
	if err := open("guess"); !fail.Is(err, fail.Denied) || strings.Contains(err.Error(), "guess") {
		t.Errorf("wrong: %v", err)
	}
	key("")
	if err := open(); !fail.Is(err, fail.Corrupt) {
		t.Errorf("an empty key: %v", err)
	}
	if err := open(vaulttest.Password); err != nil {
		t.Errorf("the key is not needed: %v", err)
	}
	v.Namespace = "../attic"
	if err := open(vaulttest.Password); !fail.Is(err, fail.Corrupt) {
		t.Errorf("a namespace that leads elsewhere: %v", err)
	}
	v.Namespace, v.Uploader = "attic", "tar"
	if err := open(vaulttest.Password); !fail.Is(err, fail.Unsupported) {
		t.Errorf("an unknown uploader: %v", err)
	}
	v.Uploader = "kopia"
	if err := open(vaulttest.Password); !fail.Is(err, fail.NotFound) {
		t.Errorf("no repository: %v", err)
	}
}

// TestMoved reads what Velero's data mover has left: the volume of a claim, as its BackupVolumeInfo has it, in the repository of the namespace.
func TestMoved(t *testing.T) {
	b := vaulttest.Copy(t, vaulttest.Bucket(t, "fsbackup"), "")
	info := []map[string]any{{
		"pvcName": "moved", "pvcNamespace": "files", "backupMethod": "CSISnapshot", "snapshotDataMoved": true, "completionTimestamp": "2026-11-20T12:36:43Z",
		"snapshotDataMovementInfo": map[string]any{"dataMover": "velero", "uploaderType": "kopia", "snapshotHandle": "09a688075b4fa1e4c2aec41e778ff8dc", "size": 13, "Phase": "Completed"},
	}, {
		"pvcName": "foreign", "pvcNamespace": "files", "snapshotDataMoved": true, "snapshotDataMovementInfo": map[string]any{"dataMover": "acme", "snapshotHandle": "x"},
	}}
	putJSON(t, b, "backups/files-1/files-1-volumeinfo.json.gz", info)
	got, damages := vaulttest.Read(t, openTree(t, openStore(t, b), "files-1", "files/moved", &volume.Reader{Bucket: b}))
	if len(damages) > 0 {
		t.Error(damages)
	}
	vaulttest.Compare(t, got, vaulttest.List(t, "fsbackup/files/files-1-tmp.json.gz"))
	volumes, err := volume.List(t.Context(), openStore(t, b), "files-1")
	if err != nil || len(volumes) != 4 {
		t.Errorf("%v, %v", volumes, err)
	}
}

func putJSON(t *testing.T, b *mem.Bucket, key string, v any) {
	t.Helper()
	var text strings.Builder
	z := gzip.NewWriter(&text)
	if err := json.NewEncoder(z).Encode(v); err != nil {
		t.Fatal(err)
	}
	if err := z.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := b.Put(t.Context(), key, strings.NewReader(text.String()), blob.PutOptions{}); err != nil {
		t.Fatal(err)
	}
}
