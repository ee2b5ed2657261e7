// SPDX-License-Identifier: Apache-2.0

package main

import (
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"

	"hozon.dev/hozon/internal/cluster"
	"hozon.dev/hozon/internal/cluster/clustertest"
	"hozon.dev/hozon/internal/export"
	"hozon.dev/hozon/internal/report"
)

// TestProjects: the demo's applications, with their controllers running, are exported, imported into a new cluster, and exported again to the
// same bytes once the controllers there have done their work; a second import changes nothing. kubectl apply of the same tree on a third cluster
// gives the same once more. It starts three control planes.
func TestProjects(t *testing.T) {
	if testing.Short() {
		t.Skip("starts control planes")
	}
	source, target := begin(t), begin(t)
	if _, err := source.install(t.Context()); err != nil {
		t.Fatal(err)
	}
	dir, first := projects(t, source.client)
	if _, again := projects(t, source.client); cmp.Diff(first, again) != "" {
		t.Errorf("a second export of the same state: %s", cmp.Diff(first, again))
	}
	if len(first) < 200 {
		t.Errorf("only %d files", len(first))
	}
	rep := bringIn(t, target.client, dir)
	if rep.Counts[report.Created] != len(first) {
		t.Errorf("%d manifests: %v", len(first), rep.Counts)
	}
	if _, err := target.settle(t.Context()); err != nil {
		t.Fatal(err)
	}
	_, there := projects(t, target.client)
	if diff := cmp.Diff(first, there); diff != "" {
		t.Errorf("after the journey: -before +after:\n%s", diff)
	}
	if rep := bringIn(t, target.client, dir); rep.Counts[report.Unchanged] != len(first) {
		t.Errorf("a second import of %d manifests: %v", len(first), rep.Counts)
	}

	third := clustertest.Start(t, clustertest.Options{UnsafeNoFsync: true})
	for _, args := range [][]string{
		{"apply", "-R", "-f", filepath.Join(dir, "cluster")},
		{"wait", "--for=condition=established", "crd", "--all"},
		{"apply", "-R", "-f", dir},
	} {
		if out, err := third.Kubectl(t.Context(), args...).CombinedOutput(); err != nil {
			t.Fatalf("kubectl %q: %v: %s", args, err, out)
		}
	}
	client, err := cluster.Open(cluster.Options{Kubeconfig: third.Kubeconfig()})
	if err != nil {
		t.Fatal(err)
	}
	if _, applied := projects(t, client); cmp.Diff(first, applied) != "" {
		t.Errorf("as kubectl applied it: -before +after:\n%s", cmp.Diff(first, applied))
	}
}

// begin is a demo with a cluster and nothing in it.
func begin(t *testing.T) *demo {
	t.Helper()
	d := &demo{out: io.Discard, dir: t.TempDir()}
	if _, err := d.start(t.Context()); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := d.cluster.Close(); err != nil {
			t.Error(err)
		}
	})
	return d
}

// projects exports the namespaces of the sample, with what they need, into a folder.
func projects(t *testing.T, c *cluster.Client) (string, map[string]string) {
	t.Helper()
	dir := t.TempDir()
	tree, err := export.OpenTree(dir)
	if err != nil {
		t.Fatal(err)
	}
	o := export.Options{Scope: export.Scope{Namespaces: namespaces()}, WithCluster: true}
	result, err := export.Run(t.Context(), &export.Cluster{Client: c}, tree, o)
	if err != nil {
		t.Fatal(err)
	}
	if err := tree.Close(); err != nil {
		t.Fatal(err)
	}
	if len(result.Problems) > 0 {
		t.Error(result.Problems)
	}
	files := map[string]string{}
	err = fs.WalkDir(os.DirFS(dir), ".", func(name string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		data, err := os.ReadFile(filepath.Join(dir, name))
		files[name] = string(data)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return dir, files
}

func bringIn(t *testing.T, c *cluster.Client, dir string) *report.Report {
	t.Helper()
	docs, err := export.ReadManifests(dir, nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	rep, err := (&export.Importer{Target: c}).Run(t.Context(), docs, export.ImportOptions{})
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
