// SPDX-License-Identifier: Apache-2.0

package object

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/google/go-cmp/cmp"
	apierrors "k8s.io/apimachinery/pkg/api/errors"

	"hozon.dev/hozon/internal/fail"
)

func splitAll(r io.Reader, buf *Buffer) (items []string, head ListHead, err error) {
	head, err = Split(r, buf, func(item []byte) error {
		items = append(items, string(item))
		return nil
	})
	return items, head, err
}

func TestSplit(t *testing.T) {
	seven := int64(7)
	for name, c := range map[string]struct {
		body  string
		head  ListHead
		items []string
	}{
		"built-in: metadata first": {
			`{"kind":"PodList","apiVersion":"v1","metadata":{"resourceVersion":"42","continue":"abc","remainingItemCount":7},"items":[{"metadata":{"name":"a"}},{"b":[{}]}]}` + "\n",
			ListHead{APIVersion: "v1", Kind: "PodList", ResourceVersion: "42", Continue: "abc", Remaining: &seven, Count: 2}, []string{`{"metadata":{"name":"a"}}`, `{"b":[{}]}`}},
		"custom: metadata last": {
			`{"apiVersion":"e.com/v1","items":[{"a":1}],"kind":"WidgetList","metadata":{"resourceVersion":"1"}}`,
			ListHead{APIVersion: "e.com/v1", Kind: "WidgetList", ResourceVersion: "1", Count: 1}, []string{`{"a":1}`}},
		"items null":  {`{"kind":"PodList","items":null}`, ListHead{Kind: "PodList"}, nil},
		"items empty": {`{"kind":"PodList","items":[ ]}`, ListHead{Kind: "PodList"}, nil},
		"brackets and quotes in strings": {
			`{"kind":"XList","items":[{"a":"}]{[\"\\"},{"b\"}":"\\\\\""}]}`,
			ListHead{Kind: "XList", Count: 2}, []string{`{"a":"}]{[\"\\"}`, `{"b\"}":"\\\\\""}`}},
		"white space and unknown keys": {
			" { \"kind\" : \"XList\" , \"more\" : [ { } , 1 ] , \"n\" : -1.5 , \"items\" : [ { } , { } ] } \n\n",
			ListHead{Kind: "XList", Count: 2}, []string{`{ }`, `{ }`}},
	} {
		t.Run(name, func(t *testing.T) {
			for way, r := range map[string]io.Reader{"whole": strings.NewReader(c.body), "byte by byte": iotest.OneByteReader(strings.NewReader(c.body)),
				"EOF with the data": iotest.DataErrReader(strings.NewReader(c.body))} {
				items, head, err := splitAll(r, nil)
				if err != nil {
					t.Fatalf("%s: %v", way, err)
				}
				if diff := cmp.Diff(c.items, items); diff != "" {
					t.Errorf("%s: %s", way, diff)
				}
				if diff := cmp.Diff(c.head, head); diff != "" {
					t.Errorf("%s: %s", way, diff)
				}
			}
		})
	}
}

func TestSplitRefuses(t *testing.T) {
	for name, c := range map[string]struct {
		body string
		kind fail.Kind
		want string
	}{
		"nothing":            {``, fail.Transient, "the body ends early, after 0 bytes"},
		"text":               {`upstream connect error`, fail.Invalid, "the body is not a JSON object"},
		"cut in the items":   {`{"kind":"PodList","items":[{"a":1},{"b`, fail.Transient, "the body ends early, after 38 bytes"},
		"cut after items":    {`{"kind":"PodList","items":[{"a":1}]`, fail.Transient, "ends early"},
		"no list":            {`{"kind":"Pod","apiVersion":"v1","metadata":{"name":"a"}}`, fail.Invalid, "the body is a v1 Pod without items, not a List"},
		"a table":            {`{"kind":"Table","apiVersion":"meta.k8s.io/v1","rows":[]}`, fail.Invalid, "not a List"},
		"no kind":            {`{"items":[]}`, fail.Invalid, "no kind"},
		"a list without":     {`{"kind":"PodList","apiVersion":"v1"}`, fail.Invalid, "without items"},
		"item is a number":   {`{"kind":"PodList","items":[{},7]}`, fail.Corrupt, "byte 30: item 1 is not an object"},
		"items is an object": {`{"kind":"PodList","items":{}}`, fail.Corrupt, "items is not an array"},
		"items twice":        {`{"items":[],"items":[]}`, fail.Corrupt, "items given twice"},
		"trailing comma":     {`{"kind":"PodList","items":[{},]}`, fail.Corrupt, "item 1 is not an object"},
		"no comma":           {`{"kind":"PodList","items":[{}{}]}`, fail.Corrupt, "comma or end of items expected"},
		"trailing text":      {`{"kind":"PodList","items":[]}x`, fail.Corrupt, "text after the list"},
		"bad literal":        {`{"kind":"PodList","items":nil}`, fail.Corrupt, "value expected"},
		"too large":          {`{"kind":"PodList","items":[{},{"a":"` + strings.Repeat("x", 5000) + `"}]}`, fail.Invalid, "item 1 is larger than the limit of 4096 bytes"},
		"large metadata":     {`{"kind":"PodList","metadata":{"a":"` + strings.Repeat("x", 5000) + `"}}`, fail.Invalid, "larger than the limit"},
		"metadata not JSON":  {`{"kind":"PodList","metadata":{x}}`, fail.Corrupt, "decode metadata"},
	} {
		t.Run(name, func(t *testing.T) {
			_, _, err := splitAll(strings.NewReader(c.body), &Buffer{Limit: 4096})
			if err == nil || !strings.Contains(err.Error(), c.want) || fail.Of(err) != c.kind {
				t.Errorf("got %v error %v, want %v with %q", fail.Of(err), err, c.kind, c.want)
			}
			if c.kind == fail.Transient && !errors.Is(err, io.ErrUnexpectedEOF) {
				t.Errorf("%v is no io.ErrUnexpectedEOF", err)
			}
		})
	}
}

