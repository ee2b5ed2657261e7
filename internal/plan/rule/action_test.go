// SPDX-License-Identifier: Apache-2.0

package rule_test

import (
	"encoding/json"
	"flag"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/rogpeppe/go-internal/txtar"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	utiljson "k8s.io/apimachinery/pkg/util/json"
	"sigs.k8s.io/yaml"

	"hozon.dev/hozon/internal/object"
	"hozon.dev/hozon/internal/plan/rule"
)

var update = flag.Bool("update", false, "write what comes out into the golden files")

// actions are Velero's built-in item actions, by what they act on and their names, with where ours is shown to do the same: a file of testdata/action (objects as they were
// saved, and as they are restored), one of package relate (objects, and what comes along), or another test.
var actions = map[string]string{
	"backup velero.io/pv":                                  "relate pv",
	"backup velero.io/pod":                                 "relate pod",
	"backup velero.io/service-account":                     "relate service-account",
	"backup velero.io/crd-remap-version":                   "action crd-remap-version",
	"backup velero.io/csi-pvc-backupper":                   "none", // snapshots by CSI are not taken: doc/compat.md
	"backup velero.io/csi-volumesnapshot-backupper":        "none",
	"backup velero.io/csi-volumesnapshotcontent-backupper": "none",
	"backup velero.io/csi-volumesnapshotclass-backupper":   "none",
	"block velero.io/pvc":                                  "relate pvc",
	"block velero.io/pod":                                  "relate pod",
	"block velero.io/service-account":                      "relate service-account",
	"restore velero.io/job":                                "action job",
	"restore velero.io/pod":                                "action pod",
	"restore velero.io/pod-volume-restore":                 "test ../../restore TestSavedWaitContainer",
	"restore velero.io/init-restore-hook":                  "test ../../hook TestInsert",
	"restore velero.io/service":                            "action service",
	"restore velero.io/service-account":                    "action service-account",
	"restore velero.io/add-pvc-from-pod":                   "action add-pvc-from-pod",
	"restore velero.io/change-storage-class":               "action change-storage-class",
	"restore velero.io/change-image-name":                  "action change-image-name",
	"restore velero.io/role-bindings":                      "action role-bindings",
	"restore velero.io/cluster-role-bindings":              "action cluster-role-bindings",
	"restore velero.io/crd-preserve-fields":                "action crd-preserve-fields",
	"restore velero.io/pvc":                                "action pvc",
	"restore velero.io/apiservice":                         "action apiservice",
	"restore velero.io/admission-webhook-configuration":    "action admission-webhook-configuration",
	"restore velero.io/secret":                             "action secret",
	"restore velero.io/dataupload":                         "action dataupload",
	"restore velero.io/csi-pvc-restorer":                   "action csi-pvc-restorer",
	"restore velero.io/csi-volumesnapshot-restorer":        "action csi-volumesnapshot-restorer",
	"restore velero.io/csi-volumesnapshotcontent-restorer": "action csi-volumesnapshotcontent-restorer",
	"restore velero.io/csi-volumesnapshotclass-restorer":   "action csi-volumesnapshotclass-restorer",
	"delete velero.io/dataupload-delete":                   "none",
	"delete velero.io/csi-volumesnapshotcontent-delete":    "none",
}

// TestEveryAction: each of Velero's actions has its golden file, and each file its action.
func TestEveryAction(t *testing.T) {
	named := map[string]bool{}
	for action, proof := range actions {
		words := strings.Fields(proof)
		file := ""
		switch words[0] {
		case "none":
			continue
		case "action":
			file = "testdata/action/" + words[1] + ".txtar"
			named[words[1]] = true
		case "relate":
			file = "../../relate/testdata/" + words[1] + ".txtar"
		case "test":
			files, _ := filepath.Glob(words[1] + "/*_test.go")
			if !slices.ContainsFunc(files, func(f string) bool {
				text, err := os.ReadFile(f)
				return err == nil && strings.Contains(string(text), "func "+words[2]+"(t ")
			}) {
				t.Errorf("%s: no %s in %s", action, words[2], words[1])
			}
			continue
		}
		if _, err := os.Stat(file); err != nil {
			t.Errorf("%s: %v", action, err)
		}
	}
	files, err := filepath.Glob("testdata/action/*.txtar")
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range files {
		if name := strings.TrimSuffix(filepath.Base(f), ".txtar"); !named[name] {
			t.Errorf("%s belongs to no action", f)
		}
	}
}

