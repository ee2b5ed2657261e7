// SPDX-License-Identifier: Apache-2.0

package manifest_test

import (
	"reflect"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	utiljson "k8s.io/apimachinery/pkg/util/json"
	"sigs.k8s.io/yaml"

	"hozon.dev/hozon/internal/manifest"
	"hozon.dev/hozon/internal/object"
)

func decode(t testing.TB, text string) map[string]any {
	t.Helper()
	var o map[string]any
	if err := utiljson.Unmarshal([]byte(text), &o); err != nil {
		t.Fatal(err)
	}
	return o
}

// odd are texts that parsers like to take for something else, or that cannot be written plainly.
var odd = []string{"", " ", "a", "a b", "a  b", " a", "a ", "yes", "No", "y", "null", "~", "true", "1", "-1", "+1", "1.5", ".5", "1e3", "0x1f", "0o17", "0b1",
	"1_000", "12:30", "12:30:45", "2001-12-14", "2001-12-14T21:59:43Z", "500m", "1Gi", "25%", "a: b", "a:b", "a :b", "a #b", "#a", "-", "--", "---", "--flag=x", "- a",
	"?", "? a", ":", "a:", "[a]", "{a}", "&a", "*a", "!a", "|", ">", "%a", "@a", "`a", "'a'", "\"a\"", "a\\b", "=", "<<", "...", ".inf", "-.Inf", ".NaN", "é", "日本",
	"\u0085", "\u00a0", "\u2028", "\ufeff", "\ufffe", "😀", "\x00", "\x7f", "a\tb", "\ta", "a\n", "a\nb", "a\nb\n\n", "\na", " a\nb", "a\n b\n", "a \nb", "a\n\n\nb\n",
	"a\r\nb", "a\n\tb", "a\n#b\n---\n...\n", "a\n \nb", "a\n   ", strings.Repeat("x", 500), strings.Repeat("word ", 100), "registry:5000/a/b@sha256:0123", "0123", "08", "1.2.3.4"}

// TestEncode: every text, as a value, in a list, and as a key, is read back as it was.
func TestEncode(t *testing.T) {
	o := map[string]any{"apiVersion": "v1", "n": int64(-5), "f": 1e21, "g": 2.5e-9, "t": true, "z": nil, "e": map[string]any{}, "l": []any{},
		"ll": []any{[]any{int64(1), []any{}}, []any{map[string]any{"a": "b", "c": []any{"d"}}}}}
	var list []any
	keys := map[string]any{}
	for i, s := range odd {
		list = append(list, s, map[string]any{"v": s})
		keys[s] = int64(i)
	}
	o["list"], o["keys"] = list, keys
	sameAfter(t, o)
}

func sameAfter(t *testing.T, o map[string]any) {
	t.Helper()
	text := manifest.Encode(nil, o)
	data, err := yaml.YAMLToJSONStrict(text)
	if err != nil {
		t.Fatalf("%v in\n%s", err, text)
	}
	if got := decode(t, string(data)); !reflect.DeepEqual(got, o) {
		t.Errorf("-wrote +read:\n%s\n%s", cmp.Diff(o, got), text)
	}
}

// FuzzEncode: what is written is read back, by the parser that kubectl uses.
func FuzzEncode(f *testing.F) {
	for _, s := range odd {
		f.Add(s, "k")
		f.Add("v", s)
	}
	f.Fuzz(func(t *testing.T, value, key string) {
		value, key = strings.ToValidUTF8(value, ""), strings.ToValidUTF8(key, "")
		if len(key) > 300 || strings.ContainsRune(value+key, '\uFFFD') {
			t.Skip()
		}
		sameAfter(t, map[string]any{key: value, "list": []any{value, map[string]any{key: value}}})
	})
}

// FuzzParse: no text makes the reader panic, and what it takes has a name.
func FuzzParse(f *testing.F) {
	f.Add([]byte("apiVersion: v1\nkind: List\nitems: [{apiVersion: v1, kind: X, metadata: {name: a}}]\n---\n{}\n"))
	f.Add([]byte("a: &x [*x]"))
	f.Fuzz(func(t *testing.T, data []byte) {
		docs, _ := manifest.Parse("f", data)
		for _, d := range docs {
			if d.Object["kind"] == "" || d.Line < 1 {
				t.Errorf("%+v", d)
			}
			o := d.Object
			manifest.Clean(o)
			manifest.Notes(o)
		}
	})
}

func TestOrder(t *testing.T) {
	o := decode(t, `{"spec":{"b":1,"a":[{"value":"x","name":"n"}]},"kind":"K","metadata":{"labels":{"z":"1"},"namespace":"ns","name":"n"},"apiVersion":"v1","data":{"text":"a\nb\n"}}`)
	want := `apiVersion: v1
kind: K
metadata:
  name: "n"
  namespace: ns
  labels:
    z: "1"
data:
  text: |
    a
    b
spec:
  a:
  - name: "n"
    value: x
  b: 1
`
	if diff := cmp.Diff(want, string(manifest.Encode(nil, o))); diff != "" {
		t.Error(diff)
	}
}

