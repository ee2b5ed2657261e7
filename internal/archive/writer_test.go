// SPDX-License-Identifier: Apache-2.0

package archive_test

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"hozon.dev/hozon/internal/archive"
	"hozon.dev/hozon/internal/fail"
	"hozon.dev/hozon/internal/object"
)

var modified = time.Date(2026, 11, 20, 12, 0, 0, 0, time.UTC)

// put writes items through one lane.
func put(t testing.TB, items ...archive.Item) (file []byte, w *archive.Writer) {
	t.Helper()
	var buf bytes.Buffer
	w = archive.NewWriter(&buf, archive.Options{Modified: modified})
	lane := w.Lane()
	for _, it := range items {
		if err := lane.Add(it); err != nil {
			t.Fatal(err)
		}
	}
	if err := lane.Close(); err != nil {
		t.Fatal(err)
	}
	sum, err := w.Close()
	if err != nil {
		t.Fatal(err)
	}
	if sum.Items != len(items) || sum.Size != int64(buf.Len()) {
		t.Fatalf("%+v; wrote %d items, %d bytes", sum, len(items), buf.Len())
	}
	return buf.Bytes(), w
}

func object1(group, resource, version, kind, ns, name string, preferred bool, filler string) archive.Item {
	apiVersion := version
	if group != "" {
		apiVersion = group + "/" + version
	}
	namespace := ""
	if ns != "" {
		namespace = fmt.Sprintf(`"namespace":%s,`, quote(ns))
	}
	body := fmt.Sprintf(`{"apiVersion":%q,"kind":%q,"metadata":{%s"name":%s},"data":%s}`, apiVersion, kind, namespace, quote(name), quote(filler))
	return archive.Item{
		Ref:     object.Ref{Group: group, Resource: resource, Namespace: ns, Name: name},
		Version: version, Kind: kind, Preferred: preferred, Body: []byte(body),
	}
}

// quote makes JSON of a string that has nothing to escape but quotes and control characters.
func quote(s string) string {
	var b strings.Builder
	b.WriteByte('"')
	for _, r := range s {
		if r == '"' || r == '\\' || r < 0x20 {
			fmt.Fprintf(&b, `\u%04x`, r)
			continue
		}
		b.WriteRune(r)
	}
	return b.String() + `"`
}

// The layout, read with nothing but the standard library.
func TestGoldenLayout(t *testing.T) {
	file, _ := put(t,
		object1("apps", "deployments", "v1", "Deployment", "shop", "web", true, "x"),
		object1("apps", "deployments", "v1beta1", "Deployment", "shop", "web", false, "x"),
		object1("", "nodes", "v1", "Node", "", "n1", true, "x"),
		object1("", "configmaps", "v1", "ConfigMap", "shop", strings.Repeat("long.", 60), true, "x"),
		object1("rbac.authorization.k8s.io", "clusterroles", "v1", "ClusterRole", "", "system:日本", true, "x"),
	)
	gz, err := gzip.NewReader(bytes.NewReader(file))
	if err != nil {
		t.Fatal(err)
	}
	gz.Multistream(false)
	var got []string
	tr := tar.NewReader(gz)
	for {
		h, err := tr.Next()
		if err == io.EOF {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		if h.Typeflag != tar.TypeReg || h.Mode != 0o755 || !h.ModTime.Equal(modified) {
			t.Errorf("%s: type %c, mode %o, time %v", h.Name, h.Typeflag, h.Mode, h.ModTime)
		}
		body, err := io.ReadAll(tr)
		if err != nil {
			t.Fatal(err)
		}
		got = append(got, h.Name)
		if len(got) == 1 {
			if string(body) != "1.1.0\n" {
				t.Errorf("version file %q", body)
			}
		} else if !bytes.HasPrefix(body, []byte(`{"apiVersion":`)) {
			t.Errorf("%s: %q", h.Name, body)
		}
	}
	long := strings.Repeat("long.", 60)
	want := []string{
		"metadata/version",
		"resources/deployments.apps/namespaces/shop/web.json",
		"resources/deployments.apps/v1-preferredversion/namespaces/shop/web.json",
		"resources/deployments.apps/v1beta1/namespaces/shop/web.json",
		"resources/nodes/cluster/n1.json",
		"resources/nodes/v1-preferredversion/cluster/n1.json",
		"resources/configmaps/namespaces/shop/" + long + ".json",
		"resources/configmaps/v1-preferredversion/namespaces/shop/" + long + ".json",
		"resources/clusterroles.rbac.authorization.k8s.io/cluster/system:日本.json",
		"resources/clusterroles.rbac.authorization.k8s.io/v1-preferredversion/cluster/system:日本.json",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("entries (-want +got):\n%s", diff)
	}
	if rest, err := io.ReadAll(gz); err != nil || len(rest) > 0 {
		t.Errorf("after the tar: %d bytes, %v", len(rest), err)
	}
}

// What goes in comes out, whatever it is, in any number of lanes; the index finds all of it.
func TestRoundTrip(t *testing.T) {
	for seed := range uint64(4) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) { roundTrip(t, seed) })
	}
}

