// SPDX-License-Identifier: Apache-2.0

package crd

import (
	"compress/gzip"
	"encoding/json"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	"k8s.io/apimachinery/pkg/runtime"

	velerov1 "hozon.dev/hozon/api/velero/v1"
	"hozon.dev/hozon/api/velero/v2alpha1"
	"hozon.dev/hozon/deploy"
	"hozon.dev/hozon/internal/cluster/clustertest"
	"hozon.dev/hozon/internal/object"
)

func TestMain(m *testing.M) { clustertest.Main(m) }

func scheme(t *testing.T) *runtime.Scheme {
	t.Helper()
	s := runtime.NewScheme()
	for _, add := range []func(*runtime.Scheme) error{velerov1.AddToScheme, v2alpha1.AddToScheme} {
		if err := add(s); err != nil {
			t.Fatal(err)
		}
	}
	return s
}

// kinds are our CRDs by kind.
func kinds(t *testing.T) map[string]apiextensionsv1.CustomResourceDefinition {
	t.Helper()
	out := map[string]apiextensionsv1.CustomResourceDefinition{}
	for _, crd := range readCRDs(t, deploy.CRDs) {
		out[crd.Spec.Names.Kind] = crd
	}
	return out
}

func typeOf(crd apiextensionsv1.CustomResourceDefinition) object.Type {
	return object.Type{
		Group: crd.Spec.Group, Version: crd.Spec.Versions[0].Name, Resource: crd.Spec.Names.Plural,
		Kind: crd.Spec.Names.Kind, Namespaced: true,
	}
}

// tree is an object as JSON without types. Numbers keep their digits.
type tree = map[string]any

func parse(t *testing.T, text []byte) tree {
	t.Helper()
	dec := json.NewDecoder(strings.NewReader(string(text)))
	dec.UseNumber()
	var o tree
	if err := dec.Decode(&o); err != nil {
		t.Fatalf("%v in %s", err, text)
	}
	return o
}

func encode(t *testing.T, v any) []byte {
	t.Helper()
	text, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return text
}

// fixtures lies beside the repository.
const fixtures = "../../../shared/fixtures"

// written are the objects that the real program wrote, by the file and the place in it.
func written(t *testing.T) map[string]tree {
	t.Helper()
	out := map[string]tree{}
	for _, file := range glob(t, "*/bucket/backups/*/velero-backup.json") {
		if strings.Contains(file, "bad-not-json") {
			continue
		}
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		out[file] = parse(t, text)
	}
	for _, file := range glob(t, "*/bucket/backups/*/*-podvolumebackups.json.gz") {
		var list []tree
		if err := json.Unmarshal(inflate(t, file), &list); err != nil {
			t.Fatal(err)
		}
		for i, o := range list {
			o["apiVersion"], o["kind"] = velerov1.APIVersion, "PodVolumeBackup" // lists have it in their own
			out[file+"#"+strconv.Itoa(i)] = o
		}
	}
	text, err := os.ReadFile("testdata/written.jsonl")
	if err != nil {
		t.Fatal(err)
	}
	for i, line := range strings.Split(strings.TrimSpace(string(text)), "\n") {
		out["testdata/written.jsonl#"+strconv.Itoa(i+1)] = parse(t, []byte(line))
	}
	return out
}

func glob(t *testing.T, pattern string) []string {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(fixtures, pattern))
	if err != nil {
		t.Fatal(err)
	}
	if len(files) == 0 {
		t.Fatalf("the reference data must lie in ../shared/fixtures beside the repository: nothing is called %s", pattern)
	}
	return files
}

func inflate(t *testing.T, file string) []byte {
	t.Helper()
	f, err := os.Open(file)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	gz, err := gzip.NewReader(f)
	if err != nil {
		t.Fatal(err)
	}
	text, err := io.ReadAll(io.LimitReader(gz, 64<<20))
	if err != nil {
		t.Fatal(err)
	}
	return text
}
