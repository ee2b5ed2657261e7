// SPDX-License-Identifier: Apache-2.0

package etcd

import (
	"bytes"
	"compress/gzip"
	"context"
	"io"
	"os"
	"testing"

	"hozon.dev/hozon/internal/fail"
)

func fixture(t testing.TB) []byte {
	t.Helper()
	f, err := os.Open("../../../shared/fixtures/etcd/plain/snapshot.db.gz")
	if err != nil {
		t.Fatalf("the reference data is not beside the repository: %v", err)
	}
	defer f.Close()
	gz, err := gzip.NewReader(f)
	if err != nil {
		t.Fatal(err)
	}
	b, err := io.ReadAll(gz)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// read does all that the package can do with a file.
func read(ctx context.Context, b []byte) (Status, map[string]KV, error) {
	s, err := Open(bytes.NewReader(b), int64(len(b)))
	if err != nil {
		return Status{}, nil, err
	}
	if err := s.Check(ctx); err != nil {
		return Status{}, nil, err
	}
	st, err := s.Status(ctx)
	if err != nil {
		return st, nil, err
	}
	live, err := s.Live(ctx)
	if err != nil {
		return st, nil, err
	}
	got := map[string]KV{}
	err = live.Each(ctx, nil, func(kv KV) error {
		kv.Value = bytes.Clone(kv.Value)
		got[kv.Key] = kv
		return nil
	})
	if err == nil && len(got) != live.Len() {
		err = fail.Errorf(fail.Corrupt, "%d keys, %d read", live.Len(), len(got))
	}
	return st, got, err
}

// TestFixture has the figures that `etcdctl snapshot status` prints for this file.
func TestFixture(t *testing.T) {
	b := fixture(t)
	st, got, err := read(t.Context(), b)
	if err != nil {
		t.Fatal(err)
	}
	if st.Hash != 0xfedc2b3c || st.Revision != 254 || st.TotalKeys != 264 {
		t.Errorf("hash %x, revision %d, %d keys", st.Hash, st.Revision, st.TotalKeys)
	}
	if len(st.Members) != 1 || st.Members[0].Name != "default" || st.Members[0].ID != "285cda58f9f43421" || len(st.Members[0].PeerURLs) != 1 {
		t.Errorf("members %+v", st.Members)
	}
	if st.StorageVersion != "3.6.0" || st.RaftIndex == 0 || st.RaftTerm != 2 {
		t.Errorf("%+v", st)
	}
	if len(got) != 225 || !bytes.HasPrefix(got["/registry/namespaces/default"].Value, []byte("k8s\x00")) {
		t.Errorf("%d keys", len(got))
	}
}

func TestDamage(t *testing.T) {
	b := fixture(t)
	flipped := bytes.Clone(b)
	flipped[len(b)/2] ^= 4
	wrongHash := bytes.Clone(b)
	wrongHash[len(b)-1] ^= 1
	for name, c := range map[string]struct {
		file []byte
		kind fail.Kind
	}{
		"empty":                  {nil, fail.Corrupt},
		"cut anywhere":           {b[:100_000], fail.Corrupt},
		"cut at a page":          {b[:65536], fail.Corrupt},
		"cut within the hash":    {b[:len(b)-5], fail.Corrupt},
		"a bit flipped":          {flipped, fail.Corrupt},
		"hash flipped":           {wrongHash, fail.Corrupt},
		"compressed":             {append([]byte{0x1f, 0x8b, 8, 0}, b...), fail.Invalid},
		"text of the right size": {bytes.Repeat([]byte("not a database. "), 1024), fail.Corrupt},
	} {
		t.Run(name, func(t *testing.T) {
			if _, _, err := read(t.Context(), c.file); !fail.Is(err, c.kind) {
				t.Errorf("got %v (%s), want %s", err, fail.Of(err), c.kind)
			}
		})
	}
}

// TestCopiedFile is a db file without hash: readable, and known to be one.
func TestCopiedFile(t *testing.T) {
	b := fixture(t)
	b = b[:len(b)-trailer]
	s, err := Open(bytes.NewReader(b), int64(len(b)))
	if err != nil || s.Hashed {
		t.Fatalf("hashed %v, %v", s != nil && s.Hashed, err)
	}
	if _, got, err := read(t.Context(), b); err != nil || len(got) != 225 {
		t.Errorf("%d keys, %v", len(got), err)
	}
}

func TestCancel(t *testing.T) {
	b := fixture(t)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	s, err := Open(bytes.NewReader(b), int64(len(b)))
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Check(ctx); err == nil {
		t.Error("a cancelled check passed")
	}
}

func FuzzRecord(f *testing.F) {
	f.Add([]byte("\x0a\x01k\x10\x02\x18\x03\x20\x01\x2a\x05value"))
	f.Add([]byte{0x0a, 0xff, 0xff, 0xff, 0xff, 0x0f})
	f.Fuzz(func(t *testing.T, b []byte) {
		if _, err := readKV(b); err != nil && !fail.Is(err, fail.Corrupt) {
			t.Fatal(err)
		}
	})
}
