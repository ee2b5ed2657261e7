// SPDX-License-Identifier: Apache-2.0

package object

import (
	"slices"
	"strings"
)

// Rule is one row of the declared normalisation: something that may differ between two states of the same object.
type Rule struct {
	ID    string // for tests and talk
	Kinds string // "any", or Kind and Kind.group, separated by ", "
	Field string
	Why   string

	status bool // not applied if status counts
	apply  func(a, b map[string]any)
}

// Rules is the declared normalisation in its order of application.
func Rules() []Rule { return slices.Clone(rules) }

func (r Rule) applies(o map[string]any) bool {
	if r.Kinds == "any" {
		return true
	}
	for k := range strings.SplitSeq(r.Kinds, ", ") {
		if isKind(o, k) {
			return true
		}
	}
	return false
}

// isKind compares with "Kind" in the core group or "Kind.group".
func isKind(o map[string]any, name string) bool {
	kind, group, _ := strings.Cut(name, ".")
	version, _ := o["apiVersion"].(string)
	have, _, grouped := strings.Cut(version, "/")
	if !grouped {
		have = ""
	}
	return o["kind"] == kind && have == group
}

var rules = slices.Concat(podRules, networkRules, volumeRules, workloadRules, accessRules, extensionRules, anyRules)

// each makes a rule of what is done to either side alone.
func each(f func(o map[string]any)) func(a, b map[string]any) {
	return func(a, b map[string]any) {
		f(a)
		f(b)
	}
}

// drops makes a rule that takes fields away; a path is dotted, "*" stands for the elements of a list.
func drops(paths ...string) func(a, b map[string]any) {
	return each(func(o map[string]any) {
		for _, p := range paths {
			drop(o, strings.Split(p, "."))
		}
	})
}

// dropsKeys makes a rule that takes keys with dots out of a map.
func dropsKeys(path string, keys ...string) func(a, b map[string]any) {
	return each(func(o map[string]any) { dropKeys(o, path, keys...) })
}

func dropKeys(o map[string]any, path string, keys ...string) {
	for _, k := range keys {
		drop(o, append(strings.Split(path, "."), k))
	}
}

// defaults makes a rule for a field whose absence means value.
func defaults(path string, value any) func(a, b map[string]any) {
	return each(func(o map[string]any) {
		if equalScalar(get(o, path), value) {
			drop(o, strings.Split(path, "."))
		}
	})
}

func all(fs ...func(a, b map[string]any)) func(a, b map[string]any) {
	return func(a, b map[string]any) {
		for _, f := range fs {
			f(a, b)
		}
	}
}

// get is the value at a dotted path, nil if there is none.
func get(o map[string]any, path string) any {
	var v any = o
	for key := range strings.SplitSeq(path, ".") {
		m, ok := v.(map[string]any)
		if !ok {
			return nil
		}
		v = m[key]
	}
	return v
}

func str(o map[string]any, path string) string {
	s, _ := get(o, path).(string)
	return s
}

// objects are the maps in a list at a path.
func objects(o map[string]any, path string) []map[string]any {
	list, _ := get(o, path).([]any)
	var out []map[string]any
	for _, e := range list {
		if m, ok := e.(map[string]any); ok {
			out = append(out, m)
		}
	}
	return out
}

// drop deletes what is at path, and then the maps on the way that are empty, whoever emptied them: so both sides end alike.
func drop(o map[string]any, path []string) {
	if len(path) == 1 {
		delete(o, path[0])
		return
	}
	switch next := o[path[0]].(type) {
	case map[string]any:
		drop(next, path[1:])
		if len(next) == 0 {
			delete(o, path[0])
		}
	case []any:
		if path[1] != "*" || len(path) < 3 {
			return
		}
		for _, e := range next {
			if m, ok := e.(map[string]any); ok {
				drop(m, path[2:])
			}
		}
	}
}

// keep filters the list at a path and deletes the list if it is empty then.
func keep(o map[string]any, path string, f func(any) bool) {
	parent, last := o, path
	if i := strings.LastIndexByte(path, '.'); i >= 0 {
		parent, _ = get(o, path[:i]).(map[string]any)
		last = path[i+1:]
	}
	list, ok := parent[last].([]any)
	if !ok {
		return
	}
	var out []any
	for _, e := range list {
		if f(e) {
			out = append(out, e)
		}
	}
	if parent[last] = out; len(out) == 0 {
		delete(parent, last)
	}
}
