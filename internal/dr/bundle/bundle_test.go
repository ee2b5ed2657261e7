// SPDX-License-Identifier: Apache-2.0

package bundle

import (
	"archive/tar"
	"bytes"
	"errors"
	"io"
	"math/rand/v2"
	"os/exec"
	"strings"
	"sync"
	"testing"
	"time"

	"hozon.dev/hozon/internal/fail"
)

var day = time.Date(2026, 11, 21, 12, 0, 0, 0, time.UTC)

// noise is half random, so that it has compressible and other blocks.
func noise(n int) []byte {
	r := rand.New(rand.NewPCG(1, uint64(n)))
	b := make([]byte, n)
	for i := range b {
		if i/1000%2 == 0 {
			b[i] = byte(r.Uint32())
		}
	}
	return b
}

func written(t testing.TB, snapshot []byte) []byte {
	t.Helper()
	var out bytes.Buffer
	w, err := NewWriter(&out, day)
	if err != nil {
		t.Fatal(err)
	}
	check := func(err error) {
		if err != nil {
			t.Helper()
			t.Fatal(err)
		}
	}
	check(w.AddBytes(Snapshot, snapshot))
	check(w.Add(&tar.Header{Typeflag: tar.TypeDir, Name: "hosts/a/files/etc/kubernetes", Mode: 0o755, ModTime: day}, nil))
	check(w.Add(&tar.Header{
		Typeflag: tar.TypeReg, Name: "hosts/a/files/etc/kubernetes/key", Mode: 0o640, Uid: 12, Gid: 34, Size: 6, ModTime: day,
		PAXRecords: map[string]string{"RHT.security.selinux": "system_u:object_r:etc_t:s0"},
	}, strings.NewReader("secret")))
	check(w.Add(&tar.Header{Typeflag: tar.TypeSymlink, Name: "hosts/a/files/etc/link", Linkname: "key", ModTime: day}, nil))
	check(w.Add(&tar.Header{Typeflag: tar.TypeFifo, Name: "hosts/a/files/run/pipe", ModTime: day}, nil))
	check(w.Close(&Manifest{Cluster: "prod", Created: day}))
	return out.Bytes()
}

func open(t testing.TB, file []byte) (*Bundle, error) {
	t.Helper()
	return Open(t.Context(), bytes.NewReader(file), int64(len(file)), nil)
}

func TestRoundTrip(t *testing.T) {
	for _, n := range []int{0, 100, blockSize - 3000, blockSize, 30*blockSize + 17} {
		snapshot := noise(n)
		b, err := open(t, written(t, snapshot))
		if err != nil {
			t.Fatal(err)
		}
		if b.Manifest.Cluster != "prod" || len(b.Manifest.Files) != 5 {
			t.Errorf("manifest: %+v", b.Manifest.Files)
		}
		key := b.Manifest.Files[3]
		if key.Mode != 0o640 || key.UID != 12 || key.GID != 34 || key.Size != 6 || key.SHA256 == "" {
			t.Errorf("key: %+v", key)
		}
		f, err := b.File(Snapshot)
		if err != nil {
			t.Fatal(err)
		}
		got, err := io.ReadAll(f)
		if err != nil || !bytes.Equal(got, snapshot) {
			t.Errorf("%d bytes: %d came back, %v", n, len(got), err)
		}
		for range 50 {
			if n == 0 {
				break
			}
			at := rand.IntN(n)
			part := make([]byte, min(1+rand.IntN(n-at), 3*blockSize))
			if _, err := f.ReadAt(part, int64(at)); err != nil && !errors.Is(err, io.EOF) || !bytes.Equal(part, snapshot[at:at+len(part)]) {
				t.Fatalf("%d bytes from %d: %v", len(part), at, err)
			}
		}
		if _, err := b.File("etcd/other"); !fail.Is(err, fail.NotFound) {
			t.Errorf("a file that is not there: %v", err)
		}
	}
}

// TestOtherTar has the machine's own tar list the archive and take a file out of it.
// TestReadersSideBySide reads an archive that has more blocks than are kept, in several places at a time.
func TestReadersSideBySide(t *testing.T) {
	snapshot := noise((cached + 20) * blockSize)
	b, err := open(t, written(t, snapshot))
	if err != nil {
		t.Fatal(err)
	}
	f, err := b.File(Snapshot)
	if err != nil {
		t.Fatal(err)
	}
	var readers sync.WaitGroup
	for range 4 {
		readers.Go(func() {
			part := make([]byte, 2*blockSize)
			for range 300 {
				at := rand.IntN(len(snapshot) - len(part))
				if _, err := f.ReadAt(part, int64(at)); err != nil || !bytes.Equal(part, snapshot[at:at+len(part)]) {
					t.Errorf("at %d: something else came back, %v", at, err)
				}
			}
		})
	}
	readers.Wait()
}

func TestOtherTar(t *testing.T) {
	file := written(t, noise(1_000_000))
	run := func(args ...string) string {
		c := exec.Command("tar", args...)
		c.Stdin = bytes.NewReader(file)
		out, err := c.CombinedOutput()
		if err != nil {
			t.Fatalf("tar %v: %v\n%s", args, err, out)
		}
		return string(out)
	}
	if out := run("--to-stdout", "-xzf", "-", "hosts/a/files/etc/kubernetes/key"); out != "secret" {
		t.Errorf("tar takes out %q", out)
	}
	if out := run("--numeric-owner", "-tvzf", "-"); !strings.Contains(out, "-rw-r----- 12/34") || !strings.HasSuffix(strings.TrimSpace(out), ManifestName) {
		t.Errorf("tar lists\n%s", out)
	}
}

func TestDamage(t *testing.T) {
	file := written(t, noise(600_000))
	for i := 0; i < len(file); i += 1 + len(file)/150 {
		bad := bytes.Clone(file)
		bad[i] ^= 0x10
		b, err := open(t, bad)
		if err != nil && !fail.Is(err, fail.Corrupt) && !fail.Is(err, fail.Invalid) {
			t.Errorf("byte %d: %v (%s)", i, err, fail.Of(err))
		}
		if err == nil && i > len(gzipHead) {
			t.Errorf("byte %d was changed and nobody noticed: %v", i, b.Manifest.Cluster)
		}
	}
	for _, n := range []int{0, 5, 1000, len(file) / 2, len(file) - 3} {
		if _, err := open(t, file[:n]); !fail.Is(err, fail.Corrupt) {
			t.Errorf("cut to %d: %v", n, err)
		}
	}
}

func FuzzOpen(f *testing.F) {
	f.Add(written(f, noise(1000)))
	f.Fuzz(func(t *testing.T, file []byte) {
		b, err := open(t, file)
		if err != nil {
			return
		}
		if s, err := b.File(Snapshot); err == nil {
			_, _ = io.Copy(io.Discard, io.LimitReader(s, 1<<20))
		}
	})
}
