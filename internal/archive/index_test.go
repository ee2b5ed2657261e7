// SPDX-License-Identifier: Apache-2.0

package archive_test

import (
	"bytes"
	"compress/flate"
	"compress/gzip"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"hozon.dev/hozon/internal/archive"
	"hozon.dev/hozon/internal/fail"
	"hozon.dev/hozon/internal/object"
)

// checkIndex reads every item in each of the ways that the index opens.
func checkIndex(t *testing.T, items []archive.Item, sum archive.IndexSummary, file, index []byte) {
	t.Helper()
	bodies := map[string][]byte{}
	for _, it := range items {
		bodies[it.Ref.String()+" "+it.Version] = it.Body
	}
	var all []archive.IndexEntry
	err := archive.ReadIndex(bytes.NewReader(index), func(e archive.IndexEntry) error {
		all = append(all, e)
		return nil
	})
	if err != nil || len(all) != len(items) {
		t.Fatalf("index: %d lines for %d items, %v", len(all), len(items), err)
	}
	var again []archive.IndexEntry
	for _, b := range sum.Blocks {
		part := bytes.NewReader(index[b.Offset : b.Offset+b.Length])
		err := archive.ReadIndexBlock(part, b, func(e archive.IndexEntry) error {
			again = append(again, e)
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	if diff := cmp.Diff(all, again); diff != "" {
		t.Errorf("by block:\n%s", diff)
	}
	for _, e := range all {
		want := bodies[e.Ref.String()+" "+e.Version]
		block := file[e.Block.Offset : e.Block.Offset+e.Block.Length]
		got, err := archive.ReadItem(bytes.NewReader(block), e)
		if err != nil || !bytes.Equal(got, want) {
			t.Fatalf("%s: %d bytes, want %d: %v", e.Ref, len(got), len(want), err)
		}
		first, end := archive.Find(sum.Blocks, e.Ref)
		if !within(all, sum.Blocks, first, end, e) {
			t.Errorf("%s %s is not in the blocks %d to %d", e.Ref, e.Version, first, end)
		}
	}
	if err := verify(file, index, nil); err != nil {
		t.Error(err)
	}
}

func within(all []archive.IndexEntry, blocks []archive.IndexBlock, first, end int, e archive.IndexEntry) bool {
	from, to := 0, 0
	for i, b := range blocks[:end] {
		if i < first {
			from += b.Lines
		}
		to += b.Lines
	}
	return slices.Contains(all[from:to], e)
}

// verify runs Verify and collects the errors of the items in bad.
func verify(file, index []byte, bad *[]string) error {
	_, err := archive.Verify(bytes.NewReader(index), bytes.NewReader(file), archive.ReadOptions{}, func(e archive.Entry) error {
		if e.Err == nil {
			return nil
		}
		if bad == nil {
			return e.Err
		}
		*bad = append(*bad, strings.ReplaceAll(e.Err.Error(), `"`, ""))
		return nil
	})
	return err
}

func writeIndex(t testing.TB, w *archive.Writer) ([]byte, archive.IndexSummary) {
	t.Helper()
	var index bytes.Buffer
	sum, err := w.WriteIndex(&index)
	if err != nil {
		t.Fatal(err)
	}
	return index.Bytes(), sum
}

func gunzip(t testing.TB, file []byte) []byte {
	t.Helper()
	gz, err := gzip.NewReader(bytes.NewReader(file))
	if err != nil {
		t.Fatal(err)
	}
	b, err := io.ReadAll(gz)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func pack(b []byte) []byte {
	var buf bytes.Buffer
	gz := gzip.NewWriter(&buf)
	_, _ = gz.Write(b) // a buffer takes everything
	_ = gz.Close()
	return buf.Bytes()
}

// The lines are as doc/format.md says, and a block is inflated by the standard library alone.
func TestIndexLines(t *testing.T) {
	web := object1("apps", "deployments", "v1", "Deployment", "shop", "web", true, "x")
	node := object1("", "nodes", "v1", "Node", "", `a"<b`, false, "y")
	file, w := put(t, node, web)
	index, sum := writeIndex(t, w)
	text := string(gunzip(t, index))
	lines := strings.SplitAfter(text, "\n")
	if len(lines) != 3 || sum.Items != 2 || len(sum.Blocks) != 1 || sum.Blocks[0].First != web.Ref || sum.Blocks[0].Lines != 2 {
		t.Fatalf("%d lines, %+v", len(lines), sum)
	}
	if want := `{"r":"deployments.apps","ns":"shop","n":"web","v":"v1","k":"Deployment","p":true,"b":[`; !strings.HasPrefix(lines[0], want) {
		t.Errorf("%s", lines[0])
	}
	for i, it := range []archive.Item{web, node} {
		var l struct {
			R, NS, N, V, K, H string
			P                 bool
			B                 [2]int64
			O, S              int64
		}
		if err := json.Unmarshal([]byte(lines[i]), &l); err != nil {
			t.Fatal(err)
		}
		if l.N != it.Ref.Name || l.P != it.Preferred || l.S != int64(len(it.Body)) {
			t.Errorf("%+v", l)
		}
		plain := make([]byte, l.O+l.S)
		if _, err := io.ReadFull(flate.NewReader(bytes.NewReader(file[l.B[0]:l.B[0]+l.B[1]])), plain); err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(plain[l.O:], it.Body) {
			t.Errorf("%s: %q", it.Ref, plain[l.O:])
		}
		if !bytes.HasSuffix(file[l.B[0]:l.B[0]+l.B[1]], []byte{0, 0, 0xff, 0xff}) {
			t.Error("the block does not end with a full flush")
		}
	}
}

func TestReadIndexRefuses(t *testing.T) {
	const hash = `"h":"47DEQpj8HBSa-_TImW-5JCeuQeRkm5NMpJWZG3hSuFU"`
	good := func(n string) string {
		return `{"r":"pods","ns":"a","n":"` + n + `","v":"v1","k":"Pod","p":true,"b":[10,20],"o":512,"s":0,` + hash + "}\n"
	}
	tests := []struct{ name, text string }{
		{"no line end", strings.TrimSuffix(good("a"), "\n")},
		{"not JSON", "x\n"},
		{"null", "null\n"},
		{"wrong order", good("b") + good("a")},
		{"twice", good("a") + good("a")},
		{"name with a slash", good("a/b")},
		{"no name", good("")},
		{"name ..", good("..")},
		{"no hash", strings.Replace(good("a"), hash, `"h":""`, 1)},
		{"short hash", strings.Replace(good("a"), hash, `"h":"47DE"`, 1)},
		{"long hash", strings.Replace(good("a"), hash, `"h":"`+strings.Repeat("A", 86)+`"`, 1)},
		{"negative size", strings.Replace(good("a"), `"s":0`, `"s":-1`, 1)},
		{"large size", strings.Replace(good("a"), `"s":0`, `"s":33554433`, 1)},
		{"size not whole", strings.Replace(good("a"), `"s":0`, `"s":1.5`, 1)},
		{"body in the header", strings.Replace(good("a"), `"o":512`, `"o":0`, 1)},
		{"body between", strings.Replace(good("a"), `"o":512`, `"o":513`, 1)},
		{"body far away", strings.Replace(good("a"), `"o":512`, `"o":1099511627776`, 1)},
		{"one number for the block", strings.Replace(good("a"), `[10,20]`, `[10]`, 1)},
		{"block in the header", strings.Replace(good("a"), `[10,20]`, `[9,20]`, 1)},
		{"block without bytes", strings.Replace(good("a"), `[10,20]`, `[10,0]`, 1)},
		{"block too large", strings.Replace(good("a"), `[10,20]`, `[10,1073741824]`, 1)},
		{"block beyond all files", strings.Replace(good("a"), `[10,20]`, `[9223372036854775807,20]`, 1)},
		{"long line", strings.Replace(good("a"), `"n"`, `"x":"`+strings.Repeat("x", 16<<10)+`","n"`, 1)},
		{"version of a folder", strings.Replace(good("a"), `"v":"v1"`, `"v":"../v1"`, 1)},
		{"resource of a folder", strings.Replace(good("a"), `"r":"pods"`, `"r":"../pods"`, 1)},
	}
	for _, tt := range tests {
		err := archive.ReadIndex(bytes.NewReader(pack([]byte(tt.text))), func(archive.IndexEntry) error { return nil })
		if !fail.Is(err, fail.Corrupt) {
			t.Errorf("%s: %v of kind %v", tt.name, err, fail.Of(err))
		}
	}
	n := 0
	later := strings.Replace(good("b"), `"n"`, `"new":{"x":[1]},"n"`, 1) // readers ignore fields that they do not know
	err := archive.ReadIndex(bytes.NewReader(pack([]byte(good("a")+later))), func(archive.IndexEntry) error { n++; return nil })
	if err != nil || n != 2 {
		t.Errorf("%d lines, %v", n, err)
	}
	stop := errors.New("stop")
	if err := archive.ReadIndex(bytes.NewReader(pack([]byte(good("a")))), func(archive.IndexEntry) error { return stop }); !errors.Is(err, stop) {
		t.Error(err)
	}
}

// many writes enough for several blocks of the index.
func many(t testing.TB, n int) (file, index []byte, sum archive.IndexSummary) {
	t.Helper()
	items := make([]archive.Item, n)
	for i := range items {
		items[i] = object1("", "configmaps", "v1", "ConfigMap", fmt.Sprintf("ns-%02d", i%40), fmt.Sprintf("name-of-some-length-%06d", i), true, "x")
	}
	file, w := put(t, items...)
	index, sum = writeIndex(t, w)
	return file, index, sum
}

func TestFind(t *testing.T) {
	_, index, sum := many(t, 12000)
	if len(sum.Blocks) < 2 {
		t.Fatalf("%d blocks", len(sum.Blocks))
	}
	for i := range 12000 {
		ref := object.Ref{Resource: "configmaps", Namespace: fmt.Sprintf("ns-%02d", i%40), Name: fmt.Sprintf("name-of-some-length-%06d", i)}
		first, end := archive.Find(sum.Blocks, ref)
		if end-first < 1 || end-first > 2 {
			t.Fatalf("%s: blocks %d to %d", ref, first, end)
		}
	}
	if first, end := archive.Find(sum.Blocks, object.Ref{Resource: "a"}); first != end {
		t.Errorf("before the first: %d to %d", first, end)
	}
	if first, end := archive.Find(sum.Blocks, object.Ref{Resource: "z"}); first != len(sum.Blocks)-1 || end != len(sum.Blocks) {
		t.Errorf("after the last: %d to %d", first, end)
	}
	if first, end := archive.Find(nil, object.Ref{Resource: "z"}); first != end {
		t.Errorf("of none: %d to %d", first, end)
	}
	// A table that does not fit the file is found out.
	for _, change := range []func(*archive.IndexBlock){
		func(b *archive.IndexBlock) { b.Lines++ },
		func(b *archive.IndexBlock) { b.Lines-- },
		func(b *archive.IndexBlock) { b.Length-- },
		func(b *archive.IndexBlock) { b.Length++ },
		func(b *archive.IndexBlock) { b.Version = "v2" },
		func(b *archive.IndexBlock) { b.First.Name += "x" },
	} {
		b := sum.Blocks[0]
		change(&b)
		part := io.NewSectionReader(bytes.NewReader(index), b.Offset, b.Length)
		if err := archive.ReadIndexBlock(part, b, func(archive.IndexEntry) error { return nil }); !fail.Is(err, fail.Corrupt) {
			t.Errorf("%+v: %v", b, err)
		}
	}
}

// A damaged block, or an index that lies, never gives a wrong body.
func TestReadItemRefuses(t *testing.T) {
	file, w := put(t, object1("", "pods", "v1", "Pod", "a", "one", true, "x"), object1("", "pods", "v1", "Pod", "a", "two", true, strings.Repeat("y", 5000)))
	entries := slices.Collect(w.Index())
	e := entries[1]
	block := file[e.Block.Offset : e.Block.Offset+e.Block.Length]
	read := func(block []byte, e archive.IndexEntry) error {
		_, err := archive.ReadItem(bytes.NewReader(block), e)
		return err
	}
	if err := read(block, e); err != nil {
		t.Fatal(err)
	}
	tests := []struct {
		name string
		err  error
	}{
		{"cut off", read(block[:len(block)/2], e)},
		{"empty", read(nil, e)},
		{"other offset", read(block, func(e archive.IndexEntry) archive.IndexEntry { e.Offset += 512; return e }(e))},
		{"offset behind the end", read(block, func(e archive.IndexEntry) archive.IndexEntry { e.Offset = 1 << 20; return e }(e))},
		{"other size", read(block, func(e archive.IndexEntry) archive.IndexEntry { e.Size--; return e }(e))},
		{"size behind the end", read(block, func(e archive.IndexEntry) archive.IndexEntry { e.Size = archive.MaxItem; return e }(e))},
		{"size too large", read(block, func(e archive.IndexEntry) archive.IndexEntry { e.Size = 1 << 50; return e }(e))},
		{"other hash", read(block, func(e archive.IndexEntry) archive.IndexEntry { e.Hash[0]++; return e }(e))},
	}
	rnd := rand.New(rand.NewPCG(1, 1))
	for range 200 {
		bad := bytes.Clone(block)
		at := rnd.IntN(len(bad))
		bad[at] ^= 1 << rnd.IntN(8)
		if body, err := archive.ReadItem(bytes.NewReader(bad), e); err == nil && sha256.Sum256(body) != e.Hash {
			t.Errorf("byte %d changed, and a wrong body came", at)
		}
	}
	for _, tt := range tests {
		if !fail.Is(tt.err, fail.Corrupt) {
			t.Errorf("%s: %v of kind %v", tt.name, tt.err, fail.Of(tt.err))
		}
	}
	var got []string
	err := archive.ReadItems(bytes.NewReader(block), []archive.IndexEntry{entries[1], entries[0]}, func(e archive.IndexEntry, _ []byte) error {
		got = append(got, e.Ref.Name)
		return nil
	})
	if err != nil || !slices.Equal(got, []string{"one", "two"}) {
		t.Errorf("%v, %v", got, err)
	}
}
