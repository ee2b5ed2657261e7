// SPDX-License-Identifier: Apache-2.0

package modify

import (
	"encoding/json"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"

	jsonpatch "github.com/evanphx/json-patch/v5"
	"github.com/gobwas/glob"
	yaml "go.yaml.in/yaml/v3"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/runtime/schema"
	kyaml "sigs.k8s.io/yaml"

	"hozon.dev/hozon/internal/fail"
)

// Parse reads the data of a ConfigMap, which has to have one key. Errors are fail.Invalid, and name the key, the line, and what was expected.
// types makes an empty object of a built-in kind, for strategic merge patches.
func Parse(data map[string]string, types func(schema.GroupVersionKind) (any, error)) (*Rules, error) {
	if len(data) != 1 {
		return nil, fail.Errorf(fail.Invalid, "it has %d keys %q; expected one, with the rules", len(data), slices.Sorted(maps.Keys(data)))
	}
	for key, text := range data {
		var doc yaml.Node
		err := yaml.Unmarshal([]byte(text), &doc)
		if err == nil {
			var r *Rules
			if r, err = parseAll(&doc); err == nil {
				r.types = types
				return r, nil
			}
		}
		return nil, fail.Errorf(fail.Invalid, "key %s, %s", key, strings.TrimPrefix(err.Error(), "yaml: "))
	}
	return nil, nil
}

// at is an error about a place in the text.
func at(n *yaml.Node, format string, args ...any) error {
	return fmt.Errorf("line %d: %s", n.Line, fmt.Sprintf(format, args...))
}

func parseAll(doc *yaml.Node) (*Rules, error) {
	if len(doc.Content) == 0 {
		return nil, fmt.Errorf("line 1: it is empty; expected version and resourceModifierRules")
	}
	top, err := fields(doc.Content[0], "version", "resourceModifierRules")
	if err != nil {
		return nil, err
	}
	if v := top["version"]; v == nil || v.Value != "v1" {
		return nil, at(doc.Content[0], "version is missing or unknown; expected version: v1")
	}
	list, err := sequence(doc.Content[0], top["resourceModifierRules"], "resourceModifierRules")
	if err != nil {
		return nil, err
	}
	r := &Rules{}
	for _, n := range list {
		one, err := parseRule(n)
		if err != nil {
			return nil, err
		}
		r.rules = append(r.rules, one)
	}
	return r, nil
}

// fields are the values of a mapping, which has no other keys than the known ones.
func fields(n *yaml.Node, known ...string) (map[string]*yaml.Node, error) {
	if n.Kind != yaml.MappingNode {
		return nil, at(n, "expected a mapping with %s", strings.Join(known, ", "))
	}
	out := map[string]*yaml.Node{}
	for i := 0; i+1 < len(n.Content); i += 2 {
		key := n.Content[i]
		if !slices.Contains(known, key.Value) {
			return nil, at(key, "unknown field %q; expected %s", key.Value, strings.Join(known, ", "))
		}
		if out[key.Value] != nil {
			return nil, at(key, "field %q is there twice", key.Value)
		}
		out[key.Value] = n.Content[i+1]
	}
	return out, nil
}

// sequence are the elements of a list that must not be empty.
func sequence(parent, n *yaml.Node, name string) ([]*yaml.Node, error) {
	if n == nil {
		return nil, at(parent, "%s is missing; expected a list", name)
	}
	if n.Kind != yaml.SequenceNode || len(n.Content) == 0 {
		return nil, at(n, "%s is empty or no list; expected a list", name)
	}
	return n.Content, nil
}

func parseRule(n *yaml.Node) (rule, error) {
	r := rule{line: n.Line, selector: labels.Everything(), tests: &tests{}}
	f, err := fields(n, "conditions", "patches", "mergePatches", "strategicPatches")
	if err != nil {
		return r, err
	}
	if f["conditions"] == nil {
		return r, at(n, "conditions is missing; expected at least conditions.groupResource")
	}
	if err := parseConditions(f["conditions"], &r); err != nil {
		return r, err
	}
	kinds := 0
	for _, key := range []string{"patches", "mergePatches", "strategicPatches"} {
		if f[key] == nil {
			continue
		}
		kinds++
		list, err := sequence(n, f[key], key)
		if err != nil {
			return r, err
		}
		switch key {
		case "patches":
			r.patch, err = parsePatch(list)
		case "mergePatches":
			r.merges, err = parseData(list)
		default:
			r.strategic, err = parseData(list)
		}
		if err != nil {
			return r, err
		}
	}
	if kinds != 1 {
		return r, at(n, "the rule has %d kinds of patches; expected exactly one of patches, mergePatches, strategicPatches", kinds)
	}
	return r, nil
}