// TestGoldenActions restores the objects of each file: in.yaml as they were saved, out.yaml as they are made, with what comes along, or why they are not.
func TestGoldenActions(t *testing.T) {
	files, err := filepath.Glob("testdata/action/*.txtar")
	if err != nil || len(files) == 0 {
		t.Fatal(err, "no files")
	}
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".txtar"), func(t *testing.T) {
			a, err := txtar.ParseFile(file)
			if err != nil {
				t.Fatal(err)
			}
			part := map[string]string{}
			for _, f := range a.Files {
				part[f.Name] = string(f.Data)
			}
			var env rule.Env
			if text := part["env.json"]; text != "" {
				if err := json.Unmarshal([]byte(text), &env); err != nil {
					t.Fatal(err)
				}
			}
			var out []string
			for doc := range strings.SplitSeq(part["in.yaml"], "---\n") {
				out = append(out, act(t, doc, env))
			}
			got := strings.Join(out, "---\n")
			if *update {
				a.Files = slices.DeleteFunc(a.Files, func(f txtar.File) bool { return f.Name == "out.yaml" })
				a.Files = append(a.Files, txtar.File{Name: "out.yaml", Data: []byte(got)})
				if err := os.WriteFile(file, txtar.Format(a), 0o644); err != nil {
					t.Fatal(err)
				}
				return
			}
			if diff := cmp.Diff(part["out.yaml"], got); diff != "" {
				t.Errorf("-want +got:\n%s", diff)
			}
		})
	}
}

// act is what a restore makes of one object.
func act(t *testing.T, doc string, env rule.Env) string {
	t.Helper()
	body, err := yaml.YAMLToJSON([]byte(doc))
	if err != nil {
		t.Fatal(err)
	}
	head, err := object.Scan(body)
	if err != nil {
		t.Fatal(err)
	}
	o := &unstructured.Unstructured{}
	if err := utiljson.Unmarshal(body, &o.Object); err != nil {
		t.Fatal(err)
	}
	ref := object.Ref{Group: o.GroupVersionKind().Group, Resource: strings.ToLower(o.GetKind()) + "s", Namespace: head.Namespace, Name: head.Name}
	if ref.Resource = strings.Replace(ref.Resource, "classs", "classes", 1); ref.Group == "apiregistration.k8s.io" {
		ref.Resource = "apiservices"
	}
	traits, err := rule.Inspect(ref, head, body)
	if err != nil {
		t.Fatal(err)
	}
	if traits.Skip != "" {
		return "# not restored: " + traits.Skip + "\n"
	}
	text := ""
	if traits.More != nil {
		for _, need := range traits.More.Needs {
			text += "# comes along: " + need.String() + "\n"
		}
	}
	taken, err := rule.Transform(o, env)
	if err != nil {
		return text + "# failed: " + err.Error() + "\n"
	}
	for _, warning := range slices.Concat(taken.Warnings, taken.Created) {
		text += "# warning: " + warning + "\n"
	}
	labels := o.GetLabels() // those of the restore are on everything
	delete(labels, "velero.io/backup-name")
	delete(labels, "velero.io/restore-name")
	if o.SetLabels(labels); len(labels) == 0 {
		unstructured.RemoveNestedField(o.Object, "metadata", "labels")
	}
	out, err := yaml.Marshal(o.Object)
	if err != nil {
		t.Fatal(err)
	}
	return text + string(out)
}
