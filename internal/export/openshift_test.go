// SPDX-License-Identifier: Apache-2.0

package export_test

import (
	"encoding/json"
	"flag"
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/rogpeppe/go-internal/txtar"
	"k8s.io/apimachinery/pkg/types"

	"hozon.dev/hozon/internal/cluster"
	"hozon.dev/hozon/internal/cluster/clustertest"
	"hozon.dev/hozon/internal/export"
	"hozon.dev/hozon/internal/manifest"
	"hozon.dev/hozon/internal/object"
)

// openShift stands for OpenShift's own API server: definitions of its kinds, without schemas, so that objects are as OpenShift leaves them.
func openShift(t *testing.T) *cluster.Client {
	t.Helper()
	own := clustertest.Start(t, clustertest.Options{UnsafeNoFsync: true})
	for _, kind := range []string{"DeploymentConfig.apps", "BuildConfig.build", "Build.build", "ImageStream.image", "Route.route", "Template.template"} {
		name, group, _ := strings.Cut(kind, ".")
		group += ".openshift.io"
		plural := strings.ToLower(name) + "s"
		cmd := own.Kubectl(t.Context(), "create", "-f", "-")
		cmd.Stdin = strings.NewReader(fmt.Sprintf(`{"apiVersion":"apiextensions.k8s.io/v1","kind":"CustomResourceDefinition","metadata":{"name":"%s.%s"},
"spec":{"group":%q,"scope":"Namespaced","names":{"plural":%q,"kind":%q},"versions":[{"name":"v1","served":true,"storage":true,
"subresources":{"status":{}},"schema":{"openAPIV3Schema":{"type":"object","x-kubernetes-preserve-unknown-fields":true}}}]}}`, plural, group, group, plural, name))
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("%v: %s", err, out)
		}
	}
	if out, err := own.Kubectl(t.Context(), "wait", "--for=condition=established", "crd", "--all").CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	c, err := cluster.Open(cluster.Options{Kubeconfig: own.Kubeconfig()})
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// TestOpenShift: the run-book's project, as OpenShift has it, is exported as somebody would have written it, and what will not travel is said.
// Import into another cluster and export from there gives the same bytes.
func TestOpenShift(t *testing.T) {
	golden, err := txtar.ParseFile("testdata/openshift.txtar")
	if err != nil {
		t.Fatal(err)
	}
	want := map[string]string{}
	for _, f := range golden.Files {
		want[f.Name] = string(f.Data)
	}
	source := openShift(t)
	put(t, source, want["state.yaml"])
	o := export.Options{Scope: export.Scope{Namespaces: []string{"myproject"}}, Images: manifest.ImageMap{"old.example.com/": "new.example.com/"}}
	dir, files, result := take(t, &export.Cluster{Client: source}, o)
	var said, left strings.Builder
	for _, f := range result.Findings {
		fmt.Fprintf(&said, "%s %s: %s: %s\n", f.Kind, f.Object, f.Field, f.Text)
	}
	for _, l := range result.Left {
		fmt.Fprintf(&left, "%s: %s\n", l.Object, l.Reason)
	}
	files["findings"], files["left out"], files["state.yaml"] = said.String(), left.String(), want["state.yaml"]
	if diff := cmp.Diff(want, files); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
	if *update {
		writeGolden(t, files)
	}

	docs, err := export.ReadManifests(dir, nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	target := openShift(t)
	if _, err := (&export.Importer{Target: target}).Run(t.Context(), docs, export.ImportOptions{Atomic: true}); err != nil {
		t.Fatal(err)
	}
	_, again, _ := take(t, &export.Cluster{Client: target}, o)
	for _, name := range []string{"findings", "left out", "state.yaml"} {
		delete(files, name)
	}
	if diff := cmp.Diff(files, again); diff != "" {
		t.Errorf("after the journey: -before +after:\n%s", diff)
	}
}

var update = flag.Bool("update", false, "TestOpenShift writes testdata/openshift.txtar")

func writeGolden(t *testing.T, files map[string]string) {
	t.Helper()
	a := &txtar.Archive{Comment: []byte("The run-book's project: its state on OpenShift, what an export makes of it, what it says, what it leaves out.\n")}
	for _, name := range slices.Sorted(maps.Keys(files)) {
		a.Files = append(a.Files, txtar.File{Name: name, Data: []byte(files[name])})
	}
	if err := os.WriteFile("testdata/openshift.txtar", txtar.Format(a), 0o644); err != nil {
		t.Fatal(err)
	}
}

// put creates objects with their status.
func put(t *testing.T, c *cluster.Client, text string) {
	t.Helper()
	docs, faults := manifest.Parse("state.yaml", []byte(text))
	if len(faults) > 0 {
		t.Fatal(faults)
	}
	all, _, err := c.Types(t.Context(), false)
	if err != nil {
		t.Fatal(err)
	}
	kinds := map[string]object.Type{}
	for _, typ := range all {
		kinds[typ.GroupVersion()+" "+typ.Kind] = typ
	}
	for _, d := range docs {
		body, err := json.Marshal(d.Object)
		if err != nil {
			t.Fatal(err)
		}
		head, err := object.Scan(body)
		if err != nil {
			t.Fatal(err)
		}
		typ := kinds[head.APIVersion+" "+head.Kind]
		if _, err := c.Create(t.Context(), typ, head.Namespace, body, cluster.WriteOptions{FieldManager: "openshift"}); err != nil {
			t.Fatalf("%s %s: %v", head.Kind, head.Name, err)
		}
		status, err := json.Marshal(map[string]any{"status": d.Object["status"]})
		if err != nil {
			t.Fatal(err)
		}
		if d.Object["status"] == nil {
			continue
		}
		if _, err := c.Patch(t.Context(), typ, head.Namespace, head.Name, types.MergePatchType, status, cluster.WriteOptions{Subresource: "status"}); err != nil {
			t.Fatalf("status of %s %s: %v", head.Kind, head.Name, err)
		}
	}
}
