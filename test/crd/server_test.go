// SPDX-License-Identifier: Apache-2.0

package crd

import (
	"encoding/json"
	"fmt"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"
	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/tools/clientcmd"

	"hozon.dev/hozon/internal/cluster"
	"hozon.dev/hozon/internal/cluster/clustertest"
	"hozon.dev/hozon/internal/fail"
	"hozon.dev/hozon/internal/object"
	"hozon.dev/hozon/test/daemon"
)

var install sync.Once // of the CRDs, in the cluster that the tests share

// server is the shared cluster with our CRDs, established, and a client for it.
func server(t *testing.T) (*clustertest.Cluster, *cluster.Client) {
	t.Helper()
	c := clustertest.Shared(t)
	install.Do(func() {
		root, err := daemon.Root()
		if err != nil {
			t.Fatal(err)
		}
		for _, args := range [][]string{
			{"create", "--validate=strict", "-f", filepath.Join(root, "deploy/crd")},
			{"wait", "--timeout=60s", "--for=condition=Established", "crd", "--all"},
		} {
			if out, err := c.Kubectl(t.Context(), args...).CombinedOutput(); err != nil {
				t.Fatalf("kubectl %s: %v\n%s", args[0], err, out)
			}
		}
	})
	cfg, err := clientcmd.BuildConfigFromFlags("", c.Kubeconfig())
	if err != nil {
		t.Fatal(err)
	}
	k, err := cluster.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	return c, k
}

// strict refuses fields that the CRD does not have.
var strict = cluster.WriteOptions{FieldValidation: "Strict"}

func create(t *testing.T, k *cluster.Client, typ object.Type, ns string, o tree) (tree, error) {
	t.Helper()
	body, err := k.Create(t.Context(), typ, ns, encode(t, o), strict)
	if err != nil {
		return nil, err
	}
	return parse(t, body), nil
}

// bare is o without what the server fills in.
func bare(t *testing.T, o tree) tree {
	t.Helper()
	o = parse(t, encode(t, o))
	meta := o["metadata"].(tree)
	for _, field := range []string{"uid", "resourceVersion", "generation", "creationTimestamp", "managedFields", "namespace", "selfLink", "deletionTimestamp", "deletionGracePeriodSeconds"} {
		delete(meta, field)
	}
	return o
}

// TestEstablished looks at what the server made of the CRDs: nothing is wrong with the schemas, and there is no /status.
func TestEstablished(t *testing.T) {
	c, _ := server(t)
	out, err := c.Kubectl(t.Context(), "get", "crd", "-o", "json").Output()
	if err != nil {
		t.Fatal(err)
	}
	var list apiextensionsv1.CustomResourceDefinitionList
	if err := json.Unmarshal(out, &list); err != nil {
		t.Fatal(err)
	}
	if len(list.Items) != 13 {
		t.Errorf("the server has %d CRDs", len(list.Items))
	}
	for _, crd := range list.Items {
		for _, condition := range crd.Status.Conditions {
			good := condition.Type == apiextensionsv1.Established || condition.Type == apiextensionsv1.NamesAccepted
			if good != (condition.Status == apiextensionsv1.ConditionTrue) {
				t.Errorf("%s is %s=%s: %s", crd.Name, condition.Type, condition.Status, condition.Message)
			}
		}
	}
	for group, want := range map[string]int{"velero.io/v1": 11, "velero.io/v2alpha1": 2} {
		out, err := c.Kubectl(t.Context(), "get", "--raw", "/apis/"+group).Output()
		if err != nil {
			t.Fatal(err)
		}
		resources := parse(t, out)["resources"].([]any)
		if len(resources) != want {
			t.Errorf("%s serves %d resources, not %d kinds without subresources: %v", group, len(resources), want, resources)
		}
	}
}