func TestSplitStatus(t *testing.T) {
	body := `{"kind":"Status","apiVersion":"v1","metadata":{},"status":"Failure","message":"The resourceVersion for the provided list is too old.","reason":"Expired","code":410}`
	_, _, err := splitAll(strings.NewReader(body), nil)
	if !apierrors.IsResourceExpired(err) || !strings.Contains(err.Error(), "read list: The resourceVersion for the provided list is too old.") {
		t.Errorf("got %v", err)
	}
	_, _, err = splitAll(strings.NewReader(`{"kind":"Status","message":"no","reason":"Forbidden","code":403}`), nil)
	if !fail.Is(err, fail.Denied) || !apierrors.IsForbidden(err) {
		t.Errorf("got %v", err)
	}
}

func TestSplitErrorsOfOthers(t *testing.T) {
	stop := errors.New("enough")
	head, err := Split(strings.NewReader(`{"kind":"PodList","items":[{},{},{}]}`), nil, func(item []byte) error { return stop })
	if err != stop || head.Count != 0 {
		t.Errorf("of fn: got %v after %d items", err, head.Count)
	}
	broken := errors.New("connection reset")
	_, _, err = splitAll(io.MultiReader(strings.NewReader(`{"kind":"PodList","items":[{},`), iotest.ErrReader(broken)), nil)
	if !errors.Is(err, broken) {
		t.Errorf("of the reader: got %v", err)
	}
	_, _, err = splitAll(stuck{}, nil)
	if !errors.Is(err, io.ErrNoProgress) {
		t.Errorf("of a reader that stands still: got %v", err)
	}
}

type stuck struct{}

func (stuck) Read([]byte) (int, error) { return 0, nil }

// TestSplitBuffer: the buffer is used again, grows to the largest item, and no item at its limit is refused.
func TestSplitBuffer(t *testing.T) {
	const limit = 1 << 20
	buf := &Buffer{Limit: limit}
	largest := `{"a":"` + strings.Repeat("x", limit-9) + `"}`
	body := `{"kind":"XList","items":[{},` + largest + `,{}]}`
	for range 3 {
		items, _, err := splitAll(strings.NewReader(body), buf)
		if err != nil || len(items) != 3 || items[1] != largest {
			t.Fatalf("%d items, %v", len(items), err)
		}
	}
	if len(buf.b) > limit {
		t.Errorf("the buffer has %d bytes", len(buf.b))
	}
	small := list(200)
	n := testing.AllocsPerRun(10, func() {
		if _, err := Split(bytes.NewReader(small), buf, func([]byte) error { return nil }); err != nil {
			t.Fatal(err)
		}
	})
	if n > 25 {
		t.Errorf("%v allocations for a list of 200 items", n)
	}
}

func list(n int) []byte {
	body := []byte(`{"kind":"DeploymentList","apiVersion":"apps/v1","metadata":{"resourceVersion":"1"},"items":[`)
	for i := range n {
		if i > 0 {
			body = append(body, ',')
		}
		body = append(body, deployment(i)...)
	}
	return append(body, "]}\n"...)
}

