// SPDX-License-Identifier: Apache-2.0

package kopia_test

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/kopia/kopia/repo/format"

	"hozon.dev/hozon/internal/blob"
	"hozon.dev/hozon/internal/blob/mem"
	"hozon.dev/hozon/internal/fail"
	"hozon.dev/hozon/internal/vault"
	"hozon.dev/hozon/internal/vault/kopia"
	"hozon.dev/hozon/internal/vault/vaulttest"
)

func open(t *testing.T, b blob.Bucket, cache string) *kopia.Repository {
	t.Helper()
	r, err := kopia.Open(t.Context(), b, kopia.Prefix("files"), kopia.Options{Password: vaulttest.Password, Cache: cache})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := r.Close(context.WithoutCancel(t.Context())); err != nil {
			t.Error(err)
		}
	})
	return r
}

func tree(t *testing.T, r *kopia.Repository, id string) vault.Tree {
	t.Helper()
	tree, err := r.Tree(t.Context(), id)
	if err != nil {
		t.Fatal(err)
	}
	return tree
}

// TestVelero reads all that the real Velero 1.18 wrote.
func TestVelero(t *testing.T) {
	volumes := map[string]string{
		"b5b6da66ba20c4df36b8aa95025c7b8a": "files-1-scratch",
		"a012e80171a61dc6ddbd7ec74348c8c0": "files-1-archive",
		"09a688075b4fa1e4c2aec41e778ff8dc": "files-1-tmp",
		"c19c3addb090b20530659be8ddc9083e": "files-2-archive",
		"0029f117ee34e0b484e0043898a192a9": "files-2-tmp",
		"56b908f4ee857e13800cd4073b0ec49a": "files-2-scratch",
	}
	paths := map[string]string{"scratch": "writer/scratch", "archive": "keeper/archive", "tmp": "keeper/tmp"}
	for name, cache := range map[string]string{"in memory": "", "with a cache": t.TempDir()} {
		t.Run(name, func(t *testing.T) {
			r := open(t, vaulttest.Bucket(t, "fsbackup"), cache)
			snapshots, err := r.Snapshots(t.Context())
			if err != nil || len(snapshots) != len(volumes) {
				t.Fatalf("%d snapshots, %v", len(snapshots), err)
			}
			if !slices.IsSortedFunc(snapshots, func(a, b vault.Snapshot) int { return a.Time.Compare(b.Time) }) {
				t.Error("they are not sorted by time")
			}
			for _, s := range snapshots {
				list := volumes[s.ID]
				if want := "snapshot-pod-volume/kopia/files/" + paths[list[len("files-1-"):]]; s.Path != want || s.User != "default" || s.Host != "default" {
					t.Errorf("snapshot of %s is of %s@%s:%s", list, s.User, s.Host, s.Path)
				}
				if s.Tags["snapshot-requester"] != "snapshot-pod-volume" || s.Tags["snapshot-uploader"] != "kopia" || s.Incomplete != "" {
					t.Errorf("snapshot of %s: %+v", list, s)
				}
				got, damages := vaulttest.Read(t, tree(t, r, s.ID))
				if len(damages) > 0 {
					t.Errorf("%s: %v", list, damages)
				}
				vaulttest.Compare(t, got, vaulttest.Kopia(vaulttest.List(t, "fsbackup/files/"+list+".json.gz")))
			}
		})
	}
}

func TestFind(t *testing.T) {
	volume := tree(t, open(t, vaulttest.Bucket(t, "fsbackup"), ""), "b5b6da66ba20c4df36b8aa95025c7b8a")
	for _, path := range []string{"", "/", "."} {
		if n, err := vault.Find(t.Context(), volume, path); err != nil || n.Type != vault.Folder || n.Name != "" {
			t.Errorf("%q: %+v, %v", path, n, err)
		}
	}
	n, err := vault.Find(t.Context(), volume, "/deep/d0//d1/./d2")
	if err != nil || n.Name != "d2" || n.Type != vault.Folder {
		t.Errorf("%+v, %v", n, err)
	}
	for _, path := range []string{"nothing", "empty/below", "deep/../empty", "link/x"} {
		if _, err := vault.Find(t.Context(), volume, path); !fail.Is(err, fail.NotFound) {
			t.Errorf("%s: %v", path, err)
		}
	}
}

