// SPDX-License-Identifier: Apache-2.0

package bundle

import (
	"archive/tar"
	"bytes"
	"encoding/base64"
	"errors"
	"io"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"filippo.io/age"

	"hozon.dev/hozon/internal/seal"
)

// opaque are bytes that do not compress.
func opaque(n int) []byte {
	b := make([]byte, n)
	_, _ = rand.NewChaCha8([32]byte{1}).Read(b)
	return b
}

// TestRandom tells what is worth compressing.
func TestRandom(t *testing.T) {
	text := []byte(strings.Repeat(`{"kind": "ConfigMap", "data": {"a": "b"}}`, blockSize/41))
	half := append(opaque(blockSize/2), text[:blockSize/2]...)
	for name, c := range map[string]struct {
		p    []byte
		want bool
	}{
		"opaque": {opaque(blockSize), true}, "text": {text, false}, "zeros": {make([]byte, blockSize), false}, "half": {half, false},
		"base64": {[]byte(base64.StdEncoding.EncodeToString(opaque(blockSize))), false}, "short": {opaque(1000), false}, "empty": {nil, false},
	} {
		if got := random(c.p); got != c.want {
			t.Errorf("%s: %t", name, got)
		}
	}
}

// TestPack reads back what was compressed and what was not, and sees that the one is smaller and the other hardly larger.
func TestPack(t *testing.T) {
	for name, c := range map[string]struct {
		p    []byte
		most int
	}{"opaque": {opaque(5<<20 + 123), 5<<20 + 16<<10}, "text": {[]byte(strings.Repeat("some text ", 500_000)), 200_000}} {
		var out bytes.Buffer
		w, err := NewWriter(&out, time.Now())
		if err == nil {
			err = w.AddBytes(Snapshot, c.p)
		}
		if err == nil {
			err = w.Close(&Manifest{})
		}
		if err != nil || out.Len() > c.most {
			t.Fatalf("%s: %v, %d bytes", name, err, out.Len())
		}
		b, err := Open(t.Context(), bytes.NewReader(out.Bytes()), int64(out.Len()), nil)
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		f, err := b.File(Snapshot)
		if err != nil {
			t.Fatal(err)
		}
		if got, err := io.ReadAll(f); err != nil || !bytes.Equal(got, c.p) {
			t.Errorf("%s: %v, %d bytes", name, err, len(got))
		}
	}
}

// narrow takes so many bytes and no more.
type narrow struct{ left int }

var errFull = errors.New("it is full")

func (n *narrow) Write(p []byte) (int, error) {
	if n.left -= len(p); n.left < 0 {
		return 0, errFull
	}
	return len(p), nil
}

// TestFull ends when the place for the archive does, wherever that is.
func TestFull(t *testing.T) {
	for _, left := range []int{0, 5, 100_000, 1 << 20, 3 << 20} {
		w, err := NewWriter(&narrow{left}, time.Now())
		if err == nil {
			err = w.AddBytes(Snapshot, opaque(3<<20))
		}
		if err == nil {
			err = w.Close(&Manifest{})
		}
		if w != nil {
			w.Release()
		}
		if !errors.Is(err, errFull) {
			t.Errorf("%d bytes: %v", left, err)
		}
	}
}

// TestVisitGivesUp leaves an archive in the middle of a file.
func TestVisitGivesUp(t *testing.T) {
	var out bytes.Buffer
	w, err := NewWriter(&out, time.Now())
	if err == nil {
		err = w.AddBytes(Snapshot, opaque(8<<20))
	}
	if err == nil {
		err = w.Close(&Manifest{})
	}
	if err != nil {
		t.Fatal(err)
	}
	enough := errors.New("enough")
	_, err = Open(t.Context(), bytes.NewReader(out.Bytes()), int64(out.Len()), func(h *tar.Header, _ io.Reader) error {
		if h.Name == Snapshot {
			return enough
		}
		return nil
	})
	if !errors.Is(err, enough) {
		t.Error(err)
	}
}

// BenchmarkSealed writes an archive of what does not compress, sealed, and reads it back.
func BenchmarkSealed(b *testing.B) {
	p := opaque(64 << 20)
	key, err := age.GenerateX25519Identity()
	if err != nil {
		b.Fatal(err)
	}
	var out bytes.Buffer
	b.Run("write", func(b *testing.B) {
		b.SetBytes(int64(len(p)))
		for b.Loop() {
			out.Reset()
			s, err := seal.NewWriter(&out, seal.Recipients{key.Recipient()})
			if err != nil {
				b.Fatal(err)
			}
			w, err := NewWriter(s, time.Now())
			if err == nil {
				err = w.AddBytes(Snapshot, p)
			}
			if err == nil {
				err = w.Close(&Manifest{})
			}
			if err = errors.Join(err, s.Close()); err != nil {
				b.Fatal(err)
			}
		}
	})
	opened, err := seal.Open(bytes.NewReader(out.Bytes()), int64(out.Len()), seal.Identities{key})
	if err != nil {
		b.Fatal(err)
	}
	read, err := Open(b.Context(), opened, opened.Size, nil)
	if err != nil {
		b.Fatal(err)
	}
	b.Run("open", func(b *testing.B) {
		b.SetBytes(int64(len(p)))
		for b.Loop() {
			if read, err = Open(b.Context(), opened, opened.Size, nil); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("again", func(b *testing.B) {
		b.SetBytes(int64(len(p)))
		for b.Loop() {
			f, err := read.File(Snapshot)
			if err != nil {
				b.Fatal(err)
			}
			if _, err := io.CopyBuffer(struct{ io.Writer }{io.Discard}, struct{ io.Reader }{f}, make([]byte, 4096)); err != nil {
				b.Fatal(err)
			}
		}
	})
}
