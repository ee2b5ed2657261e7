// SPDX-License-Identifier: Apache-2.0

package export_test

import (
	"io/fs"
	"os"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"

	"hozon.dev/hozon/internal/blob/open"
	"hozon.dev/hozon/internal/cluster"
	"hozon.dev/hozon/internal/cluster/clustertest"
	"hozon.dev/hozon/internal/export"
	"hozon.dev/hozon/internal/report"
	"hozon.dev/hozon/internal/store"
)

func TestMain(m *testing.M) { clustertest.Main(m) }

// fixture is a backup that the real Velero wrote.
func fixture(t *testing.T, folder, name string) *export.Backup {
	t.Helper()
	bucket, err := open.Bucket(t.Context(), filepath.Join("../../../shared/fixtures", folder, "bucket"), open.Options{})
	if err != nil {
		t.Fatalf("the reference data is not beside the repository: %v", err)
	}
	s, err := store.Open(t.Context(), bucket)
	if err != nil {
		t.Fatal(err)
	}
	return &export.Backup{Store: s, Name: name}
}

// take exports into a folder and returns it with its files.
func take(t *testing.T, from export.Source, o export.Options) (string, map[string]string, export.Result) {
	t.Helper()
	dir := t.TempDir()
	tree, err := export.OpenTree(dir)
	if err != nil {
		t.Fatal(err)
	}
	result, err := export.Run(t.Context(), from, tree, o)
	if err != nil {
		t.Fatal(err)
	}
	if err := tree.Close(); err != nil {
		t.Fatal(err)
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
	return dir, files, result
}

// TestFixture: what Velero saved of three namespaces is exported, imported into an empty cluster, and exported from there to the same bytes. Of
// the webhook that Velero's backup holds nothing is exported: it belongs to no namespace, and none needs it.
func TestFixture(t *testing.T) {
	o := export.Options{Scope: export.Scope{Namespaces: []string{"shop", "shop-data", "tools"}}, WithCluster: true}
	own := clustertest.Start(t, clustertest.Options{UnsafeNoFsync: true})
	c, err := cluster.Open(cluster.Options{Kubeconfig: own.Kubeconfig()})
	if err != nil {
		t.Fatal(err)
	}
	dir, files, result := take(t, fixture(t, "plain", "full"), o)
	if len(result.Problems) > 0 || len(files) < 50 {
		t.Errorf("%d files, problems: %v", len(files), result.Problems)
	}
	docs, err := export.ReadManifests(dir, nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	rep, err := (&export.Importer{Target: c}).Run(t.Context(), docs, export.ImportOptions{Atomic: true})
	for it := range rep.Items.All() {
		if it.Action != report.Created {
			t.Errorf("%s %s: %s", it.Action, it.Ref, it.Reason)
		}
	}
	if err != nil {
		t.Fatal(err)
	}
	_, again, _ := take(t, &export.Cluster{Client: c}, o)
	if diff := cmp.Diff(files, again); diff != "" {
		t.Errorf("-from the backup +from the cluster:\n%s", diff)
	}
}