func TestReadAt(t *testing.T) {
	volume := tree(t, open(t, vaulttest.Bucket(t, "fsbackup"), ""), "b5b6da66ba20c4df36b8aa95025c7b8a")
	n, err := vault.Find(t.Context(), volume, "blob.bin")
	if err != nil {
		t.Fatal(err)
	}
	f, err := volume.Open(t.Context(), n)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	all := make([]byte, n.Size)
	if k, err := f.ReadAt(t.Context(), all, 0); int64(k) != n.Size || err != nil && err != io.EOF {
		t.Fatalf("%d, %v", k, err)
	}
	for _, off := range []int64{n.Size - 10, 0, 1 << 20, 1<<20 - 7, n.Size, n.Size + 1} {
		buf := make([]byte, 20)
		k, err := f.ReadAt(t.Context(), buf, off)
		want := all[min(off, n.Size):min(off+20, n.Size)]
		if !bytes.Equal(buf[:k], want) || (k < 20) != (err == io.EOF) {
			t.Errorf("at %d: %d bytes, %v", off, k, err)
		}
	}
}

func TestRefused(t *testing.T) {
	if testing.Short() {
		t.Skip("it makes many keys of passwords, which takes its time on purpose")
	}
	whole := vaulttest.Copy(t, vaulttest.Bucket(t, "fsbackup"), "kopia/")
	tests := map[string]struct {
		change   func(*mem.Bucket)
		password string
		kind     fail.Kind
		text     string
	}{
		"wrong password": {nil, "guess", fail.Denied, "the password is wrong"},
		"none":           {func(b *mem.Bucket) { remove(t, b, "kopia/files/kopia.repository") }, vaulttest.Password, fail.NotFound, "there is none"},
		"damaged format": {func(b *mem.Bucket) { put(t, b, "kopia/files/kopia.repository", "{") }, vaulttest.Password, fail.Corrupt, "format blob"},
		"newer features": {newerFeatures(t), vaulttest.Password, fail.Unsupported, "teleportation"},
		"newer cipher": {func(b *mem.Bucket) {
			put(t, b, "kopia/files/kopia.repository", strings.Replace(get(t, b, "kopia/files/kopia.repository"), "AES256_GCM", "AES512_XYZ", 1))
		}, vaulttest.Password, fail.Unsupported, "newer"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			b := vaulttest.Copy(t, whole, "")
			if tt.change != nil {
				tt.change(b)
			}
			_, err := kopia.Open(t.Context(), b, kopia.Prefix("files"), kopia.Options{Password: tt.password})
			if !fail.Is(err, tt.kind) || !strings.Contains(err.Error(), tt.text) || !strings.Contains(err.Error(), "kopia/files") {
				t.Errorf("%v: %v", fail.Of(err), err)
			}
			if err != nil && strings.Contains(err.Error(), tt.password) {
				t.Errorf("the password is in the message: %v", err)
			}
		})
	}
	if _, err := open(t, whole, "").Tree(t.Context(), "0123456789abcdef0123456789abcdef"); !fail.Is(err, fail.NotFound) {
		t.Errorf("missing snapshot: %v", err)
	}
}

