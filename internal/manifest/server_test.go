// SPDX-License-Identifier: Apache-2.0

package manifest_test

import (
	"bytes"
	"encoding/json"
	"flag"
	"os"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"hozon.dev/hozon/internal/cluster"
	"hozon.dev/hozon/internal/cluster/clustertest"
	"hozon.dev/hozon/internal/manifest"
	"hozon.dev/hozon/internal/object"
)

func TestMain(m *testing.M) { clustertest.Main(m) }

// documents are the manifests of testdata/kinds.yaml.
func documents(t *testing.T) []manifest.Document {
	t.Helper()
	data, err := os.ReadFile("testdata/kinds.yaml")
	if err != nil {
		t.Fatal(err)
	}
	docs, faults := manifest.Parse("kinds.yaml", data)
	if len(faults) > 0 {
		t.Fatal(faults)
	}
	return docs
}

// TestDefaults: what a real API server makes of a manifest, with all that it fills in, is cleaned to the bytes of the manifest.
func TestDefaults(t *testing.T) {
	own := clustertest.Shared(t)
	c, err := cluster.Open(cluster.Options{Kubeconfig: own.Kubeconfig()})
	if err != nil {
		t.Fatal(err)
	}
	types, _, err := c.Types(t.Context(), true)
	if err != nil {
		t.Fatal(err)
	}
	byKind := map[string]object.Type{}
	for _, typ := range types {
		byKind[typ.GroupVersion()+" "+typ.Kind] = typ
	}
	ns := own.Namespace(t)
	var states bytes.Buffer
	for _, d := range documents(t) {
		o := d.Object
		meta := o["metadata"].(map[string]any)
		t.Run(meta["name"].(string), func(t *testing.T) {
			typ, ok := byKind[o["apiVersion"].(string)+" "+o["kind"].(string)]
			if !ok {
				t.Fatal("not served")
			}
			if typ.Namespaced {
				meta["namespace"] = ns
			}
			want := string(manifest.Encode(nil, o))
			body, err := json.Marshal(o)
			if err != nil {
				t.Fatal(err)
			}
			space, _ := meta["namespace"].(string)
			live, err := c.Create(t.Context(), typ, space, body, cluster.WriteOptions{FieldManager: "tester", FieldValidation: "Strict"})
			if err != nil {
				t.Fatal(err)
			}
			states.Write(append(bytes.ReplaceAll(bytes.TrimSpace(live), []byte(ns), []byte("golden")), '\n'))
			got := decode(t, string(live))
			manifest.Clean(got)
			text := string(manifest.Encode(nil, got))
			if diff := cmp.Diff(want, text); diff != "" {
				t.Errorf("-written +cleaned:\n%s", diff)
			}
			manifest.Clean(got)
			if again := string(manifest.Encode(nil, got)); again != text {
				t.Errorf("cleaned once more: %s", cmp.Diff(text, again))
			}
		})
	}
	if *update {
		if err := os.WriteFile("testdata/states.jsonl", states.Bytes(), 0o644); err != nil {
			t.Fatal(err)
		}
	}
}

var update = flag.Bool("update", false, "TestDefaults writes testdata/states.jsonl")

// TestGolden is TestDefaults on the states that an API server once made of the manifests, without one.
func TestGolden(t *testing.T) {
	states, err := os.ReadFile("testdata/states.jsonl")
	if err != nil {
		t.Fatal(err)
	}
	lines := strings.Split(strings.TrimSpace(string(states)), "\n")
	docs := documents(t)
	if len(lines) != len(docs) {
		t.Fatalf("%d states of %d manifests: run TestDefaults with -update", len(lines), len(docs))
	}
	for i, d := range docs {
		state := decode(t, lines[i])
		meta := d.Object["metadata"].(map[string]any)
		if state["metadata"].(map[string]any)["namespace"] != nil {
			meta["namespace"] = "golden"
		}
		manifest.Clean(state)
		if diff := cmp.Diff(string(manifest.Encode(nil, d.Object)), string(manifest.Encode(nil, state))); diff != "" {
			t.Errorf("%s: -written +cleaned:\n%s", meta["name"], diff)
		}
	}
}
