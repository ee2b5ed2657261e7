// SPDX-License-Identifier: Apache-2.0

package modify_test

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	appsv1 "k8s.io/api/apps/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"sigs.k8s.io/yaml"

	"hozon.dev/hozon/internal/fail"
	"hozon.dev/hozon/internal/object"
	"hozon.dev/hozon/internal/plan/modify"
)

func types(gvk schema.GroupVersionKind) (any, error) {
	if gvk.Kind == "Deployment" {
		return &appsv1.Deployment{}, nil
	}
	return nil, fail.Errorf(fail.Unsupported, "%s is no built-in kind", gvk.Kind)
}

func rules(t *testing.T, text string) *modify.Rules {
	t.Helper()
	r, err := modify.Parse(map[string]string{"rules.yaml": text}, types)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

const head = "version: v1\nresourceModifierRules:\n"

// TestApply: each case is a rule, an object and what becomes of it.
func TestApply(t *testing.T) {
	const config = `{apiVersion: v1, kind: ConfigMap, metadata: {name: a, namespace: shop, labels: {tier: db}}, data: {one: "1", url: old, gone: x}}`
	const deployment = `{apiVersion: apps/v1, kind: Deployment, metadata: {name: web, namespace: shop}, spec: {replicas: 3, template: {spec: {containers: [{name: a, image: "a:1"}, {name: b, image: "b:1"}]}}}}`
	const custom = `{apiVersion: example.com/v1, kind: Gear, metadata: {name: g, namespace: shop}, spec: {size: 3}}`
	cases := []struct{ name, rules, object, want string }{
		{"json patch, kinds of values", `- conditions: {groupResource: configmaps}
  patches:
  - {operation: replace, path: /data/url, value: new.example.com}
  - {operation: remove, path: /data/gone}
  - {operation: add, path: /data/text, value: "\"7\""}
  - {operation: copy, from: /data/one, path: /data/two}
  - {operation: add, path: /immutable, value: "true"}`, config,
			`{apiVersion: v1, kind: ConfigMap, metadata: {name: a, namespace: shop, labels: {tier: db}}, data: {one: "1", two: "1", url: new.example.com, text: "7"}, immutable: true}`},
		{"a number stays a number, lists and objects", `- conditions: {groupResource: deployments.apps}
  patches:
  - {operation: replace, path: /spec/replicas, value: "5"}
  - {operation: replace, path: /spec/template/spec/containers, value: "[]"}`, deployment,
			`{apiVersion: apps/v1, kind: Deployment, metadata: {name: web, namespace: shop}, spec: {replicas: 5, template: {spec: {containers: []}}}}`},
		{"a test that fails skips the rule, not the next", `- conditions: {groupResource: configmaps}
  patches: [{operation: test, path: /data/url, value: other}, {operation: remove, path: /data/url}]
- conditions: {groupResource: configmaps}
  patches: [{operation: remove, path: /data/gone}]`, config,
			`{apiVersion: v1, kind: ConfigMap, metadata: {name: a, namespace: shop, labels: {tier: db}}, data: {one: "1", url: old}}`},
		{"conditions look at the object before any rule", `- conditions: {groupResource: configmaps}
  mergePatches: [{patchData: "data: {url: new, gone: null}"}]
- conditions: {groupResource: configmaps, matches: [{path: /data/url, value: old}]}
  mergePatches: [{patchData: '{"data":{"second":"yes"}}'}]
- conditions: {groupResource: configmaps, matches: [{path: /data/url, value: new}]}
  mergePatches: [{patchData: '{"data":{"third":"no"}}'}]`, config,
			`{apiVersion: v1, kind: ConfigMap, metadata: {name: a, namespace: shop, labels: {tier: db}}, data: {one: "1", url: new, second: "yes"}}`},
		{"namespaces, names and labels", `- conditions: {groupResource: configmaps, namespaces: ["sh*"], resourceNameRegex: "^a$", labelSelector: {matchLabels: {tier: db}}}
  mergePatches: [{patchData: "data: {hit: \"1\"}"}]
- conditions: {groupResource: configmaps, namespaces: [other]}
  mergePatches: [{patchData: "data: {miss: \"1\"}"}]
- conditions: {groupResource: configmaps, resourceNameRegex: b}
  mergePatches: [{patchData: "data: {miss: \"1\"}"}]
- conditions: {groupResource: configmaps, labelSelector: {matchLabels: {tier: web}}}
  mergePatches: [{patchData: "data: {miss: \"1\"}"}]`, config,
			`{apiVersion: v1, kind: ConfigMap, metadata: {name: a, namespace: shop, labels: {tier: db}}, data: {one: "1", url: old, gone: x, hit: "1"}}`},
		{"strategic merge keeps the other containers", `- conditions: {groupResource: "deployments.*"}
  strategicPatches: [{patchData: "spec: {template: {spec: {containers: [{name: b, image: mirror/b}]}}}"}]`, deployment,
			`{apiVersion: apps/v1, kind: Deployment, metadata: {name: web, namespace: shop}, spec: {replicas: 3, template: {spec: {containers: [{name: b, image: mirror/b}, {name: a, image: "a:1"}]}}}}`},
		{"a star is one part of the name", `- conditions: {groupResource: "*"}
  mergePatches: [{patchData: "spec: {size: 4}"}]`, custom, custom},
	}
	for _, tc := range cases {
		t.Run(tc.name, func(t *testing.T) {
			o, want := parse(t, tc.object), parse(t, tc.want)
			if err := rules(t, head+tc.rules).Apply(o, refOf(o)); err != nil {
				t.Fatal(err)
			}
			sorted(o)
			sorted(want)
			if d := cmp.Diff(want.Object, o.Object); d != "" {
				t.Errorf("(-want +got):\n%s", d)
			}
		})
	}
}

// sorted orders containers by name: a strategic merge does not keep their order.
func sorted(o *unstructured.Unstructured) {
	list, found, _ := unstructured.NestedSlice(o.Object, "spec", "template", "spec", "containers")
	if found && len(list) == 2 && list[0].(map[string]any)["name"].(string) > list[1].(map[string]any)["name"].(string) {
		list[0], list[1] = list[1], list[0]
		_ = unstructured.SetNestedSlice(o.Object, list, "spec", "template", "spec", "containers")
	}
}

func parse(t *testing.T, text string) *unstructured.Unstructured {
	t.Helper()
	body, err := yaml.YAMLToJSON([]byte(text))
	if err != nil {
		t.Fatal(err)
	}
	o := &unstructured.Unstructured{}
	if err := o.UnmarshalJSON(body); err != nil {
		t.Fatal(err)
	}
	return o
}

func refOf(o *unstructured.Unstructured) object.Ref {
	return object.Ref{Group: o.GroupVersionKind().Group, Resource: strings.ToLower(o.GetKind()) + "s", Namespace: o.GetNamespace(), Name: o.GetName()}
}

// TestApplyErrors: what cannot be done to an object is an error of that object.
func TestApplyErrors(t *testing.T) {
	for want, text := range map[string]string{
		"line 3": `- conditions: {groupResource: configmaps}
  patches: [{operation: remove, path: /data/none}]`,
		"built-in kinds": `- conditions: {groupResource: configmaps}
  strategicPatches: [{patchData: "data: {a: b}"}]`,
		"namespace mapping": `- conditions: {groupResource: configmaps}
  mergePatches: [{patchData: "metadata: {name: other}"}]`,
	} {
		o := parse(t, `{apiVersion: v1, kind: ConfigMap, metadata: {name: a, namespace: shop}, data: {a: b}}`)
		before := o.DeepCopy()
		err := rules(t, head+text).Apply(o, refOf(o))
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("error %v, want one with %q", err, want)
		}
		if d := cmp.Diff(before.Object, o.Object); d != "" {
			t.Errorf("%s: the object was changed all the same: %s", want, d)
		}
	}
}

