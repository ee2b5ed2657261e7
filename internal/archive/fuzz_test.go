// SPDX-License-Identifier: Apache-2.0

package archive_test

import (
	"bytes"
	"cmp"
	"crypto/sha256"
	"io"
	"strings"
	"testing"

	"hozon.dev/hozon/internal/archive"
	"hozon.dev/hozon/internal/object"
)

// FuzzRead reads any bytes as an archive, or as the tar in one. What comes out has been checked.
func FuzzRead(f *testing.F) {
	for _, name := range []string{"by-selector", "bad-traversal", "bad-symlink", "bad-duplicate", "bad-truncated"} {
		b, err := io.ReadAll(open(f, "broken", name))
		if err != nil {
			f.Fatal(err)
		}
		f.Add(b, false)
	}
	f.Add(tarball(f, version, plainFile("resources/pods/namespaces/a/p.json", pod), plainFile("resources/pods/v1-preferredversion/namespaces/a/p.json", pod)), true)
	f.Add(tarball(f, version, plainFile("metadata/"+strings.Repeat("x", 300), "x")), true)
	f.Fuzz(func(t *testing.T, data []byte, plain bool) {
		if plain {
			data = pack(data)
		}
		seen := map[string]bool{}
		_, err := archive.Read(bytes.NewReader(data), archive.ReadOptions{}, func(e archive.Entry) error {
			if seen[e.Path] || e.Ref.Name == "" || strings.Contains("/"+e.Path+"/", "/../") || strings.HasPrefix(e.Path, "/") || len(e.Body) > archive.MaxItem {
				t.Errorf("%q", e.Path)
			}
			seen[e.Path] = true
			if e.Err == nil && (e.Head.Name != e.Ref.Name || e.Version == "") {
				t.Errorf("%q: %+v", e.Path, e.Head)
			}
			return nil
		})
		if err != nil && !refused(err) {
			t.Error(err)
		}
	})
}

// FuzzReadIndex reads any bytes as an index, or as its lines. What comes out is in order and can be asked for.
func FuzzReadIndex(f *testing.F) {
	file, w := put(f, sample("a"), sample("b"), object1("", "nodes", "v1", "Node", "", "日本", false, "x"))
	index, _ := writeIndex(f, w)
	f.Add(index, false)
	f.Add(gunzip(f, index), true)
	f.Fuzz(func(t *testing.T, data []byte, plain bool) {
		if plain {
			data = pack(data)
		}
		var last archive.IndexEntry
		err := archive.ReadIndex(bytes.NewReader(data), func(e archive.IndexEntry) error {
			if last.Version != "" && cmp.Or(object.Compare(last.Ref, e.Ref), cmp.Compare(last.Version, e.Version)) >= 0 {
				t.Errorf("%v after %v", e.Ref, last.Ref)
			}
			last = e
			body, err := archive.ReadItem(bytes.NewReader(file), e)
			if err == nil && sha256.Sum256(body) != e.Hash {
				t.Error("a wrong body")
			}
			return nil
		})
		if err != nil && !refused(err) {
			t.Error(err)
		}
	})
}

// FuzzBlock reads an item from any bytes: the right body or none.
func FuzzBlock(f *testing.F) {
	file, w := put(f, sample("a"), sample("b"))
	for e := range w.Index() {
		f.Add(file[e.Block.Offset:e.Block.Offset+e.Block.Length], e.Offset, e.Size, e.Hash[:])
	}
	f.Fuzz(func(t *testing.T, block []byte, offset, size int64, hash []byte) {
		e := archive.IndexEntry{Block: archive.Span{Offset: 10, Length: int64(len(block))}, Offset: offset, Size: size}
		copy(e.Hash[:], hash)
		body, err := archive.ReadItem(bytes.NewReader(block), e)
		if err == nil && (sha256.Sum256(body) != e.Hash || int64(len(body)) != size) {
			t.Error("a wrong body")
		}
		if err != nil && !refused(err) {
			t.Error(err)
		}
	})
}

// FuzzVerify: what Verify accepts, Read accepts too, with the same entries.
func FuzzVerify(f *testing.F) {
	file, w := put(f, sample("a"), sample("b"))
	index, _ := writeIndex(f, w)
	f.Add(file, gunzip(f, index))
	f.Fuzz(func(t *testing.T, file, lines []byte) {
		verified, err := archive.Verify(bytes.NewReader(pack(lines)), bytes.NewReader(file), archive.ReadOptions{}, func(archive.Entry) error { return nil })
		if err != nil {
			if !refused(err) {
				t.Error(err)
			}
			return
		}
		sum, _, err := read(file)
		if err != nil || sum != verified {
			t.Errorf("Verify: %+v; Read: %+v, %v", verified, sum, err)
		}
	})
}