// TestStored writes what the real program wrote, and objects with every field, into the server and reads them back.
func TestStored(t *testing.T) {
	c, k := server(t)
	all := kinds(t)
	objects := written(t)
	for kind, crd := range all {
		objects["full "+kind] = full(crd)
	}
	ns := c.Namespace(t)
	number := 0
	for where, o := range objects {
		o := bare(t, o)
		number++
		name := "o-" + strconv.Itoa(number) // several backups of the reference data have one name
		o["metadata"].(tree)["name"] = name
		typ := typeOf(all[o["kind"].(string)])
		if _, err := create(t, k, typ, ns, o); err != nil {
			t.Errorf("%s: %v", where, err)
			continue
		}
		body, err := k.Get(t.Context(), typ, ns, name)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(o, bare(t, parse(t, body))); diff != "" {
			t.Errorf("%s (- written, + read):\n%s", where, diff)
		}
		if diff := cmp.Diff(parse(t, body), through(t, scheme(t), parse(t, body))); diff != "" {
			t.Errorf("%s (- read, + through our types):\n%s", where, diff)
		}
	}
}

// TestStatusPatch writes a status as Velero's clients and controllers do: with a merge patch on the object.
func TestStatusPatch(t *testing.T) {
	c, k := server(t)
	ns := c.Namespace(t)
	for kind, crd := range kinds(t) {
		o := full(crd)
		status := o["status"]
		delete(o, "status")
		if _, err := create(t, k, typeOf(crd), ns, o); err != nil {
			t.Fatalf("%s: %v", kind, err)
		}
		body, err := k.Patch(t.Context(), typeOf(crd), ns, "full", types.MergePatchType, encode(t, tree{"status": status}), strict)
		if err != nil {
			t.Fatalf("%s: %v", kind, err)
		}
		if diff := cmp.Diff(status, parse(t, body)["status"]); diff != "" {
			t.Errorf("%s (- patched, + stored):\n%s", kind, diff)
		}
		sub := strict
		sub.Subresource = "status"
		_, err = k.Patch(t.Context(), typeOf(crd), ns, "full", types.MergePatchType, encode(t, tree{"status": status}), sub)
		if fail.Of(err) != fail.NotFound {
			t.Errorf("%s: a patch of the status subresource gave %v", kind, err)
		}
	}
}

// TestRefused sends one wrong value each, in an object that is right otherwise.
func TestRefused(t *testing.T) {
	c, k := server(t)
	ns := c.Namespace(t)
	for _, test := range []struct{ kind, patch, want string }{
		{"Backup", `{"status":{"phase":"Done"}}`, `status.phase: Unsupported value: "Done"`},
		{"Backup", `{"spec":{"hooks":{"resources":[{"name":"a","pre":[{"exec":{"command":["a"],"onError":"Retry"}}]}]}}}`, `Unsupported value: "Retry"`},
		{"Backup", `{"spec":{"hooks":{"resources":[{"name":"a","post":[{"exec":{"command":[]}}]}]}}}`, "should have at least 1 items"},
		{"Backup", `{"spec":{"hooks":{"resources":[{"name":"a","post":[{}]}]}}}`, "exec: Required value"},
		{"Backup", `{"spec":{"includedNamespaces":"all"}}`, "must be of type array"},
		{"Backup", `{"spec":{"ttl":720}}`, "must be of type string"},
		{"Restore", `{"status":{"phase":"Queued"}}`, `Unsupported value: "Queued"`},
		{"Restore", `{"spec":{"hooks":{"resources":[{}]}}}`, "name: Required value"},
		{"Schedule", `{"status":{"phase":"Disabled"}}`, `Unsupported value: "Disabled"`},
		{"Schedule", `{"spec":{"schedule":null}}`, "spec.schedule: Required value"},
		{"BackupStorageLocation", `{"spec":{"accessMode":"WriteOnly"}}`, `Unsupported value: "WriteOnly"`},
		{"BackupStorageLocation", `{"spec":{"objectStorage":null}}`, "spec.objectStorage: Required value"},
		{"BackupStorageLocation", `{"spec":{"objectStorage":{"bucket":null}}}`, "bucket: Required value"},
		{"BackupStorageLocation", `{"status":{"phase":"New"}}`, `Unsupported value: "New"`},
		{"VolumeSnapshotLocation", `{"spec":{"provider":null}}`, "spec.provider: Required value"},
		{"BackupRepository", `{"spec":{"repositoryType":"tar"}}`, `Unsupported value: "tar"`},
		{"BackupRepository", `{"status":{"recentMaintenance":[{"result":"Skipped"}]}}`, `Unsupported value: "Skipped"`},
		{"DeleteBackupRequest", `{"spec":{"backupName":null}}`, "spec.backupName: Required value"},
		{"DownloadRequest", `{"spec":{"target":{"kind":"BackupKey"}}}`, `Unsupported value: "BackupKey"`},
		{"ServerStatusRequest", `{"status":{"plugins":[{"name":"a"}]}}`, "kind: Required value"},
		{"PodVolumeBackup", `{"spec":{"uploaderType":"rsync"}}`, `Unsupported value: "rsync"`},
		{"PodVolumeBackup", `{"status":{"phase":"Cancelled"}}`, `Unsupported value: "Cancelled"`},
		{"PodVolumeRestore", `{"spec":{"snapshotID":null}}`, "spec.snapshotID: Required value"},
		{"DataUpload", `{"status":{"nodeOS":"plan9"}}`, `Unsupported value: "plan9"`},
		{"DataDownload", `{"spec":{"targetVolume":{"pv":null}}}`, "pv: Required value"},
	} {
		crd := kinds(t)[test.kind]
		o := full(crd)
		o["metadata"] = tree{"generateName": "refused-"}
		if _, err := create(t, k, typeOf(crd), ns, o); err != nil {
			t.Fatalf("%s: %v", test.kind, err)
		}
		_, err := create(t, k, typeOf(crd), ns, merge(o, parse(t, []byte(test.patch))))
		if fail.Of(err) != fail.Invalid || !strings.Contains(fmt.Sprint(err), test.want) {
			t.Errorf("%s %s gave %v, not %q", test.kind, test.patch, err, test.want)
		}
	}
}