// newerFeatures makes the format demand what no kopia of today knows.
func newerFeatures(t *testing.T) func(*mem.Bucket) {
	return func(b *mem.Bucket) {
		key := "kopia/files/kopia.repository"
		j, err := format.ParseKopiaRepositoryJSON([]byte(get(t, b, key)))
		if err != nil {
			t.Fatal(err)
		}
		derived, err := j.DeriveFormatEncryptionKeyFromPassword(vaulttest.Password)
		if err != nil {
			t.Fatal(err)
		}
		var config format.RepositoryConfig
		text := `{"version":2,"maxPackSize":20971520,"indexVersion":2,"hash":"BLAKE2B-256-128","encryption":"AES256-GCM-HMAC-SHA256","secret":"c2VjcmV0c2VjcmV0c2VjcmV0c2VjcmV0c2VjcmV0c2U=",
			"masterKey":"c2VjcmV0c2VjcmV0c2VjcmV0c2VjcmV0c2VjcmV0c2U=","splitter":"DYNAMIC-4M-BUZHASH","requiredFeatures":[{"feature":"teleportation"}]}`
		if err := json.Unmarshal([]byte(text), &config); err != nil {
			t.Fatal(err)
		}
		if err := j.EncryptRepositoryConfig(&config, derived); err != nil {
			t.Fatal(err)
		}
		data, err := json.Marshal(j)
		if err != nil {
			t.Fatal(err)
		}
		remove(t, b, "kopia/files/kopia.blobcfg")
		put(t, b, key, string(data))
	}
}

// TestDamage takes each pack away, and flips a byte of each: what is lost is named with its pack, and the rest is as it was.
func TestDamage(t *testing.T) {
	if testing.Short() {
		t.Skip("it makes many keys of passwords, which takes its time on purpose")
	}
	whole := vaulttest.Copy(t, vaulttest.Bucket(t, "fsbackup"), "kopia/")
	volume := tree(t, open(t, whole, ""), "b5b6da66ba20c4df36b8aa95025c7b8a")
	want, _ := vaulttest.Read(t, volume)
	lost := 0
	for _, key := range keys(t, whole, "kopia/files/p") {
		for how, change := range map[string]func(*mem.Bucket){
			"missing": func(b *mem.Bucket) { remove(t, b, key) },
			"flipped": func(b *mem.Bucket) {
				data := []byte(get(t, b, key))
				for i := 40; i < len(data); i += 997 {
					data[i] ^= 1
				}
				put(t, b, key, string(data))
			},
		} {
			b := vaulttest.Copy(t, whole, "")
			change(b)
			got, damages := vaulttest.Read(t, tree(t, open(t, b, ""), "b5b6da66ba20c4df36b8aa95025c7b8a"))
			lost += len(damages)
			for path, err := range damages {
				if !fail.Is(err, fail.Corrupt) || how == "missing" && !strings.Contains(err.Error(), key) {
					t.Errorf("%s %s: %s: %v: %v", key, how, path, fail.Of(err), err)
				}
			}
			vaulttest.Compare(t, got, vaulttest.Without(want, damages))
		}
	}
	if lost == 0 {
		t.Error("nothing was lost: no pack was read")
	}
	t.Logf("%d files lost in all cases", lost)
}

func keys(t *testing.T, b blob.Bucket, prefix string) []string {
	t.Helper()
	found := map[string]bool{}
	err := b.List(t.Context(), prefix, false, func(i blob.Info) error { found[i.Key] = true; return nil })
	if err != nil {
		t.Fatal(err)
	}
	return slices.Sorted(maps.Keys(found))
}

func get(t *testing.T, b blob.Bucket, key string) string {
	t.Helper()
	r, err := b.Get(t.Context(), key, 0, -1)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	data, err := io.ReadAll(r)
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}

func put(t *testing.T, b blob.Bucket, key, text string) {
	t.Helper()
	if _, err := b.Put(t.Context(), key, strings.NewReader(text), blob.PutOptions{}); err != nil {
		t.Fatal(err)
	}
}

func remove(t *testing.T, b blob.Bucket, key string) {
	t.Helper()
	if err := b.Delete(t.Context(), key); err != nil {
		t.Fatal(err)
	}
}
