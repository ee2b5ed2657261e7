// SPDX-License-Identifier: Apache-2.0

package archive_test

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"errors"
	"fmt"
	"io"
	"runtime"
	"strings"
	"testing"
	"testing/iotest"

	"hozon.dev/hozon/internal/archive"
	"hozon.dev/hozon/internal/fail"
	"hozon.dev/hozon/internal/object"
)

// file is one entry of a tar made by a test.
type file struct {
	header tar.Header
	body   string
}

func plainFile(name, body string) file { return file{tar.Header{Name: name}, body} }

var version = plainFile("metadata/version", "1.1.0\n")

// tarball makes an archive with the standard library.
func tarball(t testing.TB, files ...file) []byte {
	t.Helper()
	var buf bytes.Buffer
	tw := tar.NewWriter(&buf)
	for _, f := range files {
		h := f.header
		if h.Typeflag == 0 {
			h.Typeflag = tar.TypeReg
		}
		if h.Typeflag == tar.TypeReg {
			h.Size = int64(len(f.body))
		}
		if err := tw.WriteHeader(&h); err != nil {
			t.Fatal(err)
		}
		if _, err := io.WriteString(tw, f.body); err != nil {
			t.Fatal(err)
		}
	}
	if err := tw.Close(); err != nil {
		t.Fatal(err)
	}
	return buf.Bytes()
}

func read(packed []byte) (archive.ReadSummary, []error, error) {
	var bad []error
	sum, err := archive.Read(bytes.NewReader(packed), archive.ReadOptions{}, func(e archive.Entry) error {
		if e.Err != nil {
			bad = append(bad, e.Err)
		}
		return nil
	})
	return sum, bad, err
}

const pod = `{"apiVersion":"v1","kind":"Pod","metadata":{"name":"p","namespace":"a"}}`

func TestReadAccepts(t *testing.T) {
	tests := []struct {
		name  string
		files []file
		want  archive.ReadSummary
	}{
		{"nothing but the version", []file{version}, archive.ReadSummary{Format: "1.1.0", Entries: 1}},
		{"1.0: no versions", []file{plainFile("metadata/version", "1\n"), plainFile("resources/pods/namespaces/a/p.json", pod)},
			archive.ReadSummary{Format: "1", Entries: 2, Items: 1}},
		{"1.0.0, without line feed", []file{plainFile("metadata/version", "1.0.0")}, archive.ReadSummary{Format: "1.0.0", Entries: 1}},
		{"1.2", []file{plainFile("metadata/version", "1.2\n")}, archive.ReadSummary{Format: "1.2", Entries: 1}},
		{"version last", []file{plainFile("resources/pods/namespaces/a/p.json", pod), version},
			archive.ReadSummary{Format: "1.1.0", Entries: 2, Items: 1}},
		{"a version alone", []file{version, plainFile("resources/pods/v1/namespaces/a/p.json", pod)},
			archive.ReadSummary{Format: "1.1.0", Entries: 2, Versioned: 1}},
		{"a namespace called cluster", []file{version, plainFile("resources/pods/namespaces/cluster/p.json", strings.Replace(pod, `"a"`, `"cluster"`, 1))},
			archive.ReadSummary{Format: "1.1.0", Entries: 2, Items: 1}},
		{"folders", []file{version, {tar.Header{Name: "resources/", Typeflag: tar.TypeDir}, ""}, {tar.Header{Name: "resources/pods/", Typeflag: tar.TypeDir}, ""}},
			archive.ReadSummary{Format: "1.1.0", Entries: 3}},
		{"unknown metadata", []file{version, plainFile("metadata/later/thing", "x")}, archive.ReadSummary{Format: "1.1.0", Entries: 2}},
		{"GNU long name", []file{version, {tar.Header{Name: "metadata/" + strings.Repeat("x", 300), Format: tar.FormatGNU}, "x"}}, archive.ReadSummary{Format: "1.1.0", Entries: 2}},
	}
	for _, tt := range tests {
		plain := tarball(t, tt.files...)
		packed := pack(plain)
		tt.want.Size, tt.want.Uncompressed = int64(len(packed)), int64(len(plain))
		sum, bad, err := read(packed)
		if err != nil || len(bad) > 0 || sum != tt.want {
			t.Errorf("%s: %+v, want %+v, %v, %v", tt.name, sum, tt.want, err, bad)
		}
		// Other programs fill the last record with zeros.
		if _, _, err := read(pack(append(plain, make([]byte, 9000)...))); err != nil {
			t.Errorf("%s, with zeros: %v", tt.name, err)
		}
	}
}

