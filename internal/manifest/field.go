// SPDX-License-Identifier: Apache-2.0

package manifest

import (
	"reflect"
	"slices"
	"strings"
)

// mapAt is the map at a dotted path, nil if there is none.
func mapAt(o map[string]any, path string) map[string]any {
	for key := range strings.SplitSeq(path, ".") {
		next, ok := o[key].(map[string]any)
		if !ok {
			return nil
		}
		o = next
	}
	return o
}

// at is the value at a dotted path, nil if there is none.
func at(o map[string]any, path string) any {
	i := strings.LastIndexByte(path, '.')
	if i < 0 {
		return o[path]
	}
	return mapAt(o, path[:i])[path[i+1:]]
}

func textAt(o map[string]any, path string) string {
	s, _ := at(o, path).(string)
	return s
}

// maps are the elements of the list at a dotted path that are objects.
func maps(o map[string]any, path string) []map[string]any {
	list, _ := at(o, path).([]any)
	out := make([]map[string]any, 0, len(list))
	for _, e := range list {
		if m, ok := e.(map[string]any); ok {
			out = append(out, m)
		}
	}
	return out
}

// each calls fn with every map that has the last key of path, which is split at its dots; "*" stands for the elements of a list.
func each(o map[string]any, path []string, fn func(parent map[string]any, key string)) {
	if len(path) == 1 {
		if _, ok := o[path[0]]; ok {
			fn(o, path[0])
		}
		return
	}
	switch next := o[path[0]].(type) {
	case map[string]any:
		each(next, path[1:], fn)
	case []any:
		if path[1] != "*" || len(path) < 3 {
			return
		}
		for _, e := range next {
			if m, ok := e.(map[string]any); ok {
				each(m, path[2:], fn)
			}
		}
	}
}

// dropKeys takes keys, which may have dots, out of the map at path, and the map if nothing else was in it.
func dropKeys(o map[string]any, path string, drop func(key string) bool) {
	i := strings.LastIndexByte(path, '.')
	parent := mapAt(o, path[:i])
	m, ok := parent[path[i+1:]].(map[string]any)
	if !ok {
		return
	}
	for key := range m {
		if drop(key) {
			delete(m, key)
		}
	}
	if len(m) == 0 {
		delete(parent, path[i+1:])
	}
}

func oneOf(keys ...string) func(string) bool {
	return func(key string) bool { return slices.Contains(keys, key) }
}

// groupOf is the API group of an object, and whether it is one of Kubernetes' own.
func groupOf(o map[string]any) (group string, builtin bool) {
	version, _ := o["apiVersion"].(string)
	group, _, grouped := strings.Cut(version, "/")
	if !grouped {
		group = ""
	}
	return group, !strings.Contains(group, ".") || strings.HasSuffix(group, ".k8s.io")
}

// served reports whether the API server of a group knows its kinds by heart, so that null is the same as absent: all but definitions' kinds.
func served(group string, builtin bool) bool {
	name, ok := strings.CutSuffix(group, ".openshift.io")
	return builtin || ok && slices.Contains([]string{"apps", "build", "image", "route", "template", "quota"}, name)
}

// kindOf is "Service" in the core group, "Deployment.apps" elsewhere: as the tables name kinds.
func kindOf(o map[string]any) string {
	kind, _ := o["kind"].(string)
	if group, _ := groupOf(o); group != "" {
		return kind + "." + group
	}
	return kind
}

func equal(a, b any) bool { return reflect.DeepEqual(a, b) }
