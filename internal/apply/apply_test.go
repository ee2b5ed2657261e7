// SPDX-License-Identifier: Apache-2.0

package apply_test

import (
	"context"
	"encoding/json"
	"fmt"
	"path"
	"slices"
	"strings"
	"testing"
	"time"

	"k8s.io/client-go/tools/clientcmd"

	velerov1 "hozon.dev/hozon/api/velero/v1"
	"hozon.dev/hozon/internal/apply"
	"hozon.dev/hozon/internal/cluster"
	"hozon.dev/hozon/internal/cluster/clustertest"
	"hozon.dev/hozon/internal/filter"
	"hozon.dev/hozon/internal/object"
	"hozon.dev/hozon/internal/plan"
	"hozon.dev/hozon/internal/plan/rule"
	"hozon.dev/hozon/internal/report"
)

func TestMain(m *testing.M) { clustertest.Main(m) }

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

// saved is an object as it lay in a backup.
type saved struct {
	entry plan.Entry
	body  []byte
}

// save reads objects of JSON; NS stands for ns.
func save(t *testing.T, ns string, objects ...string) []saved {
	t.Helper()
	var out []saved
	for _, text := range objects {
		body := []byte(strings.ReplaceAll(text, "NS", ns))
		head, err := object.Scan(body)
		if err != nil {
			t.Fatal(err)
		}
		group, version := path.Split(head.APIVersion)
		ref := object.Ref{Group: strings.TrimSuffix(group, "/"), Resource: plural(head.Kind), Namespace: head.Namespace, Name: head.Name}
		traits, err := rule.Inspect(ref, head, body)
		if err != nil {
			t.Fatal(err)
		}
		out = append(out, saved{plan.Entry{Ref: ref, Version: version, Kind: head.Kind, Preferred: true, Matched: true, Traits: traits}, body})
	}
	return out
}

func plural(kind string) string {
	s := strings.ToLower(kind)
	switch {
	case strings.HasSuffix(s, "s"):
		return s + "es"
	case strings.HasSuffix(s, "y"):
		return strings.TrimSuffix(s, "y") + "ies"
	}
	return s + "s"
}

// outcome is a report in the form that these tests compare: "configmaps/ns/a" to "created".
type outcome struct {
	actions  map[string]string
	reasons  map[string]string
	warnings []string
	calls    map[string]int64 // by verb, discovery left out
}

func (o outcome) has(t *testing.T, ref, action string) {
	t.Helper()
	if o.actions[ref] != action {
		t.Errorf("%s is %q (%s), want %q", ref, o.actions[ref], o.reasons[ref], action)
	}
}

// restore plans and applies objects.
func restore(t *testing.T, k *cluster.Client, spec velerov1.RestoreSpec, o apply.Options, objects []saved) outcome {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 90*time.Second)
	defer cancel()
	types, _, err := k.Types(ctx, true)
	if err != nil {
		t.Fatal(err)
	}
	entries := &plan.Entries{}
	for _, s := range objects {
		entries.Add(s.entry)
	}
	spec.BackupName = "b"
	f, err := filter.ForRestore(spec, types)
	if err != nil {
		t.Fatal(err)
	}
	p, err := plan.Build(entries, plan.Request{Spec: spec, Filter: f}, plan.Facts{Types: types})
	if err != nil {
		t.Fatal(err)
	}
	out := outcome{actions: map[string]string{}, reasons: map[string]string{}, calls: map[string]int64{}}
	before := k.Calls()
	o.Target, o.Now, o.Types, o.Policy = k, time.Now, types, spec.ExistingResourcePolicy
	o.Env.Backup, o.Env.Namespaces = "b", spec.NamespaceMapping
	if o.Env.Restore == "" {
		o.Env.Restore = "r"
	}
	o.Outcome = func(i report.Item) {
		ref := strings.ReplaceAll(i.Ref.String(), "\n", " ")
		out.actions[ref], out.reasons[ref] = string(i.Action), i.Reason
		if i.Warning != "" {
			out.warnings = append(out.warnings, i.Warning)
		}
	}
	o.Warn = func(text string) { out.warnings = append(out.warnings, text) }
	run := apply.New(o)
	feed := func(stage *plan.Stage) func(func(apply.Job) error) error {
		return func(do func(apply.Job) error) error {
			for s := range stage.Steps() {
				j := apply.Job{Step: s}
				if s.Item >= 0 {
					j.Entry, j.Body = &objects[s.Item].entry, objects[s.Item].body
				}
				if err := do(j); err != nil {
					return err
				}
			}
			return nil
		}
	}
	for i := range p.Stages {
		if err := run.Stage(ctx, p.Stages[i].Level, feed(&p.Stages[i])); err != nil {
			t.Fatal(err)
		}
	}
	again := func() {
		for again := run.Deferred(); len(again) > 0; again = run.Deferred() {
			if err := run.Again(ctx, feed(p.Only(again))); err != nil {
				t.Fatal(err)
			}
		}
	}
	again()
	for _, s := range p.Within(run.Held(ctx)) {
		if err := run.Stage(ctx, s.Level, feed(&s)); err != nil {
			t.Fatal(err)
		}
	}
	again()
	for _, w := range run.Finish(ctx) {
		out.warnings = append(out.warnings, w.Text)
	}
	slices.Sort(out.warnings)
	for verb, n := range k.Calls() {
		out.calls[verb] = n - before[verb]
	}
	return out
}

