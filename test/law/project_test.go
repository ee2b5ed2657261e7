// SPDX-License-Identifier: Apache-2.0

package law

import (
	"bytes"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"

	"hozon.dev/hozon/internal/cluster"
	"hozon.dev/hozon/internal/export"
	"hozon.dev/hozon/internal/object"
	"hozon.dev/hozon/internal/report"
)

// TestProjectTravels is the law of projects: export, import into another cluster, and export again gives the same bytes; importing once
// more changes nothing; and there is no difference between the manifests and either cluster.
func TestProjectTravels(t *testing.T) {
	if testing.Short() {
		t.Skip("starts two control planes")
	}
	seeds := seeds(t)
	source, target := newSide(t), newSide(t)
	for _, seed := range seeds {
		t.Run(fmt.Sprintf("seed=%d", seed), func(t *testing.T) {
			w := newWorld(seed, fmt.Sprintf("p%d", seed), 120)
			source.fill(t, w)
			travel(t, source, target, w)
		})
	}
}

func travel(t *testing.T, source, target *side, w *world) {
	first := source.export(t, w)
	if diff := cmp.Diff(first, source.export(t, w)); diff != "" {
		t.Fatalf("a second export of the same state: %s", diff)
	}
	dir := t.TempDir()
	for name, data := range first {
		file := filepath.Join(dir, filepath.FromSlash(name))
		if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(file, []byte(data), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	rep := target.bringIn(t, dir)
	if rep.Counts[report.Created] != len(first) || len(rep.Counts) != 1 {
		t.Errorf("of %d manifests: %v", len(first), rep.Counts)
	}
	if diff := cmp.Diff(first, target.export(t, w)); diff != "" {
		t.Errorf("after the journey: -before +after:\n%s", diff)
	}
	before := target.versions(t, w)
	if rep := target.bringIn(t, dir); rep.Counts[report.Unchanged] != len(first) {
		t.Errorf("a second import: %v", rep.Counts)
	}
	if diff := cmp.Diff(before, target.versions(t, w)); diff != "" {
		t.Errorf("a second import wrote: %s", diff)
	}
	for _, s := range []*side{source, target} {
		docs, err := export.ReadManifests(dir, nil, nil)
		if err != nil {
			t.Fatal(err)
		}
		d, err := export.Diff(t.Context(), &export.Manifests{Docs: docs}, &export.Cluster{Client: s.client}, export.Scope{})
		if err != nil {
			t.Fatal(err)
		}
		if len(d.Changes) > 0 || d.Same != len(first) {
			t.Errorf("%d same, differences: %+v", d.Same, d.Changes)
		}
	}
}

// export returns the files of an export of the world's namespaces.
func (s *side) export(t *testing.T, w *world) map[string]string {
	t.Helper()
	dir := t.TempDir()
	tree, err := export.OpenTree(dir)
	if err != nil {
		t.Fatal(err)
	}
	result, err := export.Run(t.Context(), &export.Cluster{Client: s.client}, tree, export.Options{Scope: export.Scope{Namespaces: w.namespaces}})
	if err != nil {
		t.Fatal(err)
	}
	if err := tree.Close(); err != nil {
		t.Fatal(err)
	}
	if len(result.Problems) > 0 {
		t.Fatal(result.Problems)
	}
	files := map[string]string{}
	err = filepath.WalkDir(dir, func(name string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		data, err := os.ReadFile(name)
		rel, _ := filepath.Rel(dir, name)
		files[filepath.ToSlash(rel)] = string(bytes.Clone(data))
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	namespaced := 0
	for _, th := range w.things {
		if th.namespace != "" {
			namespaced++
		}
	}
	if want := namespaced + len(w.namespaces); len(files) != want || result.Objects != want {
		t.Fatalf("%d files and %d objects, want %d; left out: %v", len(files), result.Objects, want, result.Left)
	}
	return files
}

func (s *side) bringIn(t *testing.T, dir string) *report.Report {
	t.Helper()
	docs, err := export.ReadManifests(dir, nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	rep, err := (&export.Importer{Target: s.client}).Run(t.Context(), docs, export.ImportOptions{})
	if err != nil {
		t.Fatal(err)
	}
	for it := range rep.Items.All() {
		if it.Action == report.Failed {
			t.Errorf("%s: %s", it.Ref, it.Reason)
		}
	}
	return rep
}

// versions are the resource versions of everything in the world's namespaces.
func (s *side) versions(t *testing.T, w *world) map[string]string {
	t.Helper()
	found := map[string]string{}
	for _, typ := range s.types {
		if !typ.Namespaced || typ.Resource == "events" || typ.Resource == "leases" {
			continue
		}
		for _, ns := range w.namespaces {
			body, err := s.client.List(t.Context(), typ, cluster.ListOptions{Namespace: ns})
			if err != nil {
				t.Fatal(err)
			}
			_, err = object.Split(body, nil, func(item []byte) error {
				head, err := object.Scan(item)
				found[head.Ref(typ).String()] = head.ResourceVersion
				return err
			})
			body.Close()
			if err != nil {
				t.Fatal(err)
			}
		}
	}
	return found
}
