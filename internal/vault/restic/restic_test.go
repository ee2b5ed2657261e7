// SPDX-License-Identifier: Apache-2.0

package restic

import (
	"encoding/json"
	"io"
	"maps"
	"slices"
	"strings"
	"testing"

	"hozon.dev/hozon/internal/blob"
	"hozon.dev/hozon/internal/blob/mem"
	"hozon.dev/hozon/internal/fail"
	"hozon.dev/hozon/internal/vault"
	"hozon.dev/hozon/internal/vault/vaulttest"
)

func open(t *testing.T, b blob.Bucket, namespace string) *Repository {
	t.Helper()
	r, err := Open(t.Context(), b, Prefix(namespace), vaulttest.Password)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = r.Close(t.Context()) })
	return r
}

func openTree(t *testing.T, r *Repository, id string) vault.Tree {
	t.Helper()
	tree, err := r.Tree(t.Context(), id)
	if err != nil {
		t.Fatal(err)
	}
	return tree
}

// TestRestic reads all that the real restic 0.14 wrote, in both formats, by the short IDs that Velero notes.
func TestRestic(t *testing.T) {
	for namespace, volumes := range map[string]map[string]string{
		"attic":  {"1ee74286": "attic-0301-stuff", "07d77b6e": "attic-0302-stuff"},
		"cellar": {"e5122fbd": "cellar-0301-wine", "a2dc1561": "cellar-0301-more"},
	} {
		r := open(t, vaulttest.Bucket(t, "restic"), namespace)
		snapshots, err := r.Snapshots(t.Context())
		if err != nil || len(snapshots) != len(volumes) {
			t.Fatalf("%s: %d snapshots, %v", namespace, len(snapshots), err)
		}
		for _, s := range snapshots {
			list := volumes[s.ID[:8]]
			if list == "" || s.Tags["ns"] != namespace || s.Tags["volume"] == "" || s.Host != "velero" || !strings.HasPrefix(s.Path, "/host_pods/") || s.Time.IsZero() {
				t.Errorf("snapshot %+v", s)
			}
			got, damages := vaulttest.Read(t, openTree(t, r, s.ID[:8]))
			if len(damages) > 0 {
				t.Errorf("%s: %v", list, damages)
			}
			vaulttest.Compare(t, got, vaulttest.List(t, "restic/files/"+list+".json.gz"))
		}
	}
}

func TestRefused(t *testing.T) {
	if testing.Short() {
		t.Skip("it makes many keys of passwords, which takes its time on purpose")
	}
	whole := vaulttest.Copy(t, vaulttest.Bucket(t, "restic"), "restic/attic/")
	key := keys(t, whole, "restic/attic/keys/")[0]
	tests := map[string]struct {
		change   func(*mem.Bucket)
		password string
		kind     fail.Kind
		text     string
	}{
		"wrong password": {nil, "guess", fail.Denied, "the password is wrong"},
		"none":           {func(b *mem.Bucket) { remove(t, b, key) }, vaulttest.Password, fail.NotFound, "there is none"},
		"damaged key":    {func(b *mem.Bucket) { put(t, b, key, "{") }, vaulttest.Password, fail.Corrupt, "keys/"},
		"no config":      {func(b *mem.Bucket) { remove(t, b, "restic/attic/config") }, vaulttest.Password, fail.Corrupt, "config is missing"},
		"damaged config": {func(b *mem.Bucket) { put(t, b, "restic/attic/config", strings.Repeat("x", 80)) }, vaulttest.Password, fail.Corrupt, "not authentic"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			b := vaulttest.Copy(t, whole, "")
			if tt.change != nil {
				tt.change(b)
			}
			_, err := Open(t.Context(), b, Prefix("attic"), tt.password)
			if !fail.Is(err, tt.kind) || !strings.Contains(err.Error(), tt.text) || !strings.Contains(err.Error(), "restic/attic") {
				t.Errorf("%v: %v", fail.Of(err), err)
			}
			if err != nil && strings.Contains(err.Error(), tt.password) {
				t.Errorf("the password is in the message: %v", err)
			}
		})
	}
	r := open(t, whole, "attic")
	for id, kind := range map[string]fail.Kind{"0123": fail.NotFound, "": fail.NotFound} {
		if _, err := r.Tree(t.Context(), id); !fail.Is(err, kind) {
			t.Errorf("snapshot %q: %v", id, err)
		}
	}
}

// TestGreedyKey: a key file is not authentic, and must not make us take all memory.
func TestGreedyKey(t *testing.T) {
	for _, text := range []string{
		`{"kdf":"scrypt","N":1073741824,"r":8,"p":1,"salt":"","data":""}`,
		`{"kdf":"scrypt","N":1024,"r":1000000,"p":1}`,
		`{"kdf":"scrypt","N":1024,"r":8,"p":1000000}`,
		`{"kdf":"scrypt","N":-8,"r":8,"p":1}`,
	} {
		if _, err := master([]byte(text), "x"); !fail.Is(err, fail.Corrupt) {
			t.Errorf("%s: %v", text, err)
		}
	}
	if _, err := master([]byte(`{"kdf":"argon2"}`), "x"); !fail.Is(err, fail.Unsupported) {
		t.Errorf("another way to make keys: %v", err)
	}
}