// randomValue is any JSON, dense in what a splitter could stumble over.
func randomValue(r *rand.Rand, depth int) any {
	words := []string{"", "a", `"`, `\`, `\\"`, "}", "]", "{[", "é\u2028", "items", "kind", "\x00\n", strings.Repeat(`\"`, r.IntN(20))}
	switch k := r.IntN(8); {
	case k < 3 && depth > 0:
		m := map[string]any{}
		for range r.IntN(4) {
			m[words[r.IntN(len(words))]] = randomValue(r, depth-1)
		}
		return m
	case k < 5 && depth > 0:
		l := []any{}
		for range r.IntN(4) {
			l = append(l, randomValue(r, depth-1))
		}
		return l
	case k == 5:
		return r.Float64()
	case k == 6:
		return []any{nil, true, false, r.Int64()}[r.IntN(4)]
	}
	return words[r.IntN(len(words))]
}

// TestSplitLaw: split lists of random items, read in random pieces, give what encoding/json gives.
func TestSplitLaw(t *testing.T) {
	seed := rand.Uint64()
	r := rand.New(rand.NewPCG(seed, 0))
	for range 2000 {
		var want []string
		for range r.IntN(5) {
			item, err := json.Marshal(map[string]any{"x": randomValue(r, 4), "y": randomValue(r, 4)})
			if err != nil {
				t.Fatal(err)
			}
			want = append(want, string(item))
		}
		body := fmt.Sprintf(`{"kind":"XList","items":[%s],"metadata":{"resourceVersion":"9"}}`, strings.Join(want, ","))
		got, head, err := splitAll(&pieces{text: body, r: r}, nil)
		if err != nil || head.ResourceVersion != "9" {
			t.Fatalf("seed %d: %v in %s", seed, err, body)
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Fatalf("seed %d: %s", seed, diff)
		}
		for _, item := range got {
			checkScan(t, []byte(item))
		}
		checkScan(t, []byte(body))
	}
}

// pieces reads a text a few bytes at a time.
type pieces struct {
	text string
	r    *rand.Rand
}

func (p *pieces) Read(b []byte) (int, error) {
	if p.text == "" {
		return 0, io.EOF
	}
	n := copy(b[:min(len(b), 1+p.r.IntN(9))], p.text)
	p.text = p.text[n:]
	return n, nil
}

func FuzzSplit(f *testing.F) {
	for _, s := range []string{`{"kind":"PodList","items":[{"a":"\\\""},{}],"metadata":{"continue":"x"}}`, `{"kind":"Status","code":410}`, `{"items":null}`,
		`{"kind":"XList","items":[{"a":[{}]}] , "x":1}`, string(list(2))} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		items, head, err := splitAll(iotest.HalfReader(bytes.NewReader(body)), &Buffer{Limit: 1 << 16})
		if len(items) != head.Count {
			t.Fatalf("%d items, counted %d", len(items), head.Count)
		}
		var want struct {
			Items []json.RawMessage `json:"items"`
		}
		if err != nil || !json.Valid(body) || json.Unmarshal(body, &want) != nil || len(items) != len(want.Items) && strings.Contains(strings.ToLower(string(body)), `"items"`) && strings.Count(strings.ToLower(string(body)), `"items"`) > 1 {
			return // encoding/json folds case, and takes the last of two
		}
		if len(items) != len(want.Items) {
			t.Fatalf("%d items of %d in %q", len(items), len(want.Items), body)
		}
		for i, item := range items {
			if item != string(want.Items[i]) {
				t.Fatalf("item %d is %q, want %q", i, item, want.Items[i])
			}
		}
	})
}

func benchmarkSplit(b *testing.B, body []byte) {
	buf := &Buffer{}
	b.SetBytes(int64(len(body)))
	b.ReportAllocs()
	for b.Loop() {
		if _, err := Split(bytes.NewReader(body), buf, func([]byte) error { return nil }); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkSplit has objects that are nearly all structure.
func BenchmarkSplit(b *testing.B) { benchmarkSplit(b, list(5000)) }

// BenchmarkSplitConfigMaps has objects that are mostly text.
func BenchmarkSplitConfigMaps(b *testing.B) {
	body := []byte(`{"kind":"ConfigMapList","apiVersion":"v1","metadata":{"resourceVersion":"1"},"items":[`)
	for i := range 5000 {
		if i > 0 {
			body = append(body, ',')
		}
		body = append(body, configMap(i)...)
	}
	benchmarkSplit(b, append(body, "]}"...))
}
