// SPDX-License-Identifier: Apache-2.0

// Package compat restores backups that other tools wrote (the reference data beside the repository) into real clusters and
// compares with what those tools made of them.
package compat

import (
	"compress/gzip"
	"context"
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/tools/clientcmd"

	velerov1 "hozon.dev/hozon/api/velero/v1"
	"hozon.dev/hozon/internal/blob/dir"
	"hozon.dev/hozon/internal/cluster"
	"hozon.dev/hozon/internal/cluster/clustertest"
	"hozon.dev/hozon/internal/object"
	"hozon.dev/hozon/internal/report"
	"hozon.dev/hozon/internal/restore"
	"hozon.dev/hozon/internal/store"
)

// fixtures lies beside the repository.
const fixtures = "../../../shared/fixtures"

func readJSON(t *testing.T, v any, elem ...string) {
	t.Helper()
	f, err := os.Open(filepath.Join(append([]string{fixtures}, elem...)...))
	if err != nil {
		t.Fatalf("the reference data must lie in ../shared/fixtures beside the repository: %v", err)
	}
	defer f.Close()
	dec := json.NewDecoder(f)
	if filepath.Ext(elem[len(elem)-1]) == ".gz" {
		gz, err := gzip.NewReader(f)
		if err != nil {
			t.Fatal(err)
		}
		dec = json.NewDecoder(gz)
	}
	if err := dec.Decode(v); err != nil {
		t.Fatal(err)
	}
}

// bucket copies a bucket of the reference data, since a restore writes its records, and opens it.
func bucket(t *testing.T, elem ...string) *store.Store {
	t.Helper()
	folder := t.TempDir()
	if err := os.CopyFS(folder, os.DirFS(filepath.Join(append([]string{fixtures}, elem...)...))); err != nil {
		t.Fatalf("the reference data must lie in ../shared/fixtures beside the repository: %v", err)
	}
	b, err := dir.Open(folder, false)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { b.Close() })
	s, err := store.Open(t.Context(), b)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func client(t *testing.T, c *clustertest.Cluster) *cluster.Client {
	t.Helper()
	cfg, err := clientcmd.BuildConfigFromFlags("", c.Kubeconfig())
	if err != nil {
		t.Fatal(err)
	}
	k, err := cluster.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	return k
}

// run restores.
func run(t *testing.T, k *cluster.Client, s *store.Store, name string, spec velerov1.RestoreSpec, o restore.Options) (restore.Result, error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	engine := restore.Engine{Target: k, Store: s, Now: time.Now}
	return engine.Run(ctx, &velerov1.Restore{ObjectMeta: metav1.ObjectMeta{Name: name}, Spec: spec}, o)
}

// with are the objects with an action, as "apps/v1/Deployment shop/web".
func with(r *report.Report, action report.Action) []string {
	var list []string
	for i := range r.Items.All() {
		if i.Action == action {
			list = append(list, object.Type{Group: i.Ref.Group, Version: i.Version}.GroupVersion()+"/"+i.Kind+" "+i.Ref.ID())
		}
	}
	slices.Sort(list)
	return list
}