// TestDamage takes each file of a repository away, and flips bytes of each: what is lost is named with its pack, and the rest is as it was. An index
// that is damaged costs nothing.
func TestDamage(t *testing.T) {
	if testing.Short() {
		t.Skip("it makes many keys of passwords, which takes its time on purpose")
	}
	for namespace, id := range map[string]string{"attic": "07d77b6e", "cellar": "e5122fbd"} {
		whole := vaulttest.Copy(t, vaulttest.Bucket(t, "restic"), "restic/"+namespace+"/")
		opened := open(t, whole, namespace)
		want, _ := vaulttest.Read(t, openTree(t, opened, id))
		lost := 0
		for _, key := range append(keys(t, whole, "restic/"+namespace+"/data/"), keys(t, whole, "restic/"+namespace+"/index/")...) {
			for how, change := range map[string]func(*mem.Bucket){
				"missing": func(b *mem.Bucket) { remove(t, b, key) },
				"flipped": func(b *mem.Bucket) { flip(t, b, key) },
				"cut":     func(b *mem.Bucket) { data := get(t, b, key); put(t, b, key, data[:len(data)/2]) },
			} {
				if strings.Contains(key, "/index/") && how == "missing" {
					continue // nothing tells that it was there
				}
				b := vaulttest.Copy(t, whole, "")
				change(b)
				r := &Repository{at: opened.at, near: vault.Near{Bucket: b}, prefix: opened.prefix, key: opened.key, zstd: opened.zstd}
				volume, err := r.Tree(t.Context(), id)
				if err != nil {
					t.Fatal(err)
				}
				got, damages := vaulttest.Read(t, volume)
				lost += len(damages)
				if strings.Contains(key, "/index/") && len(damages) > 0 {
					t.Errorf("%s %s: %v", key, how, damages)
				}
				for path, err := range damages {
					if !fail.Is(err, fail.Corrupt) || !strings.Contains(err.Error(), strings.TrimPrefix(key, "restic/"+namespace+"/")) {
						t.Errorf("%s %s: %s: %v: %v", key, how, path, fail.Of(err), err)
					}
				}
				vaulttest.Compare(t, got, vaulttest.Without(want, damages))
			}
		}
		if lost == 0 {
			t.Error("nothing was lost: no pack was read")
		}
		t.Logf("%s: %d files lost in all cases", namespace, lost)
	}
}

// FuzzFolder reads folders that somebody with the password made.
func FuzzFolder(f *testing.F) {
	f.Add([]byte(`{"nodes":[{"name":"a\\xff","type":"file","mode":420,"mtime":"2026-01-02T03:04:05Z","size":3,"content":["` + strings.Repeat("ab", 32) + `"]}]}`))
	f.Add([]byte(`{"nodes":[{"name":"..","type":"dir"},{"name":"l","type":"symlink","linktarget_raw":"/w=="}]}`))
	f.Fuzz(func(t *testing.T, text []byte) {
		nodes, err := decodeFolder(text)
		if err != nil {
			return
		}
		for i, n := range nodes {
			if vault.CheckName(n.Name) != nil || i > 0 && nodes[i-1].Name >= n.Name || n.Size < 0 && n.Damage == nil || n.Mode&^0o177777 != 0 {
				t.Errorf("%+v", n)
			}
			if n.Type == vault.Symlink && n.Target == "" && n.Damage == nil {
				t.Errorf("%+v", n)
			}
		}
	})
}

// FuzzHeader reads headers of packs.
func FuzzHeader(f *testing.F) {
	f.Add(append([]byte{0, 40, 0, 0, 0}, make([]byte, 32)...))
	f.Add(append([]byte{3, 40, 0, 0, 0, 80, 0, 0, 0}, make([]byte, 32)...))
	f.Fuzz(func(t *testing.T, text []byte) {
		blobs, err := decodeHeader(text)
		if err != nil {
			return
		}
		var x index
		x.add(id{}, blobs)
		if len(x.places)+len(x.damages) != len(blobs) || len(blobs)*37 > len(text) {
			t.Errorf("%d blobs, %d places, %d damages of %d bytes", len(blobs), len(x.places), len(x.damages), len(text))
		}
		for _, p := range x.places {
			if p.size() < 0 {
				t.Errorf("%+v", p)
			}
		}
	})
}

// FuzzIndex reads index files.
func FuzzIndex(f *testing.F) {
	f.Add([]byte(`{"packs":[{"id":"` + strings.Repeat("ab", 32) + `","blobs":[{"id":"` + strings.Repeat("cd", 32) + `","type":"data","offset":0,"length":40}]}]}`))
	f.Fuzz(func(t *testing.T, text []byte) {
		var file indexFile
		if json.Unmarshal(text, &file) != nil {
			return
		}
		var x index
		for _, p := range file.Packs {
			x.add(p.ID, p.Blobs)
		}
		for _, p := range x.places {
			if p.size() < 0 || int(p.pack) >= len(x.packs) {
				t.Errorf("%+v", p)
			}
		}
	})
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

func flip(t *testing.T, b blob.Bucket, key string) {
	t.Helper()
	data := []byte(get(t, b, key))
	for i := 40; i < len(data); i += 997 {
		data[i] ^= 1
	}
	put(t, b, key, string(data))
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
