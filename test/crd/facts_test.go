// SPDX-License-Identifier: Apache-2.0

package crd

import (
	"encoding/json"
	"flag"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	"sigs.k8s.io/yaml"

	"hozon.dev/hozon/deploy"
)

var veleroFolder = flag.String("velero", "", "write testdata/velero-1.18.3.txt from the CRDs below this folder")

const factsFile = "testdata/velero-1.18.3.txt"

// TestFacts compares our CRDs with Velero's: they must say the same in other words.
func TestFacts(t *testing.T) {
	if *veleroFolder != "" {
		facts := strings.Join(allFacts(t, readCRDs(t, os.DirFS(*veleroFolder))), "\n") + "\n"
		if err := os.WriteFile(factsFile, []byte(facts), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(factsFile)
	if err != nil {
		t.Fatal(err)
	}
	got := allFacts(t, readCRDs(t, deploy.CRDs))
	if len(got) < 500 {
		t.Fatalf("only %d facts found in deploy/crd: has the form of the files changed?", len(got))
	}
	if diff := cmp.Diff(strings.Split(strings.TrimSpace(string(want)), "\n"), got); diff != "" {
		t.Errorf("our CRDs differ from Velero's (- Velero, + ours):\n%s", diff)
	}
}

// TestDescriptions wants every field that we define to say what it is.
func TestDescriptions(t *testing.T) {
	for _, crd := range readCRDs(t, deploy.CRDs) {
		for _, v := range crd.Spec.Versions {
			for where, s := range fields(v.Schema.OpenAPIV3Schema, "") {
				named := !strings.HasSuffix(where, "[]") && !strings.HasSuffix(where, "{}")
				if named && s.Description == "" && where != ".metadata" {
					t.Errorf("%s: %s has no description", crd.Name, where)
				}
			}
		}
	}
}

func readCRDs(t *testing.T, from fs.FS) []apiextensionsv1.CustomResourceDefinition {
	t.Helper()
	var crds []apiextensionsv1.CustomResourceDefinition
	err := fs.WalkDir(from, ".", func(name string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || path.Ext(name) != ".yaml" {
			return err
		}
		text, err := fs.ReadFile(from, name)
		if err != nil {
			return err
		}
		var crd apiextensionsv1.CustomResourceDefinition
		if err := yaml.UnmarshalStrict(text, &crd); err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
		if want := crd.Spec.Group + "_" + crd.Spec.Names.Plural + ".yaml"; path.Base(name) != want {
			t.Errorf("%s should be called %s", name, want)
		}
		crds = append(crds, crd)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	slices.SortFunc(crds, func(a, b apiextensionsv1.CustomResourceDefinition) int { return strings.Compare(a.Name, b.Name) })
	return crds
}

// allFacts are lines of plural, place and fact, in an order that does not depend on the files'.
func allFacts(t *testing.T, crds []apiextensionsv1.CustomResourceDefinition) []string {
	t.Helper()
	var lines []string
	for _, crd := range crds {
		line := func(where string, fact any) {
			text, err := json.Marshal(fact)
			if err != nil {
				t.Fatal(err)
			}
			lines = append(lines, crd.Spec.Names.Plural+" "+where+" "+string(text))
		}
		versions := crd.Spec.Versions
		crd.Spec.Versions = nil
		line("kind", crd.Spec)
		for _, v := range versions {
			for _, c := range v.AdditionalPrinterColumns {
				c.Description = ""
				line("column", c)
			}
			found := fields(v.Schema.OpenAPIV3Schema, "")
			v.Schema, v.AdditionalPrinterColumns = nil, nil
			line("version", v)
			for _, where := range slices.Sorted(maps.Keys(found)) {
				s := found[where]
				s.Description, s.Properties, s.Items, s.AdditionalProperties = "", nil, nil, nil
				line(where+":", s)
			}
		}
	}
	return lines
}

// fields are all schemas in a schema by their place: ".spec.hooks.resources[].name", "{}" for the values of a map.
func fields(s *apiextensionsv1.JSONSchemaProps, where string) map[string]apiextensionsv1.JSONSchemaProps {
	found := map[string]apiextensionsv1.JSONSchemaProps{where: *s}
	for name, p := range s.Properties {
		maps.Copy(found, fields(&p, where+"."+name))
	}
	if s.Items != nil && s.Items.Schema != nil {
		maps.Copy(found, fields(s.Items.Schema, where+"[]"))
	}
	if s.AdditionalProperties != nil && s.AdditionalProperties.Schema != nil {
		maps.Copy(found, fields(s.AdditionalProperties.Schema, where+"{}"))
	}
	return found
}