func roundTrip(t *testing.T, seed uint64) {
	rnd := rand.New(rand.NewPCG(seed, 1))
	items := randomItems(rnd, 120)
	var file, index bytes.Buffer
	w := archive.NewWriter(&file, archive.Options{Modified: modified, Level: 1 + rnd.IntN(5), Workers: 1 + rnd.IntN(3)})
	lanes := 1 + rnd.IntN(4)
	var wg sync.WaitGroup
	for l := range lanes {
		lane := w.Lane()
		wg.Go(func() {
			for i := l; i < len(items); i += lanes {
				if err := lane.Add(items[i]); err != nil {
					t.Error(err)
				}
			}
			if err := lane.Close(); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	sum, err := w.Close()
	if err != nil {
		t.Fatal(err)
	}
	isum, err := w.WriteIndex(&index)
	if err != nil {
		t.Fatal(err)
	}
	if sum.Size != int64(file.Len()) || isum.Size != int64(index.Len()) || isum.Items != len(items) || sum.Items != len(items) {
		t.Errorf("sizes %d and %d; %+v, %+v", file.Len(), index.Len(), sum, isum)
	}
	checkEntries(t, items, sum, file.Bytes())
	checkIndex(t, items, isum, file.Bytes(), index.Bytes())
}

func checkEntries(t *testing.T, items []archive.Item, sum archive.Summary, file []byte) {
	t.Helper()
	want := map[string][]byte{}
	preferred := 0
	for _, it := range items {
		want[it.Ref.String()+" "+it.Version] = it.Body
		if it.Preferred {
			want[it.Ref.String()+" "] = it.Body
			preferred++
		}
	}
	rsum, err := archive.Read(bytes.NewReader(file), archive.ReadOptions{}, func(e archive.Entry) error {
		key := e.Ref.String() + " " + e.Version
		if e.Unversioned {
			key = e.Ref.String() + " "
		}
		if e.Err != nil || !bytes.Equal(want[key], e.Body) {
			t.Errorf("%s: %v, %d bytes, want %d", e.Path, e.Err, len(e.Body), len(want[key]))
		}
		delete(want, key)
		return nil
	})
	if err != nil || len(want) > 0 {
		t.Errorf("error %v, %d items did not come back", err, len(want))
	}
	if rsum.Items != preferred || rsum.Versioned != len(items) || rsum.Uncompressed != sum.Uncompressed || rsum.Size != sum.Size {
		t.Errorf("read %+v, wrote %+v", rsum, sum)
	}
}

// randomItems has a share of short, long, unicode and large ones, and some in two versions.
func randomItems(rnd *rand.Rand, n int) []archive.Item {
	alphabet := []rune("abcdefghijklmnopqrstuvwxyz0123456789-.:\"\n日本語é <>&")
	name := func(i int) string {
		length := []int{1, 10, 60, 90, 150, 253, 700}[rnd.IntN(7)]
		var b strings.Builder
		for range length {
			b.WriteRune(alphabet[rnd.IntN(len(alphabet)-10*rnd.IntN(2))])
		}
		s := fmt.Sprintf("%s-%d", b.String(), i)
		return s[len(s)-min(len(s), 1000):]
	}
	var items []archive.Item
	for i := range n {
		size := []int{0, 1, 100, 400, 513, 4000, 40000}[rnd.IntN(7)]
		if rnd.IntN(150) == 0 {
			size = 1_500_000
		}
		filler := make([]byte, size)
		for j := range filler {
			filler[j] = byte('a' + rnd.IntN(16))
		}
		group := []string{"", "apps", "very.long.group.of.custom.resources.example.com"}[rnd.IntN(3)]
		ns := []string{"", "a", "a-b", "shop", strings.Repeat("n", 63)}[rnd.IntN(5)]
		resource := []string{"widgets", "configmaps", "things"}[rnd.IntN(3)]
		nm := strings.ToValidUTF8(name(i), "x")
		items = append(items, object1(group, resource, "v1", "Thing", ns, nm, true, string(filler)))
		if rnd.IntN(4) == 0 {
			items = append(items, object1(group, resource, "v1beta1", "Thing", ns, nm, false, string(filler)))
		}
	}
	rnd.Shuffle(len(items), func(i, j int) { items[i], items[j] = items[j], items[i] })
	return items
}

func TestAddRefuses(t *testing.T) {
	good := object1("apps", "deployments", "v1", "Deployment", "shop", "web", true, "x")
	change := func(f func(*archive.Item)) archive.Item { it := good; f(&it); return it }
	tests := []struct {
		name string
		item archive.Item
		want fail.Kind
	}{
		{"the same again", good, fail.Exists},
		{"the same with another body", change(func(it *archive.Item) { it.Body = []byte("{}") }), fail.Exists},
		{"the same, not preferred", change(func(it *archive.Item) { it.Preferred = false }), fail.Exists},
		{"the same of another kind", change(func(it *archive.Item) { it.Kind = "Other" }), fail.Exists},
		{"a second preferred version", change(func(it *archive.Item) { it.Version = "v2" }), fail.Invalid},
		{"no name", change(func(it *archive.Item) { it.Ref.Name = "" }), fail.Invalid},
		{"name ..", change(func(it *archive.Item) { it.Ref.Name = ".." }), fail.Invalid},
		{"name with a slash", change(func(it *archive.Item) { it.Ref.Name = "a/b" }), fail.Invalid},
		{"name with a backslash", change(func(it *archive.Item) { it.Ref.Name = `a\b` }), fail.Invalid},
		{"name with NUL", change(func(it *archive.Item) { it.Ref.Name = "a\x00" }), fail.Invalid},
		{"name not UTF-8", change(func(it *archive.Item) { it.Ref.Name = "a\xff" }), fail.Invalid},
		{"name too long", change(func(it *archive.Item) { it.Ref.Name = strings.Repeat("a", 1025) }), fail.Invalid},
		{"namespace ..", change(func(it *archive.Item) { it.Ref.Namespace = ".." }), fail.Invalid},
		{"resource with a slash", change(func(it *archive.Item) { it.Ref.Resource = "pods/log" }), fail.Invalid},
		{"resource with a dot", change(func(it *archive.Item) { it.Ref.Resource = "pods.log" }), fail.Invalid},
		{"no resource", change(func(it *archive.Item) { it.Ref.Resource = "" }), fail.Invalid},
		{"group with ..", change(func(it *archive.Item) { it.Ref.Group = "../x" }), fail.Invalid},
		{"version cluster", change(func(it *archive.Item) { it.Version, it.Preferred = "cluster", false }), fail.Invalid},
		{"version with the suffix", change(func(it *archive.Item) { it.Version, it.Preferred = "v1-preferredversion", false }), fail.Invalid},
		{"no version", change(func(it *archive.Item) { it.Version = "" }), fail.Invalid},
		{"no kind", change(func(it *archive.Item) { it.Kind, it.Ref.Name = "", "other" }), fail.Invalid},
		{"too large", change(func(it *archive.Item) { it.Ref.Name, it.Body = "other", make([]byte, archive.MaxItem+1) }), fail.Invalid},
	}
	var buf bytes.Buffer
	w := archive.NewWriter(&buf, archive.Options{})
	lane := w.Lane()
	if err := lane.Add(good); err != nil {
		t.Fatal(err)
	}
	for _, tt := range tests {
		if err := lane.Add(tt.item); !fail.Is(err, tt.want) {
			t.Errorf("%s: %v of kind %v, want %v", tt.name, err, fail.Of(err), tt.want)
		}
	}
	if err := lane.Close(); err != nil {
		t.Fatal(err)
	}
	if sum, err := w.Close(); err != nil || sum.Items != 1 {
		t.Errorf("%+v, %v", sum, err)
	}
	if sum, err := archive.Read(&buf, archive.ReadOptions{}, func(e archive.Entry) error { return e.Err }); err != nil || sum.Entries != 3 {
		t.Errorf("read back: %+v, %v", sum, err)
	}
}

// A lane that is open, and a lane that is used too late, are bugs that must show.
func TestMisuse(t *testing.T) {
	w := archive.NewWriter(io.Discard, archive.Options{})
	lane := w.Lane()
	if _, err := w.WriteIndex(io.Discard); err == nil {
		t.Error("an index of an archive that is not complete")
	}
	if _, err := w.Close(); err == nil {
		t.Error("closed with an open lane")
	}
	if err := lane.Add(object1("", "pods", "v1", "Pod", "a", "b", true, "x")); err == nil {
		t.Error("added after the end")
	}
	if _, err := w.Close(); err == nil {
		t.Error("closed twice")
	}
}

type failingWriter struct{ left int }

var errFull = errors.New("disk full")

func (f *failingWriter) Write(p []byte) (int, error) {
	if f.left -= len(p); f.left < 0 {
		return 0, fail.As(fail.Denied, errFull)
	}
	return len(p), nil
}

// A fault of the file ends every lane with that fault.
func TestWriterFault(t *testing.T) {
	for _, left := range []int{0, 10, 100, 1_500_000} {
		w := archive.NewWriter(&failingWriter{left}, archive.Options{})
		var wg sync.WaitGroup
		for l := range 3 {
			lane := w.Lane()
			wg.Go(func() {
				rnd := rand.New(rand.NewPCG(uint64(l), 2))
				noise := make([]byte, 200_000)
				for i := range noise {
					noise[i] = byte(' ' + 3 + rnd.IntN(50))
				}
				for i := 0; ; i++ {
					err := lane.Add(object1("", "pods", "v1", "Pod", "a", fmt.Sprintf("p%d-%d", l, i), true, string(noise)))
					if err == nil {
						continue
					}
					if !errors.Is(err, errFull) || !fail.Is(err, fail.Denied) {
						t.Errorf("left %d: %v", left, err)
					}
					break
				}
				_ = lane.Close() // its error is the writer's
			})
		}
		wg.Wait()
		if _, err := w.Close(); !errors.Is(err, errFull) {
			t.Errorf("left %d: close: %v", left, err)
		}
	}
}

// Abort lets lanes go that wait for a file that takes nothing.
func TestAbort(t *testing.T) {
	pr, pw := io.Pipe() // nobody reads
	w := archive.NewWriter(pw, archive.Options{})
	lane := w.Lane()
	reason := errors.New("cancelled")
	ended := make(chan error)
	go func() {
		body := bytes.Repeat([]byte("x"), 1<<20)
		for i := 0; ; i++ {
			it := archive.Item{Ref: object.Ref{Resource: "pods", Name: fmt.Sprint(i)}, Version: "v1", Kind: "Pod", Body: body}
			if i == 2 { // by now so much is in flight that Add has to wait
				go w.Abort(reason)
			}
			if err := lane.Add(it); err != nil {
				ended <- err
				return
			}
		}
	}()
	if err := <-ended; !errors.Is(err, reason) {
		t.Error(err)
	}
	pr.Close() // lets the Write go that is under way
	if err := lane.Close(); err != nil && !errors.Is(err, reason) {
		t.Error(err)
	}
	if _, err := w.Close(); !errors.Is(err, reason) {
		t.Error(err)
	}
}
