// SPDX-License-Identifier: Apache-2.0

package bolt

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"hash/fnv"
	"math/rand/v2"
	"path/filepath"
	"strings"
	"testing"

	"go.etcd.io/bbolt"

	"hozon.dev/hozon/internal/fail"
)

// written has bbolt itself write a file: rounds of puts and deletes in transactions of their own, so that there are free pages, branches, pages
// that run on and buckets that lie inside of the root's leaf.
func written(t testing.TB, seed uint64, rounds, pageSize int) ([]byte, map[string]map[string]string) {
	t.Helper()
	rnd := rand.New(rand.NewPCG(seed, 1))
	db, err := bbolt.Open(filepath.Join(t.TempDir(), "db"), 0o600, &bbolt.Options{PageSize: pageSize, NoSync: true})
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	want := map[string]map[string]string{"key": {}, "meta": {}, "empty": {}}
	for round := range rounds {
		err := db.Update(func(tx *bbolt.Tx) error {
			for name := range want {
				if _, err := tx.CreateBucketIfNotExists([]byte(name)); err != nil {
					return err
				}
			}
			if round == 0 {
				want["meta"]["small"] = "inline"
				return tx.Bucket([]byte("meta")).Put([]byte("small"), []byte("inline"))
			}
			for range 200 {
				key := fmt.Sprintf("k%06d", rnd.IntN(rounds*150))
				if rnd.IntN(4) == 0 {
					delete(want["key"], key)
					if err := tx.Bucket([]byte("key")).Delete([]byte(key)); err != nil {
						return err
					}
					continue
				}
				value := strings.Repeat(string(rune('a'+rnd.IntN(26))), rnd.IntN(200))
				if rnd.IntN(100) == 0 {
					value = strings.Repeat("x", 3*pageSize+rnd.IntN(20_000))
				}
				want["key"][key] = value
				if err := tx.Bucket([]byte("key")).Put([]byte(key), []byte(value)); err != nil {
					return err
				}
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	var file bytes.Buffer
	if err := db.View(func(tx *bbolt.Tx) error { _, err := tx.WriteTo(&file); return err }); err != nil {
		t.Fatal(err)
	}
	return file.Bytes(), want
}

func readAll(file []byte) (map[string]map[string]string, error) {
	db, err := Open(bytes.NewReader(file), int64(len(file)))
	if err != nil {
		return nil, err
	}
	buckets, err := db.Buckets()
	if err != nil {
		return nil, err
	}
	got := map[string]map[string]string{}
	for _, b := range buckets {
		got[b.Name] = map[string]string{}
		if err := b.Each(func(k, v []byte) error { got[b.Name][string(k)] = string(v); return nil }); err != nil {
			return got, err
		}
		if err := b.Heads(8, func(e Entry) error { _, err := e.Whole(); return err }); err != nil {
			return got, err
		}
	}
	return got, nil
}

func TestSameAsBbolt(t *testing.T) {
	for _, c := range []struct{ rounds, pageSize int }{{1, 4096}, {3, 4096}, {60, 4096}, {40, 1024}, {20, 16384}} {
		t.Run(fmt.Sprintf("%d rounds, pages of %d", c.rounds, c.pageSize), func(t *testing.T) {
			file, want := written(t, uint64(c.rounds), c.rounds, c.pageSize)
			got, err := readAll(file)
			if err != nil {
				t.Fatal(err)
			}
			if len(got) != len(want) {
				t.Fatalf("%d buckets, want %d", len(got), len(want))
			}
			for name, content := range want {
				if len(got[name]) != len(content) {
					t.Errorf("bucket %s: %d keys, want %d", name, len(got[name]), len(content))
				}
				for k, v := range content {
					if got[name][k] != v {
						t.Fatalf("bucket %s, key %s: %.40q, want %.40q", name, k, got[name][k], v)
					}
				}
			}
		})
	}
}

// spoil is a file with one change.
func spoil(file []byte, change func([]byte)) []byte {
	c := bytes.Clone(file)
	change(c)
	return c
}

// rootPage finds the page that the bucket "key" begins with.
func rootPage(t *testing.T, file []byte) int {
	t.Helper()
	db, err := Open(bytes.NewReader(file), int64(len(file)))
	if err != nil {
		t.Fatal(err)
	}
	buckets, err := db.Buckets()
	if err != nil {
		t.Fatal(err)
	}
	for _, b := range buckets {
		if b.Name == "key" {
			return int(b.root) * db.PageSize()
		}
	}
	t.Fatal("no bucket")
	return 0
}

func TestDamage(t *testing.T) {
	file, _ := written(t, 7, 30, 4096)
	at := rootPage(t, file)
	le := binary.LittleEndian
	firstChild := le.Uint64(file[at+pageHeader+8:])
	child := int(firstChild) * 4096
	signMeta := func(b []byte) {
		for _, page := range []int{0, 4096} {
			sum := fnv.New64a()
			sum.Write(b[page+pageHeader : page+pageHeader+metaLength-8])
			le.PutUint64(b[page+pageHeader+metaLength-8:], sum.Sum64())
		}
	}
	for name, broken := range map[string][]byte{
		"nothing":       {},
		"cut":           file[:len(file)/2],
		"no meta":       spoil(file, func(b []byte) { b[pageHeader]++; b[4096+pageHeader]++ }),
		"meta checksum": spoil(file, func(b []byte) { b[pageHeader+40]++; b[4096+pageHeader+40]++ }),
		"page size": spoil(file, func(b []byte) {
			le.PutUint32(b[pageHeader+8:], 100)
			le.PutUint32(b[4096+pageHeader+8:], 100)
			signMeta(b)
		}),
		"too many pages": spoil(file, func(b []byte) {
			le.PutUint64(b[pageHeader+40:], 1<<60)
			le.PutUint64(b[4096+pageHeader+40:], 1<<60)
			signMeta(b)
		}),
		"root outside": spoil(file, func(b []byte) {
			le.PutUint64(b[pageHeader+16:], 1<<40)
			le.PutUint64(b[4096+pageHeader+16:], 1<<40)
			signMeta(b)
		}),
		"cycle":             spoil(file, func(b []byte) { le.PutUint64(b[at+pageHeader+elementSize+8:], uint64(at/4096)) }),
		"page twice":        spoil(file, func(b []byte) { le.PutUint64(b[at+pageHeader+elementSize+8:], firstChild) }),
		"another page's id": spoil(file, func(b []byte) { b[child]++ }),
		"flags":             spoil(file, func(b []byte) { b[child+8] = 0x10 }),
		"count":             spoil(file, func(b []byte) { le.PutUint16(b[child+10:], 0xffff) }),
		"overflow":          spoil(file, func(b []byte) { le.PutUint32(b[child+12:], 0xffffffff) }),
		"element's place":   spoil(file, func(b []byte) { le.PutUint32(b[child+pageHeader+4:], 0xffffffff) }),
		"key size":          spoil(file, func(b []byte) { le.PutUint32(b[child+pageHeader+8:], 0xffffffff) }),
		"value size":        spoil(file, func(b []byte) { le.PutUint32(b[child+pageHeader+12:], 0xffffffff) }),
		"inner bucket":      spoil(file, func(b []byte) { b[child+pageHeader] = flagBucket }),
		"order": spoil(file, func(b []byte) {
			copy(b[child+pageHeader+elementSize+4:child+pageHeader+2*elementSize], b[child+pageHeader+4:child+pageHeader+elementSize])
		}),
	} {
		t.Run(name, func(t *testing.T) {
			if _, err := readAll(broken); !fail.Is(err, fail.Corrupt) {
				t.Errorf("got %v (kind %s), want Corrupt", err, fail.Of(err))
			}
		})
	}
	t.Run("one meta page is enough", func(t *testing.T) {
		for _, page := range []int{0, 4096} {
			if _, err := readAll(spoil(file, func(b []byte) { clear(b[page : page+80]) })); err != nil {
				t.Errorf("without the meta page at %d: %v", page, err)
			}
		}
	})
}

// TestFlips turns each of many bits over: whatever comes out, the reader ends, and with no error but Corrupt or Unsupported.
func TestFlips(t *testing.T) {
	file, _ := written(t, 9, 2, 1024)
	for i := 0; i < len(file); i += 61 {
		broken := spoil(file, func(b []byte) { b[i] ^= 1 << (i % 8) })
		if _, err := readAll(broken); err != nil && !fail.Is(err, fail.Corrupt) && !fail.Is(err, fail.Unsupported) {
			t.Fatalf("byte %d: %v", i, err)
		}
	}
}

func FuzzOpen(f *testing.F) {
	for _, rounds := range []int{1, 4} {
		file, _ := written(f, 3, rounds, 1024)
		f.Add(file)
	}
	f.Fuzz(func(t *testing.T, file []byte) {
		if _, err := readAll(file); err != nil && !fail.Is(err, fail.Corrupt) && !fail.Is(err, fail.Unsupported) {
			t.Fatal(err)
		}
	})
}
