// SPDX-License-Identifier: Apache-2.0

package archive

import (
	"encoding/json"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"hozon.dev/hozon/internal/object"
)

var quickSeeds = []string{
	`{"r":"deployments.apps","ns":"shop","n":"web","v":"v1","k":"Deployment","p":true,"b":[1048812,183211],"o":4608,"s":3127,"h":"x"}`,
	`{"r":"nodes","n":"a","v":"v1","k":"Node","b":[10,0],"o":512,"s":0,"h":""}`,
	`{"r":"nodes","n":"a\u0041","v":"v1","k":"Node","b":[10,1],"o":512,"s":0,"h":""}`,
	`{"r":"nodes","n":"ä","v":"v1","k":"Node","b":[10,1],"o":512,"s":0,"h":""}`,
	`{"r":"nodes","n":"a","v":"v1","k":"Node","b":[010,1],"o":512,"s":0,"h":""}`,
	`{"r":"nodes","n":"a","v":"v1","k":"Node","b":[10,1],"o":9223372036854775808,"s":0,"h":""}`,
	`{"r":"nodes","n":"a","v":"v1","k":"Node","p":false,"b":[10,1],"o":-1,"s":1.5,"h":""}`,
	`{"n":"a","r":"nodes","ns":"","v":"v1","k":"Node","b":[10,1,2],"o":1,"s":1,"h":"","h":"y"}`,
	`{"r":"nodes"`, ``,
}

// TestQuick: what the Writer writes is read quickly, but for texts with escapes.
func TestQuick(t *testing.T) {
	for _, e := range []IndexEntry{
		{Ref: object.Ref{Group: "apps", Resource: "deployments", Namespace: "a", Name: "b"}, Version: "v1", Kind: "K", Preferred: true, Block: Span{1 << 50, 1}},
		{Ref: object.Ref{Resource: "nodes", Name: "b"}, Version: "v1", Kind: "K", Offset: 512, Size: 7},
	} {
		var j line
		if raw := appendLine(nil, e); !j.quick(raw, new([4]string)) {
			t.Errorf("%s is not read quickly", raw)
		}
	}
}

// FuzzQuick: a line that is read quickly is read as encoding/json reads it.
func FuzzQuick(f *testing.F) {
	for _, s := range quickSeeds {
		f.Add([]byte(s + "\n"))
	}
	f.Fuzz(func(t *testing.T, raw []byte) {
		words := [4]string{"nodes", "a", "v1", "Node"}
		var got, want line
		if !got.quick(raw, &words) {
			return
		}
		if err := json.Unmarshal(raw, &want); err != nil {
			t.Fatalf("%q is read quickly, and is no JSON: %v", raw, err)
		}
		got.H = string(got.hash)
		if d := cmp.Diff(want, got, cmp.AllowUnexported(line{}), cmpopts.IgnoreFields(line{}, "pair", "hash")); d != "" {
			t.Errorf("%q (-json +quick):\n%s", raw, d)
		}
	})
}
