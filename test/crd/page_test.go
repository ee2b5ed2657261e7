// SPDX-License-Identifier: Apache-2.0

package crd

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"k8s.io/apimachinery/pkg/runtime/schema"
	"sigs.k8s.io/yaml"

	"hozon.dev/hozon/internal/cluster"
	"hozon.dev/hozon/test/daemon"
)

// page is doc/spec's page on a kind.
func page(t *testing.T, kind string) string {
	t.Helper()
	root, err := daemon.Root()
	if err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(filepath.Join(root, "doc/spec", strings.ToLower(kind)+".md"))
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// TestPages wants each kind's page to speak of all its fields and phases.
func TestPages(t *testing.T) {
	for kind, crd := range kinds(t) {
		text := page(t, kind)
		root := crd.Spec.Versions[0].Schema.OpenAPIV3Schema
		for _, part := range []string{"spec", "status"} {
			for field := range root.Properties[part].Properties {
				if !strings.Contains(text, "`"+field+"`") {
					t.Errorf("the page on %s does not name %s.%s", kind, part, field)
				}
			}
		}
		for _, phase := range root.Properties["status"].Properties["phase"].Enum {
			word := strings.TrimSuffix(strings.Trim(string(phase.Raw), `"`), "PartiallyFailed")
			if !strings.Contains(text, word) {
				t.Errorf("the page on %s does not name the phase %s", kind, phase.Raw)
			}
		}
	}
}

var yamlBlock = regexp.MustCompile("(?s)```yaml\n(.*?)```")

// TestExamples creates the pages' examples, and reads them with our types; neither finds a field that it does not know.
func TestExamples(t *testing.T) {
	_, k := server(t)
	s := scheme(t)
	dry := cluster.WriteOptions{FieldValidation: "Strict", DryRun: true}
	for kind, crd := range kinds(t) {
		blocks := yamlBlock.FindAllStringSubmatch(page(t, kind), -1)
		if len(blocks) == 0 {
			t.Errorf("the page on %s has no example", kind)
		}
		for _, block := range blocks {
			body, err := yaml.YAMLToJSONStrict([]byte(block[1]))
			if err != nil {
				t.Fatalf("%s: %v", kind, err)
			}
			body = encode(t, merge(parse(t, body), tree{"metadata": tree{"namespace": "default"}}))
			if _, err := k.Create(t.Context(), typeOf(crd), "default", body, dry); err != nil {
				t.Errorf("%s: %v", kind, err)
			}
			typed, err := s.New(schema.GroupVersionKind{Group: crd.Spec.Group, Version: crd.Spec.Versions[0].Name, Kind: kind})
			if err != nil {
				t.Fatal(err)
			}
			if err := yaml.UnmarshalStrict([]byte(block[1]), typed); err != nil {
				t.Errorf("%s: %v", kind, err)
			}
		}
	}
}
