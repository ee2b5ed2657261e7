// SPDX-License-Identifier: Apache-2.0

package plan_test

import (
	"bytes"
	"encoding/json"
	"flag"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/rogpeppe/go-internal/txtar"
	"sigs.k8s.io/yaml"

	velerov1 "hozon.dev/hozon/api/velero/v1"
	"hozon.dev/hozon/internal/fail"
	"hozon.dev/hozon/internal/filter"
	"hozon.dev/hozon/internal/object"
	"hozon.dev/hozon/internal/plan"
	"hozon.dev/hozon/internal/plan/rule"
)

var update = flag.Bool("update", false, "write the golden plans anew")

func in(list []string, s string) bool { return slices.Contains(list, s) }

// served is what the targets of these tests serve, but for what a case takes away: path form of group/version/resource.
func served(t *testing.T, entries []plan.Entry, without string) []object.Type {
	var types []object.Type
	for _, e := range entries {
		if gr := e.Ref.GroupResource(); !in(strings.Fields(without), gr) && !in(strings.Fields(without), gr+"/"+e.Version) {
			types = append(types, object.Type{Group: e.Ref.Group, Version: e.Version, Resource: e.Ref.Resource, Kind: e.Kind})
		}
	}
	return types
}

// entriesOf reads objects from a stream of YAML documents; the resource is guessed from the kind as Kubernetes does.
func entriesOf(t *testing.T, data []byte, unmatched string) []plan.Entry {
	t.Helper()
	var entries []plan.Entry
	for _, doc := range bytes.Split(data, []byte("---\n")) {
		if len(bytes.TrimSpace(doc)) == 0 {
			continue
		}
		body, err := yaml.YAMLToJSON(doc)
		if err != nil {
			t.Fatal(err)
		}
		var o struct {
			APIVersion, Kind string
			Metadata         struct{ Name, Namespace string }
		}
		if err := json.Unmarshal(body, &o); err != nil {
			t.Fatal(err)
		}
		group, version := path.Split(o.APIVersion)
		ref := object.Ref{Group: strings.TrimSuffix(group, "/"), Resource: plural(o.Kind), Namespace: o.Metadata.Namespace, Name: o.Metadata.Name}
		head, err := object.Scan(body)
		if err != nil {
			t.Fatal(err)
		}
		traits, err := rule.Inspect(ref, head, body)
		if err != nil {
			t.Fatal(err)
		}
		first := !slices.ContainsFunc(entries, func(e plan.Entry) bool { return e.Ref == ref })
		entries = append(entries, plan.Entry{
			Ref: ref, Version: version, Kind: o.Kind, Preferred: first, Traits: traits,
			Matched: !in(strings.Fields(unmatched), ref.String()),
		})
	}
	return entries
}

func plural(kind string) string {
	s := strings.ToLower(kind)
	switch {
	case strings.HasSuffix(s, "endpoints"):
		return s
	case strings.HasSuffix(s, "y"):
		return strings.TrimSuffix(s, "y") + "ies"
	case strings.HasSuffix(s, "s"):
		return s + "es"
	}
	return s + "s"
}

// TestPlans builds each testdata/*.txtar: objects.yaml (the backup), spec.yaml (the Restore's spec), optionally unserved (kinds that the
// target lacks, or one version of them), unmatched (objects that the selectors leave out) and templates (workloads that exist with another template),
// against plan.txt or error.txt.
func TestPlans(t *testing.T) {
	files, err := filepath.Glob("testdata/*.txtar")
	if err != nil || len(files) == 0 {
		t.Fatal("no golden plans", err)
	}
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".txtar"), func(t *testing.T) {
			archive, err := txtar.ParseFile(file)
			if err != nil {
				t.Fatal(err)
			}
			part := map[string][]byte{}
			for _, f := range archive.Files {
				part[f.Name] = f.Data
			}
			name, got := build(t, part)
			if *update {
				replace(archive, name, got)
				if err := os.WriteFile(file, txtar.Format(archive), 0o644); err != nil {
					t.Fatal(err)
				}
				return
			}
			if d := cmp.Diff(string(part[name]), got); d != "" {
				t.Errorf("%s (-want +got):\n%s", name, d)
			}
		})
	}
}

func build(t *testing.T, part map[string][]byte) (name, text string) {
	t.Helper()
	var spec velerov1.RestoreSpec
	if err := yaml.UnmarshalStrict(part["spec.yaml"], &spec); err != nil {
		t.Fatal(err)
	}
	spec.BackupName = "b"
	entries := entriesOf(t, part["objects.yaml"], string(part["unmatched"]))
	facts := plan.Facts{Types: served(t, entries, string(part["unserved"])), Templates: map[object.Ref]plan.Template{}}
	for _, e := range entries {
		if in(strings.Fields(string(part["templates"])), e.Ref.String()) {
			facts.Templates[e.Ref] = plan.Template{Template: 1}
			if more := e.Traits.More; more != nil {
				facts.Templates[e.Ref] = plan.Template{Template: 1, Selector: more.Selector}
			}
		}
	}
	for i, t := range facts.Types {
		facts.Types[i].Preferred = in(strings.Fields(string(part["favourites"])), t.GroupResource()+"/"+t.Version)
	}
	for name := range strings.FieldsSeq(string(part["aggregated"])) {
		group, version, _ := strings.Cut(name, "/")
		facts.Aggregated = append(facts.Aggregated, plan.GroupVersion{Group: group, Version: version})
	}
	types := slices.Clone(facts.Types)
	for _, e := range entries {
		types = append(types, object.Type{Group: e.Ref.Group, Version: e.Version, Resource: e.Ref.Resource, Kind: e.Kind, Namespaced: e.Ref.Namespace != ""})
	}
	f, err := filter.ForRestore(spec, types)
	if err != nil {
		t.Fatal(err)
	}
	packed := &plan.Entries{}
	for _, e := range entries {
		packed.Add(e)
	}
	p, err := plan.Build(packed, plan.Request{Spec: spec, Filter: f, Volumes: set(part["snapshots"]), Anew: set(part["anew"]), Versions: versions(part["versions"])}, facts)
	if err != nil {
		if !fail.Is(err, fail.Invalid) {
			t.Errorf("error %v is of kind %v", err, fail.Of(err))
		}
		return "error.txt", err.Error() + "\n"
	}
	var out strings.Builder
	if err := p.Write(&out); err != nil {
		t.Fatal(err)
	}
	return "plan.txt", out.String()
}

func set(names []byte) map[string]bool {
	out := map[string]bool{}
	for _, name := range strings.Fields(string(names)) {
		out[name] = true
	}
	return out
}

// versions reads "gears.example.com v2 v1" lines; with any text the target's preference counts.
func versions(text []byte) plan.Versions {
	v := plan.Versions{ByTarget: len(text) > 0, Order: map[string][]string{}}
	for line := range strings.Lines(string(text)) {
		if words := strings.Fields(line); len(words) > 1 {
			v.Order[words[0]] = words[1:]
		}
	}
	return v
}

func replace(a *txtar.Archive, name, text string) {
	for i := range a.Files {
		if a.Files[i].Name == name {
			a.Files[i].Data = []byte(text)
			return
		}
	}
	a.Files = append(a.Files, txtar.File{Name: name, Data: []byte(text)})
}