func TestParseFaults(t *testing.T) {
	text := `# a comment
apiVersion: v1
kind: ConfigMap
metadata: {name: a}
---
apiVersion: v1
kind: ConfigMap
metadata:
  name: b
   data: {}
---
---
kind: ConfigMap
metadata: {name: c}
---
apiVersion: v1
kind: ConfigMap
metadata: {name: d}
data: {a: x, a: y}
---
- 1
---
apiVersion: v1
kind: List
items:
- {apiVersion: v1, kind: Secret, metadata: {name: e}}
- {apiVersion: v1, kind: Secret, metadata: {generateName: f}}
`
	docs, faults := manifest.Parse("x.yaml", []byte(text))
	if len(docs) != 1 || docs[0].Where() != "x.yaml:2" {
		t.Errorf("%+v", docs)
	}
	var got []string
	for _, f := range faults {
		got = append(got, f.String())
	}
	want := []string{
		"x.yaml:10: mapping values are not allowed in this context",
		"x.yaml:13: apiVersion is missing",
		`x.yaml:19: key "a" already set in map`,
		"x.yaml:20: no object: a manifest is a map with apiVersion, kind and metadata",
		"x.yaml:23: items[1]: metadata.generateName: an object without a name cannot be applied; give metadata.name",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

// TestClasses: storage classes are renamed wherever a claim or volume names one.
func TestClasses(t *testing.T) {
	m := manifest.ClassMap{"fast": "slow", "gone": ""}
	for _, tt := range []struct{ before, after string }{
		{`{"apiVersion":"v1","kind":"PersistentVolumeClaim","metadata":{"annotations":{"volume.beta.kubernetes.io/storage-class":"fast"}},"spec":{"storageClassName":"fast"}}`,
			`{"apiVersion":"v1","kind":"PersistentVolumeClaim","metadata":{"annotations":{"volume.beta.kubernetes.io/storage-class":"slow"}},"spec":{"storageClassName":"slow"}}`},
		{`{"apiVersion":"v1","kind":"PersistentVolumeClaim","spec":{"storageClassName":"gone"}}`, `{"apiVersion":"v1","kind":"PersistentVolumeClaim","spec":{}}`},
		{`{"apiVersion":"v1","kind":"PersistentVolumeClaim","spec":{"storageClassName":"faster"}}`, `{"apiVersion":"v1","kind":"PersistentVolumeClaim","spec":{"storageClassName":"faster"}}`},
		{`{"apiVersion":"v1","kind":"PersistentVolumeClaim","spec":{"storageClassName":""}}`, `{"apiVersion":"v1","kind":"PersistentVolumeClaim","spec":{"storageClassName":""}}`},
		{`{"apiVersion":"v1","kind":"PersistentVolume","spec":{"storageClassName":"fast"}}`, `{"apiVersion":"v1","kind":"PersistentVolume","spec":{"storageClassName":"slow"}}`},
		{`{"apiVersion":"apps/v1","kind":"StatefulSet","spec":{"volumeClaimTemplates":[{"spec":{"storageClassName":"fast"}},{"spec":{}}]}}`,
			`{"apiVersion":"apps/v1","kind":"StatefulSet","spec":{"volumeClaimTemplates":[{"spec":{"storageClassName":"slow"}},{"spec":{}}]}}`},
		{`{"apiVersion":"batch/v1","kind":"Job","spec":{"template":{"spec":{"volumes":[{"emptyDir":{}},{"ephemeral":{"volumeClaimTemplate":{"spec":{"storageClassName":"fast"}}}}]}}}}`,
			`{"apiVersion":"batch/v1","kind":"Job","spec":{"template":{"spec":{"volumes":[{"emptyDir":{}},{"ephemeral":{"volumeClaimTemplate":{"spec":{"storageClassName":"slow"}}}}]}}}}`},
		{`{"apiVersion":"v1","kind":"ConfigMap","spec":{"storageClassName":"fast"}}`, `{"apiVersion":"v1","kind":"ConfigMap","spec":{"storageClassName":"fast"}}`},
	} {
		o := decode(t, tt.before)
		m.MapClasses(o)
		if diff := cmp.Diff(decode(t, tt.after), o); diff != "" {
			t.Errorf("%s: -want +got:\n%s", tt.before, diff)
		}
	}
}

func TestPath(t *testing.T) {
	tests := []struct {
		ref  object.Ref
		want string
	}{
		{object.Ref{Resource: "namespaces", Name: "shop"}, "namespaces/shop.yaml"},
		{object.Ref{Resource: "configmaps", Namespace: "shop", Name: "a.b"}, "objects/shop/configmaps/a.b.yaml"},
		{object.Ref{Group: "apps", Resource: "deployments", Namespace: "shop", Name: "web"}, "objects/shop/deployments.apps/web.yaml"},
		{object.Ref{Resource: "pods", Namespace: "shop", Name: "web"}, "pods/shop/web.yaml"},
		{object.Ref{Group: "storage.k8s.io", Resource: "storageclasses", Name: "fast"}, "cluster/storageclasses.storage.k8s.io/fast.yaml"},
		{object.Ref{Group: "r", Resource: "roles", Namespace: "a", Name: "system:X y"}, "objects/a/roles.r/system%3A%58%20y.yaml"},
		{object.Ref{Group: "r", Resource: "roles", Namespace: "a", Name: ".."}, "objects/a/roles.r/%2E..yaml"},
	}
	for _, tt := range tests {
		if got := manifest.Path(tt.ref); got != tt.want {
			t.Errorf("%v: %s, want %s", tt.ref, got, tt.want)
		}
	}
	long := manifest.Path(object.Ref{Resource: "x", Namespace: "a", Name: strings.Repeat("n", 253)})
	if len(long[strings.LastIndexByte(long, '/')+1:]) > 255 {
		t.Error(long)
	}
}