// merge is a JSON merge patch.
func merge(o, patch tree) tree {
	for key, v := range patch {
		if into, ok := o[key].(tree); ok && v != nil {
			if from, ok := v.(tree); ok {
				o[key] = merge(into, from)
				continue
			}
		}
		if v == nil {
			delete(o, key)
		} else {
			o[key] = v
		}
	}
	return o
}

// TestUnknown pins what becomes of fields that no schema has: they go, but for those of init containers.
func TestUnknown(t *testing.T) {
	c, k := server(t)
	ns := c.Namespace(t)
	crd := kinds(t)["Restore"]
	o := tree{
		"apiVersion": "velero.io/v1", "kind": "Restore", "metadata": tree{"name": "unknown"}, "more": "gone",
		"spec": tree{
			"backupName": "b", "more": "gone",
			"hooks": tree{"resources": []any{tree{"name": "h", "postHooks": []any{
				tree{"init": tree{"initContainers": []any{tree{"name": "c", "more": "kept"}}, "more": "gone"}}}}}},
		},
	}
	body, err := k.Create(t.Context(), typeOf(crd), ns, encode(t, o), cluster.WriteOptions{FieldValidation: "Ignore"})
	if err != nil {
		t.Fatal(err)
	}
	if text := string(body); strings.Contains(text, "gone") || !strings.Contains(text, "kept") {
		t.Errorf("stored: %s", text)
	}
	if _, err := create(t, k, typeOf(crd), ns, merge(o, tree{"metadata": tree{"name": "strict"}})); fail.Of(err) != fail.Invalid {
		t.Errorf("with strict validation: %v", err)
	}
}

// TestDefault is about the one default in the schemas, the name of a Secret. Above all no phase has one.
func TestDefault(t *testing.T) {
	c, k := server(t)
	crd := kinds(t)["BackupStorageLocation"]
	o := full(crd)
	o["status"] = tree{"message": "new"}
	o["spec"].(tree)["credential"] = tree{"key": "cloud"}
	got, err := create(t, k, typeOf(crd), c.Namespace(t), o)
	if err != nil {
		t.Fatal(err)
	}
	o["spec"].(tree)["credential"] = tree{"key": "cloud", "name": ""}
	if diff := cmp.Diff(bare(t, o), bare(t, got)); diff != "" {
		t.Errorf("(- want, + got):\n%s", diff)
	}
}