// TestIdle: a rule whose test fails everywhere is told of, one whose test fails somewhere is not.
func TestIdle(t *testing.T) {
	r := rules(t, head+`- conditions: {groupResource: configmaps}
  patches: [{operation: test, path: /data/a, value: b}, {operation: replace, path: /data/a, value: c}]
- conditions: {groupResource: configmaps}
  patches: [{operation: test, path: /data/a, value: never}, {operation: replace, path: /data/a, value: d}]
- conditions: {groupResource: secrets}
  patches: [{operation: test, path: /data/a, value: never}]`)
	for _, value := range []string{"b", "other"} {
		o := parse(t, `{apiVersion: v1, kind: ConfigMap, metadata: {name: a, namespace: shop}, data: {a: `+value+`}}`)
		if err := r.Apply(o, refOf(o)); err != nil {
			t.Fatal(err)
		}
	}
	if got := r.Idle(); len(got) != 1 || !strings.HasPrefix(got[0], "line 5: a test of the JSON patch failed") {
		t.Errorf("%q", got)
	}
}

// TestParseErrors: what is not understood is refused with key, line and what was expected.
func TestParseErrors(t *testing.T) {
	const ok = "- conditions: {groupResource: pods}\n"
	for name, tc := range map[string]struct{ text, want string }{
		"no YAML":           {"a: [", "key rules.yaml, line 1: "},
		"empty":             {"", "key rules.yaml, line 1: it is empty; expected version"},
		"version":           {"version: v2\nresourceModifierRules: []", "expected version: v1"},
		"no rules":          {"version: v1", "resourceModifierRules is missing"},
		"unknown field":     {head + ok + "  patchez: []", `line 4: unknown field "patchez"; expected conditions, patches`},
		"twice":             {head + ok + "  patches: []\n  patches: []", "there twice"},
		"no conditions":     {head + "- patches: [{operation: remove, path: /a}]", "line 3: conditions is missing"},
		"no groupResource":  {head + "- conditions: {namespaces: [a]}", "conditions.groupResource is missing"},
		"bad glob":          {head + "- conditions: {groupResource: \"[\"}", "line 3: groupResource \"[\" is no pattern"},
		"bad regexp":        {head + "- conditions:\n    groupResource: pods\n    resourceNameRegex: \"(\"", "line 5: resourceNameRegex: error parsing regexp"},
		"bad selector":      {head + "- conditions: {groupResource: pods, labelSelector: {matchLabel: {a: b}}}", "expected matchLabels"},
		"no patches":        {head + ok, "the rule has 0 kinds of patches"},
		"two kinds":         {head + ok + "  patches: [{operation: remove, path: /a}]\n  mergePatches: [{patchData: \"a: b\"}]", "the rule has 2 kinds"},
		"unknown operation": {head + ok + "  patches:\n  - {operation: delete, path: /a}", "line 5: operation \"delete\" is unknown; expected one of add"},
		"no pointer":        {head + ok + "  patches: [{operation: remove, path: a}]", "no JSON pointer"},
		"from":              {head + ok + "  patches: [{operation: move, path: /a}]", "expected a JSON pointer for move"},
		"no patchData":      {head + ok + "  mergePatches: [{}]", "patchData is missing"},
		"bad patchData":     {head + ok + "  mergePatches: [{patchData: \"[a]\"}]", "patchData is no object"},
	} {
		_, err := modify.Parse(map[string]string{"rules.yaml": tc.text}, types)
		if !fail.Is(err, fail.Invalid) || !strings.Contains(err.Error(), tc.want) {
			t.Errorf("%s: %v, want %q", name, err, tc.want)
		}
	}
	if _, err := modify.Parse(map[string]string{"a": "", "b": ""}, types); !fail.Is(err, fail.Invalid) || !strings.Contains(err.Error(), "2 keys") {
		t.Errorf("two keys: %v", err)
	}
}

// FuzzParse: whatever a ConfigMap holds, it is refused or it can be applied without a panic.
func FuzzParse(f *testing.F) {
	f.Add(head + "- conditions: {groupResource: configmaps}\n  patches: [{operation: add, path: /data/a, value: b}]")
	f.Add(head + "- conditions: {groupResource: \"*\", matches: [{path: /data, value: \"{}\"}]}\n  mergePatches: [{patchData: \"data: {a: b}\"}]")
	f.Fuzz(func(t *testing.T, text string) {
		r, err := modify.Parse(map[string]string{"k": text}, types)
		if err != nil {
			return
		}
		o := parse(t, `{apiVersion: v1, kind: ConfigMap, metadata: {name: a, namespace: shop}, data: {a: b}}`)
		_ = r.Apply(o, refOf(o)) // an error is fine
	})
}