func TestReadRefuses(t *testing.T) {
	good := plainFile("resources/pods/namespaces/a/p.json", pod)
	type test struct {
		name   string
		packed []byte
		says   string
	}
	var tests []test
	add := func(name string, packed []byte, says string) { tests = append(tests, test{name, packed, says}) }
	for _, path := range []string{
		"/etc/passwd", "../x", "resources/../x", "resources/pods/namespaces/a/../p.json", "resources//pods.json", "./metadata/version",
		`resources\pods`, "x", "x/y.json", "resources", "metadata", "resources/pods", "resources/pods/cluster", "resources/pods/cluster/p",
		"resources/pods/cluster/.json", "resources/pods/cluster/..json", "resources/pods/cluster/...json", "resources/pods/cluster/a/p.json",
		"resources/pods/namespaces/p.json", "resources/pods/namespaces/a/b/p.json", "resources/pods/v1/p.json", "resources/pods/v1/v1/cluster/p.json",
		"resources/pods/-preferredversion/cluster/p.json", "resources/pods/v 1/cluster/p.json", "resources/.pods/cluster/p.json",
		"resources/po:ds/cluster/p.json", "resources/pods/cluster/" + strings.Repeat("a", 2000) + ".json", "metadata/" + strings.Repeat("a", 5000),
	} {
		add("path "+path, pack(tarball(t, version, plainFile(path, "x"))), "path")
	}
	typed := func(flag byte, name, link string) file {
		return file{tar.Header{Name: name, Linkname: link, Typeflag: flag}, ""}
	}
	add("symbolic link", pack(tarball(t, version, typed(tar.TypeSymlink, "resources/pods/cluster/p.json", "/etc/passwd"))), "a symbolic link")
	add("hard link", pack(tarball(t, version, typed(tar.TypeLink, "resources/pods/cluster/p.json", "metadata/version"))), "a hard link")
	add("device", pack(tarball(t, version, typed(tar.TypeChar, "resources/pods/cluster/p.json", ""))), "a device")
	add("pipe", pack(tarball(t, version, typed(tar.TypeFifo, "resources/pods/cluster/p.json", ""))), "a pipe")
	add("folder outside", pack(tarball(t, version, typed(tar.TypeDir, "etc/", ""))), "not a path of the format")
	add("twice", pack(tarball(t, version, good, good)), "twice")
	add("version twice", pack(tarball(t, version, version)), "twice")
	add("no version", pack(tarball(t, good)), "metadata/version is missing")
	add("version 2", pack(tarball(t, plainFile("metadata/version", "2\n"))), "format version 2;")
	add("version 11", pack(tarball(t, plainFile("metadata/version", "11\n"))), "format version 11;")
	add("version text", pack(tarball(t, plainFile("metadata/version", "1.x\n"))), "is no version")
	add("version empty", pack(tarball(t, plainFile("metadata/version", ""))), "is no version")
	add("version long", pack(tarball(t, plainFile("metadata/version", strings.Repeat("1", 100)))), "100 bytes for a version")
	add("no gzip", tarball(t, version), "no gzip header")
	add("empty", nil, "cut off")
	add("no tar", pack([]byte("hello")), "cut off")
	add("bytes behind", append(pack(tarball(t, version)), 0), "after the end of the gzip member")
	add("second member", append(pack(tarball(t, version)), pack([]byte("x"))...), "after the end of the gzip member")
	add("bytes behind the tar", pack(append(tarball(t, version), "x"...)), "after the end of the tar")
	add("zeros without end", pack(append(tarball(t, version), make([]byte, 3<<20)...)), "zeros after the end")
	add("no trailer", pack(nil), "trailer is missing")
	whole := tarball(t, version, good)
	add("half a trailer", pack(whole[:len(whole)-512]), "trailer is missing")
	add("without trailer", pack(whole[:len(whole)-1024]), "trailer is missing")
	add("cut in a body", pack(whole[:len(whole)-1024-500]), "cut off")
	add("negative size", pack(resize(tarball(t, version, good), 1024, "\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff")), "invalid tar header")
	add("huge size", pack(resize(tarball(t, version, good), 1024, "77777777777\x00")), "an entry has at most")
	for _, tt := range tests {
		_, _, err := read(tt.packed)
		if !refused(err) || !strings.Contains(err.Error(), tt.says) {
			t.Errorf("%s: %v of kind %v; must say %q", tt.name, err, fail.Of(err), tt.says)
		}
	}
}

// resize writes another size into the tar header at that place and mends its checksum.
func resize(plain []byte, at int, size string) []byte {
	h := plain[at : at+512]
	copy(h[124:136], size)
	copy(h[148:156], "        ")
	sum := 0
	for _, c := range h {
		sum += int(c)
	}
	copy(h[148:156], fmt.Sprintf("%06o\x00 ", sum))
	return plain
}

