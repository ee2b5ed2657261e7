// SPDX-License-Identifier: Apache-2.0

package manifest_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"
	utiljson "k8s.io/apimachinery/pkg/util/json"

	"hozon.dev/hozon/internal/manifest"
)

// definition has defaults in all places where one can be.
const definition = `{"spec":{"versions":[{"name":"v1","schema":{"openAPIV3Schema":{"type":"object","properties":{
"metadata":{"properties":{"name":{"default":"x"}}},
"status":{"properties":{"phase":{"default":"New"}}},
"spec":{"type":"object","required":["mode"],"properties":{
 "mode":{"type":"string","default":"auto"},
 "size":{"type":"integer","default":3},
 "ratio":{"type":"number","default":0.5},
 "on":{"type":"boolean","default":false},
 "empty":{"type":"string","default":""},
 "note":{"type":"string","nullable":true,"default":"n"},
 "plain":{"type":"object","properties":{"deep":{"type":"string","default":"d"}}},
 "filled":{"type":"object","default":{},"properties":{"deep":{"type":"string","default":"d"},"other":{"type":"string"}}},
 "half":{"type":"object","default":{"other":"o"},"properties":{"deep":{"type":"string","default":"d"},"other":{"type":"string"}}},
 "list":{"type":"array","default":["a"],"items":{"type":"string"}},
 "ports":{"type":"array","x-kubernetes-list-type":"map","x-kubernetes-list-map-keys":["port","protocol"],
  "items":{"type":"object","properties":{"port":{"type":"integer"},"protocol":{"type":"string","default":"TCP"},"weight":{"type":"integer","default":1}}}},
 "labels":{"type":"object","additionalProperties":{"type":"object","properties":{"v":{"type":"string","default":"x"}}}},
 "template":{"type":"object","x-kubernetes-embedded-resource":true,"properties":{"spec":{"type":"object","default":{"a":"b"}}}},
 "whole":{"type":"array","items":{"type":"object","properties":{"v":{"type":"string","default":"x"}}}},
 "one":{"type":"object","x-kubernetes-map-type":"atomic","properties":{"v":{"type":"string","default":"x"}}},
 "any":{"type":"object","additionalProperties":true,"x-kubernetes-preserve-unknown-fields":true}
}}}}}},{"name":"v2","schema":{"openAPIV3Schema":{"type":"object","properties":{"spec":{"type":"object"}}}}}]}}`

func TestSchema(t *testing.T) {
	s, err := manifest.ReadSchema([]byte(definition), "v1")
	if err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct{ name, state, want string }{
		{"defaults", `{"size":3,"ratio":0.5,"on":false,"empty":""}`, `{}`},
		{"other values", `{"size":4,"ratio":1,"on":true,"empty":"e","list":["b"]}`, `{"size":4,"ratio":1,"on":true,"empty":"e","list":["b"]}`},
		{"what is required stays", `{"mode":"auto"}`, `{"mode":"auto"}`},
		{"null is not the default", `{"note":null}`, `{"note":null}`},
		{"a default below what has none", `{"plain":{"deep":"d"}}`, `{"plain":{}}`},
		{"a default below a default", `{"filled":{"deep":"d"}}`, `{}`},
		{"something besides a default", `{"filled":{"deep":"d","other":"o"}}`, `{"filled":{"other":"o"}}`},
		{"a default with content", `{"half":{"deep":"d","other":"o"}}`, `{}`},
		{"without the content of the default", `{"half":{"deep":"d"}}`, `{"half":{}}`},
		{"keys of lists stay", `{"ports":[{"port":1,"protocol":"TCP","weight":1},{"port":2,"protocol":"UDP","weight":2}]}`, `{"ports":[{"port":1,"protocol":"TCP"},{"port":2,"protocol":"UDP","weight":2}]}`},
		{"lists", `{"list":["a"]}`, `{}`},
		{"what is applied as a whole stays whole", `{"whole":[{"v":"x"}],"one":{"v":"x"}}`, `{"whole":[{"v":"x"}],"one":{"v":"x"}}`},
		{"values of maps", `{"labels":{"a":{"v":"x"},"b":{"v":"y"}}}`, `{"labels":{"a":{},"b":{"v":"y"}}}`},
		{"embedded objects are left alone", `{"template":{"spec":{"a":"b"}}}`, `{"template":{"spec":{"a":"b"}}}`},
		{"of another type than the schema says", `{"size":"3","list":{"a":1},"filled":[1],"any":{"size":3}}`, `{"size":"3","list":{"a":1},"filled":[1],"any":{"size":3}}`},
	} {
		o := decode(t, `{"apiVersion":"example.com/v1","kind":"Gear","metadata":{"name":"x"},"spec":`+tt.state+`}`)
		s.Drop(o)
		if diff := cmp.Diff(decode(t, tt.want), o["spec"]); diff != "" {
			t.Errorf("%s: -want +got:\n%s", tt.name, diff)
		}
		if diff := cmp.Diff(map[string]any{"name": "x"}, o["metadata"]); diff != "" {
			t.Errorf("%s: metadata: %s", tt.name, diff)
		}
	}
	for _, version := range []string{"v2", "v3"} { // without defaults, and not there
		if s, err := manifest.ReadSchema([]byte(definition), version); s != nil || err != nil {
			t.Errorf("version %s: %v, %v", version, s, err)
		}
	}
	if _, err := manifest.ReadSchema([]byte("{"), "v1"); err == nil {
		t.Error("half a definition is read")
	}
}

// FuzzSchema: no definition makes the reader panic, and leaving defaults out twice is the same as once.
func FuzzSchema(f *testing.F) {
	f.Add([]byte(definition), []byte(`{"spec":{"size":3,"filled":{"deep":"d"}}}`))
	f.Fuzz(func(t *testing.T, crd, object []byte) {
		s, err := manifest.ReadSchema(crd, "v1")
		var o map[string]any
		if err != nil || utiljson.Unmarshal(object, &o) != nil {
			return
		}
		s.Drop(o)
		once := manifest.Encode(nil, o)
		s.Drop(o)
		if again := manifest.Encode(nil, o); string(again) != string(once) {
			t.Errorf("%s\nand once more:\n%s", once, again)
		}
	})
}