func parseConditions(n *yaml.Node, r *rule) error {
	f, err := fields(n, "groupResource", "resourceNameRegex", "namespaces", "labelSelector", "matches")
	if err != nil {
		return err
	}
	if g := f["groupResource"]; g == nil || g.Value == "" {
		return at(n, "conditions.groupResource is missing; expected a resource such as deployments.apps")
	}
	if r.resource, err = glob.Compile(f["groupResource"].Value, '.'); err != nil {
		return at(f["groupResource"], "groupResource %q is no pattern: %v", f["groupResource"].Value, err)
	}
	if x := f["resourceNameRegex"]; x != nil && x.Value != "" {
		if r.name, err = regexp.Compile(x.Value); err != nil {
			return at(x, "resourceNameRegex: %v; expected a regular expression", err)
		}
	}
	if err := parseSpaces(f["namespaces"], r); err != nil {
		return err
	}
	if s := f["labelSelector"]; s != nil {
		if r.selector, err = parseSelector(s); err != nil {
			return at(s, "labelSelector: %v; expected matchLabels and matchExpressions", err)
		}
	}
	return parseMatches(f["matches"], r)
}

func parseSpaces(n *yaml.Node, r *rule) error {
	if n == nil {
		return nil
	}
	if n.Kind != yaml.SequenceNode {
		return at(n, "namespaces is no list; expected a list of names or patterns")
	}
	for _, e := range n.Content {
		g, err := glob.Compile(e.Value)
		if err != nil || e.Kind != yaml.ScalarNode || e.Value == "" {
			return at(e, "namespace %q is no pattern; expected a name or a pattern", e.Value)
		}
		r.spaces = append(r.spaces, g)
	}
	return nil
}

func parseSelector(n *yaml.Node) (labels.Selector, error) {
	text, err := yaml.Marshal(n)
	if err != nil {
		return nil, err
	}
	var s metav1.LabelSelector
	if err := kyaml.UnmarshalStrict(text, &s); err != nil {
		return nil, err
	}
	return metav1.LabelSelectorAsSelector(&s)
}

func parseMatches(n *yaml.Node, r *rule) error {
	if n == nil {
		return nil
	}
	list, err := sequence(n, n, "matches")
	if err != nil {
		return err
	}
	var ops []operation
	for _, e := range list {
		f, err := fields(e, "path", "value")
		if err != nil {
			return err
		}
		if f["path"] == nil || !strings.HasPrefix(f["path"].Value, "/") {
			return at(e, "path is missing or no JSON pointer; expected one such as /spec/storageClassName")
		}
		ops = append(ops, operation{Op: "test", Path: f["path"].Value, Value: literal(f["value"])})
	}
	r.matches, err = build(ops)
	return err
}

// operation is one of a JSON patch.
type operation struct {
	Op    string          `json:"op"`
	From  string          `json:"from,omitempty"`
	Path  string          `json:"path"`
	Value json.RawMessage `json:"value,omitempty"`
}

var operations = []string{"add", "remove", "replace", "move", "copy", "test"}

func parsePatch(list []*yaml.Node) (jsonpatch.Patch, error) {
	var ops []operation
	for _, e := range list {
		f, err := fields(e, "operation", "from", "path", "value")
		if err != nil {
			return nil, err
		}
		text := func(key string) string {
			if f[key] == nil {
				return ""
			}
			return f[key].Value
		}
		op := operation{Op: text("operation"), From: text("from"), Path: text("path")}
		switch {
		case !slices.Contains(operations, op.Op):
			return nil, at(e, "operation %q is unknown; expected one of %s", op.Op, strings.Join(operations, ", "))
		case !strings.HasPrefix(op.Path, "/"):
			return nil, at(e, "path %q is no JSON pointer; expected one such as /spec/replicas", op.Path)
		case (op.Op == "move" || op.Op == "copy") != strings.HasPrefix(op.From, "/"):
			return nil, at(e, "from %q with operation %s; expected a JSON pointer for move and copy, and none else", op.From, op.Op)
		case op.Op == "add" || op.Op == "replace" || op.Op == "test":
			op.Value = literal(f["value"])
		}
		ops = append(ops, op)
	}
	return build(ops)
}

func build(ops []operation) (jsonpatch.Patch, error) {
	body, err := json.Marshal(ops)
	if err != nil {
		return nil, err
	}
	return jsonpatch.DecodePatch(body)
}

// literal is a value as Velero reads it: JSON where it is JSON, else text.
func literal(n *yaml.Node) json.RawMessage {
	if n == nil {
		return json.RawMessage(`""`)
	}
	if n.Kind == yaml.ScalarNode {
		if json.Valid([]byte(n.Value)) {
			return json.RawMessage(n.Value)
		}
		quoted, _ := json.Marshal(n.Value) // a string
		return quoted
	}
	var v any
	if n.Decode(&v) == nil {
		if body, err := json.Marshal(v); err == nil {
			return body
		}
	}
	return json.RawMessage(`""`)
}

func parseData(list []*yaml.Node) ([][]byte, error) {
	var out [][]byte
	for _, e := range list {
		f, err := fields(e, "patchData")
		if err != nil {
			return nil, err
		}
		if f["patchData"] == nil || f["patchData"].Value == "" {
			return nil, at(e, "patchData is missing; expected a patch in JSON or YAML")
		}
		body, err := kyaml.YAMLToJSONStrict([]byte(f["patchData"].Value))
		if err != nil {
			return nil, at(f["patchData"], "patchData: %v; expected a patch in JSON or YAML", err)
		}
		if len(body) == 0 || body[0] != '{' {
			return nil, at(f["patchData"], "patchData is no object; expected a patch in JSON or YAML")
		}
		out = append(out, body)
	}
	return out, nil
}
