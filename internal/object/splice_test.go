// SPDX-License-Identifier: Apache-2.0

package object_test

import (
	"encoding/json"
	"testing"

	"github.com/google/go-cmp/cmp"

	"hozon.dev/hozon/internal/fail"
	"hozon.dev/hozon/internal/object"
)

func TestSpliceMetadata(t *testing.T) {
	for _, tc := range []struct{ in, want, old string }{
		{`{"metadata":{"name":"a","managedFields":[{"x":1}],"uid":"u"},"data":{"managedFields":"no"}}`,
			`{"metadata":{"name":"a","managedFields":[2],"uid":"u"},"data":{"managedFields":"no"}}`, `[{"x":1}]`},
		{`{"kind":"A","metadata": {"name":"a"}}`, `{"kind":"A","metadata": {"managedFields":[2],"name":"a"}}`, ``},
		{` {"metadata":{ } } `, ` {"metadata":{"managedFields":[2] } } `, ``},
		{`{"spec":{"metadata":{"managedFields":1}},"metadata":{"managedFields" : null }}`,
			`{"spec":{"metadata":{"managedFields":1}},"metadata":{"managedFields" : [2] }}`, `null`},
		{`{"metadata":{"managedF\u0069elds":7}}`, `{"metadata":{"managedF\u0069elds":[2]}}`, `7`},
	} {
		got, old, err := object.SpliceMetadata([]byte(tc.in), "managedFields", []byte("[2]"))
		if err != nil {
			t.Errorf("%s: %v", tc.in, err)
		}
		if d := cmp.Diff(tc.want, string(got)); d != "" || string(old) != tc.old || !json.Valid(got) {
			t.Errorf("%s: old %s, -want +got:\n%s", tc.in, old, d)
		}
	}
	for _, in := range []string{``, `[]`, `{}`, `{"metadata":null}`, `{"metadata":3}`, `{"metadata":{"managedFields":1,"managedFields":2}}`, `{"metadata":{}`} {
		if _, _, err := object.SpliceMetadata([]byte(in), "managedFields", []byte("[2]")); !fail.Is(err, fail.Corrupt) {
			t.Errorf("%s: %v", in, err)
		}
	}
}

// FuzzSplice: whatever is spliced is the same JSON but for that one value.
func FuzzSplice(f *testing.F) {
	f.Add([]byte(`{"metadata":{"name":"a","managedFields":[{"x":1}]},"data":{}}`))
	f.Add([]byte(`{"metadata":{}}`))
	f.Fuzz(func(t *testing.T, body []byte) {
		got, _, err := object.SpliceMetadata(body, "managedFields", []byte(`[2]`))
		if err != nil {
			return
		}
		var before, after map[string]any
		if json.Unmarshal(body, &before) != nil || json.Unmarshal(got, &after) != nil {
			t.Fatalf("%q became %q", body, got)
		}
		if m, ok := before["metadata"].(map[string]any); ok {
			m["managedFields"] = []any{2.0}
		}
		if d := cmp.Diff(before, after); d != "" {
			t.Errorf("%q became %q:\n%s", body, got, d)
		}
	})
}