// get reads a live object.
func get(t *testing.T, k *cluster.Client, typ object.Type, ns, name string) map[string]any {
	t.Helper()
	body, err := k.Get(t.Context(), typ, ns, name)
	if err != nil {
		t.Fatal(err)
	}
	var o map[string]any
	if err := json.Unmarshal(body, &o); err != nil {
		t.Fatal(err)
	}
	return o
}

// field digs in an object: field(o, "metadata", "labels", "a").
func field(o any, keys ...any) any {
	for _, key := range keys {
		switch k := key.(type) {
		case string:
			m, _ := o.(map[string]any)
			o = m[k]
		case int:
			l, _ := o.([]any)
			if k >= len(l) {
				return nil
			}
			o = l[k]
		}
	}
	return o
}

var configMaps = object.Type{Version: "v1", Resource: "configmaps", Kind: "ConfigMap", Namespaced: true}

func TestCreateKeepsManagedFields(t *testing.T) {
	c := clustertest.Shared(t)
	k, ns := client(t, c), c.Namespace(t)
	objects := save(t, ns, `{"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":"a","namespace":"NS","uid":"old","resourceVersion":"7",
		"creationTimestamp":"2020-01-01T00:00:00Z","labels":{"app":"x"},"finalizers":["example.com/keep","foregroundDeletion"],
		"managedFields":[{"manager":"somebody","operation":"Apply","apiVersion":"v1","time":"2020-01-01T00:00:00Z","fieldsType":"FieldsV1","fieldsV1":{"f:data":{"f:k":{}}}}]},
		"data":{"k":"v"}}`)
	out := restore(t, k, velerov1.RestoreSpec{}, apply.Options{}, objects)
	out.has(t, "configmaps/"+ns+"/a", "created")
	live := get(t, k, configMaps, ns, "a")
	if out.calls["create"] != 2 || out.calls["update"] != 1 || out.calls["total"] != 4 {
		t.Errorf("calls %v; want POST and PUT of the object, POST and GET of the namespace that exists", out.calls)
	}
	if got := field(live, "metadata", "managedFields", 0, "manager"); got != "somebody" {
		t.Errorf("managedFields of the target: %v", field(live, "metadata", "managedFields"))
	}
	if got := field(live, "metadata", "managedFields", 0, "time"); got != "2020-01-01T00:00:00Z" {
		t.Errorf("time in managedFields: %v", got)
	}
	for key, want := range map[string]string{"app": "x", "velero.io/backup-name": "b", "velero.io/restore-name": "r"} {
		if got := field(live, "metadata", "labels", key); got != want {
			t.Errorf("label %s is %v, want %s", key, got, want)
		}
	}
	if got := fmt.Sprint(field(live, "metadata", "finalizers")); got != "[example.com/keep]" {
		t.Errorf("finalizers %v", got)
	}
	if got := field(live, "metadata", "uid"); got == "old" {
		t.Error("the saved UID is back")
	}
}
