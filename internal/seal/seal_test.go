// SPDX-License-Identifier: Apache-2.0

package seal

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"strings"
	"testing"

	"filippo.io/age"

	"hozon.dev/hozon/internal/fail"
)

// pair is an identity with its recipient, read from their texts.
func pair(t testing.TB) (Recipients, Identities) {
	t.Helper()
	key, err := age.GenerateX25519Identity()
	if err != nil {
		t.Fatal(err)
	}
	to, err := ParseRecipients("# me\n" + key.Recipient().String() + "\n")
	if err != nil {
		t.Fatal(err)
	}
	with, err := ParseIdentities(key.String())
	if err != nil {
		t.Fatal(err)
	}
	return to, with
}

func sealed(t testing.TB, plain []byte, to Recipients) []byte {
	t.Helper()
	var out bytes.Buffer
	w, err := NewWriter(&out, to)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := w.Write(plain); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

func noise(n int) []byte {
	r := rand.New(rand.NewPCG(1, uint64(n)))
	b := make([]byte, n)
	for i := range b {
		b[i] = byte(r.Uint32())
	}
	return b
}

// TestRoundTrip seals contents around the borders of a chunk and reads them back whole, in parts, and with age itself.
func TestRoundTrip(t *testing.T) {
	to, with := pair(t)
	for _, n := range []int{0, 1, 65535, 65536, 65537, 300_000} {
		plain := noise(n)
		file := sealed(t, plain, to)
		if n > 100 && bytes.Contains(file, plain[:64]) {
			t.Errorf("%d bytes: in the clear", n)
		}
		if !Sealed(file[:22]) || Sealed(plain) {
			t.Errorf("%d bytes: Sealed does not know it", n)
		}
		f, err := Open(bytes.NewReader(file), int64(len(file)), with)
		if err != nil {
			t.Fatalf("%d bytes: %v", n, err)
		}
		got, err := io.ReadAll(io.NewSectionReader(f, 0, f.Size))
		if err != nil || !bytes.Equal(got, plain) || f.Size != int64(n) {
			t.Errorf("%d bytes: %d came back, %v", n, len(got), err)
		}
		for range 20 {
			if n == 0 {
				break
			}
			at := rand.IntN(n)
			part := make([]byte, min(1+rand.IntN(n-at), 100_000))
			if _, err := f.ReadAt(part, int64(at)); err != nil && !errors.Is(err, io.EOF) || !bytes.Equal(part, plain[at:at+len(part)]) {
				t.Errorf("%d bytes, %d from %d: %v", n, len(part), at, err)
			}
		}
		stream, err := age.Decrypt(bytes.NewReader(file), with...)
		if err != nil {
			t.Fatal(err)
		}
		if got, err := io.ReadAll(stream); err != nil || !bytes.Equal(got, plain) {
			t.Errorf("%d bytes: age reads %d, %v", n, len(got), err)
		}
	}
}

func readAll(file []byte, with Identities) error {
	f, err := Open(bytes.NewReader(file), int64(len(file)), with)
	if err != nil {
		return err
	}
	_, err = io.Copy(io.Discard, io.NewSectionReader(f, 0, f.Size))
	return err
}

// TestDamage changes every byte in turn, in front of the data, in it and at its end; a part that is read is refused in every case.
func TestDamage(t *testing.T) {
	to, with := pair(t)
	file := sealed(t, noise(70_000), to)
	for i := 0; i < len(file); i += 1 + i/50 {
		bad := bytes.Clone(file)
		bad[i] ^= 1
		if err := readAll(bad, with); !fail.Is(err, fail.Corrupt) && !fail.Is(err, fail.Denied) {
			t.Errorf("byte %d: %v (%s)", i, err, fail.Of(err))
		}
	}
	for _, n := range []int{0, 10, 200, 65_536, len(file) - 70, len(file) - 1} {
		if err := readAll(file[:n], with); !fail.Is(err, fail.Corrupt) {
			t.Errorf("cut to %d bytes: %v", n, err)
		}
	}
	long := append([]byte(intro), bytes.Repeat([]byte("x"), 2*maxHeader)...)
	if err := readAll(long, with); !fail.Is(err, fail.Corrupt) || !strings.Contains(err.Error(), "header") {
		t.Errorf("a header without end: %v", err)
	}
}

type broken struct{}

var errDisk = errors.New("disk on fire")

func (broken) ReadAt([]byte, int64) (int, error) { return 0, errDisk }

func TestErrors(t *testing.T) {
	to, with := pair(t)
	_, other := pair(t)
	file := sealed(t, []byte("x"), to)
	if err := readAll(file, other); !fail.Is(err, fail.Denied) {
		t.Errorf("another identity: %v", err)
	}
	if err := readAll(file, nil); !fail.Is(err, fail.Denied) {
		t.Errorf("no identity: %v", err)
	}
	if _, err := NewWriter(io.Discard, nil); !fail.Is(err, fail.Invalid) {
		t.Errorf("no recipients: %v", err)
	}
	if _, err := Open(broken{}, 1000, with); !errors.Is(err, errDisk) || fail.Is(err, fail.Corrupt) {
		t.Errorf("a disk that fails is not damage: %v", err)
	}
	key, _ := age.GenerateX25519Identity()
	if _, err := ParseRecipients(key.String()); !fail.Is(err, fail.Invalid) || strings.Contains(err.Error(), key.String()) {
		t.Errorf("an identity for a recipient: %v", err)
	}
	if _, err := ParseIdentities(key.String() + "x\n"); !fail.Is(err, fail.Invalid) || strings.Contains(err.Error(), key.String()) {
		t.Errorf("a bad identity: %v", err)
	}
	if text := fmt.Sprintf("%v %+v %#v", with, with, with); strings.Contains(text, "SECRET") {
		t.Errorf("prints %s", text)
	}
}

func FuzzOpen(f *testing.F) {
	to, with := pair(f)
	f.Add(sealed(f, noise(100), to))
	f.Add([]byte(intro + "-> X25519 a\nb\n--- c\n"))
	f.Fuzz(func(t *testing.T, file []byte) {
		if err := readAll(file, with); err != nil && !fail.Is(err, fail.Corrupt) && !fail.Is(err, fail.Denied) {
			t.Fatal(err)
		}
	})
}