// Sparse files, of either kind, are refused before anything is made of their size.
func TestReadSparse(t *testing.T) {
	pax := tarball(t, version, file{tar.Header{Name: "resources/pods/namespaces/a/p.json", PAXRecords: map[string]string{"XXX.sparse.major": "1", "XXX.sparse.minor": "0"}}, pod})
	pax = bytes.ReplaceAll(pax, []byte("XXX.sparse"), []byte("GNU.sparse"))
	old := tarball(t, version, plainFile("resources/pods/namespaces/a/p.json", pod))
	old[1024+156] = tar.TypeGNUSparse
	copy(old[1024+257:], "ustar  \x00")
	old = resize(old, 1024, string(old[1024+124:1024+136]))
	for name, plain := range map[string][]byte{"pax": pax, "gnu": old} {
		if _, _, err := read(pack(plain)); !fail.Is(err, fail.Corrupt) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestItemErrors(t *testing.T) {
	tests := []struct{ name, path, body, says string }{
		{"good", "namespaces/a/p", pod, ""},
		{"good, in its version", "v1/namespaces/a/p", pod, ""},
		{"not JSON", "namespaces/a/p", "<x>", "not a JSON object"},
		{"empty", "namespaces/a/p", "", "not a JSON object"},
		{"a list", "namespaces/a/p", "[]", "not a JSON object"},
		{"null", "namespaces/a/p", "null", "not a JSON object"},
		{"two objects", "namespaces/a/p", pod + pod, "text after the object"},
		{"cut off", "namespaces/a/p", pod[:len(pod)-1], "byte"},
		{"name", "namespaces/a/q", pod, `metadata.name is "p"`},
		{"namespace", "namespaces/b/p", pod, `metadata.namespace is "a"`},
		{"cluster", "cluster/p", pod, `metadata.namespace is "a"`},
		{"version", "v2/namespaces/a/p", pod, `apiVersion is "v1"`},
		{"group", "namespaces/a/p", strings.Replace(pod, `"v1"`, `"apps/v1"`, 1), `the group of apiVersion is "apps"`},
		{"no kind", "namespaces/a/p", strings.Replace(pod, `"kind"`, `"dink"`, 1), "kind is missing"},
		{"no apiVersion", "namespaces/a/p", strings.Replace(pod, `"apiVersion"`, `"x"`, 1), `apiVersion is ""`},
	}
	for _, tt := range tests {
		_, bad, err := read(pack(tarball(t, version, plainFile("resources/pods/"+tt.path+".json", tt.body))))
		switch {
		case err != nil:
			t.Errorf("%s: %v", tt.name, err)
		case tt.says == "" && len(bad) > 0:
			t.Errorf("%s: %v", tt.name, bad)
		case tt.says != "" && (len(bad) != 1 || !fail.Is(bad[0], fail.Corrupt) || !strings.Contains(bad[0].Error(), tt.says)):
			t.Errorf("%s: %v; want %q", tt.name, bad, tt.says)
		}
	}
}

// The faults of the file and of the caller's function keep their kinds: a passing fault is no corruption.
func TestReadFaults(t *testing.T) {
	packed := pack(tarball(t, version, plainFile("resources/pods/namespaces/a/p.json", pod)))
	lost := fail.Errorf(fail.Transient, "connection lost")
	for _, n := range []int{0, 5, len(packed) / 2, len(packed)} {
		r := io.MultiReader(bytes.NewReader(packed[:n]), iotest.ErrReader(lost))
		_, err := archive.Read(r, archive.ReadOptions{}, func(archive.Entry) error { return nil })
		if !errors.Is(err, lost) || !fail.Is(err, fail.Transient) {
			t.Errorf("after %d bytes: %v of kind %v", n, err, fail.Of(err))
		}
	}
	stop := errors.New("stop")
	_, err := archive.Read(bytes.NewReader(packed), archive.ReadOptions{}, func(archive.Entry) error { return stop })
	if !errors.Is(err, stop) || fail.Of(err) != fail.Unknown {
		t.Errorf("%v of kind %v", err, fail.Of(err))
	}
	if _, err := archive.Read(bytes.NewReader(packed), archive.ReadOptions{MaxEntries: 1}, func(archive.Entry) error { return nil }); !fail.Is(err, fail.Corrupt) {
		t.Error(err)
	}
	if _, err := archive.Read(iotest.OneByteReader(bytes.NewReader(packed)), archive.ReadOptions{}, func(archive.Entry) error { return nil }); err != nil {
		t.Error(err)
	}
}

// peak runs f and returns by how much the heap grew over what it was, at most, in MiB; looked at in every callback and at the end.
func peak(f func(look func())) float64 {
	var m runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&m)
	before, most := m.HeapAlloc, m.HeapAlloc
	look := func() {
		runtime.ReadMemStats(&m)
		most = max(most, m.HeapAlloc)
	}
	f(look)
	look()
	return float64(most-before) / (1 << 20)
}

// A bomb is refused without unpacking it: memory stays flat.
func TestBombs(t *testing.T) {
	stream := func(write func(tw *tar.Writer) error) io.Reader {
		pr, pw := io.Pipe()
		gz, err := gzip.NewWriterLevel(pw, gzip.BestSpeed)
		if err != nil {
			t.Fatal(err)
		}
		go func() {
			tw := tar.NewWriter(gz)
			pw.CloseWithError(errors.Join(write(tw), gz.Close()))
		}()
		t.Cleanup(func() { pr.Close() })
		return pr
	}
	fixture, err := io.ReadAll(open(t, "broken", "bad-bomb"))
	if err != nil {
		t.Fatal(err)
	}
	tests := []struct {
		name  string
		r     io.Reader
		limit float64 // MiB
	}{
		{"one entry of 1 GiB", bytes.NewReader(fixture), 2},
		{"a long PAX header", stream(func(tw *tar.Writer) error {
			return tw.WriteHeader(&tar.Header{Name: "metadata/x", Typeflag: tar.TypeReg, PAXRecords: map[string]string{"HOZON.x": strings.Repeat("x", 900<<10)}})
		}), 16},
		{"a PAX header of 100 MiB", bytes.NewReader(pack(resize(append(tarball(t, file{tar.Header{Name: "metadata/x", PAXRecords: map[string]string{"HOZON.x": "1"}}, ""}), make([]byte, 8<<20)...), 0, fmt.Sprintf("%011o\x00", 100<<20)))), 12},
		{"many tiny entries", stream(func(tw *tar.Writer) error {
			for i := range 100_000 {
				if err := tw.WriteHeader(&tar.Header{Name: fmt.Sprintf("metadata/%d", i), Typeflag: tar.TypeReg}); err != nil {
					return err
				}
			}
			return nil
		}), 24},
		{"many large entries", stream(func(tw *tar.Writer) error {
			body := make([]byte, 8<<20)
			for i := range 8 {
				if err := tw.WriteHeader(&tar.Header{Name: fmt.Sprintf("resources/pods/cluster/%d.json", i), Typeflag: tar.TypeReg, Size: int64(len(body))}); err != nil {
					return err
				}
				if _, err := tw.Write(body); err != nil {
					return err
				}
			}
			return nil
		}), 48},
	}
	for _, tt := range tests {
		grown := peak(func(look func()) {
			_, err := archive.Read(tt.r, archive.ReadOptions{}, func(archive.Entry) error { look(); return nil })
			if !refused(err) {
				t.Errorf("%s: %v", tt.name, err)
			}
		})
		t.Logf("%s: %.1f MiB", tt.name, grown)
		if grown > tt.limit {
			t.Errorf("%s: the heap grew by %.1f MiB, more than %.0f", tt.name, grown, tt.limit)
		}
	}
}

// The promise of the package comment: some blocks in flight, and about 100 bytes an item.
func TestWriterMemory(t *testing.T) {
	const n = 100_000
	heap := func() uint64 {
		var m runtime.MemStats
		runtime.GC()
		runtime.ReadMemStats(&m)
		return m.HeapAlloc
	}
	before := heap()
	w := archive.NewWriter(io.Discard, archive.Options{})
	lane := w.Lane()
	most := peak(func(look func()) {
		for i := range n {
			name := fmt.Sprintf("some-deployment-7c5ddbdf54-%06d", i)
			ref := object.Ref{Resource: "pods", Namespace: fmt.Sprintf("ns-%d", i%100), Name: name}
			if err := lane.Add(archive.Item{Ref: ref, Version: "v1", Kind: "Pod", Preferred: true, Body: []byte(pod)}); err != nil {
				t.Fatal(err)
			}
			if i%5000 == 0 {
				look()
			}
		}
	})
	if err := lane.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := w.Close(); err != nil {
		t.Fatal(err)
	}
	perItem := float64(heap()-before) / n
	index := peak(func(look func()) {
		if _, err := w.WriteIndex(io.Discard); err != nil {
			t.Fatal(err)
		}
	})
	t.Logf("%.0f bytes an item; peak %.1f MiB while writing, %.1f more for the index", perItem, most, index)
	if perItem > 120 || most > 40 || index > 32 {
		t.Error("more than was promised")
	}
}
