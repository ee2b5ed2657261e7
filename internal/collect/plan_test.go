// SPDX-License-Identifier: Apache-2.0

package collect

import (
	"slices"
	"strings"
	"testing"

	velerov1 "hozon.dev/hozon/api/velero/v1"
	"hozon.dev/hozon/internal/filter"
	"hozon.dev/hozon/internal/object"
)

func TestOutside(t *testing.T) {
	tests := []struct{ rv, from, to, want string }{
		{"10", "10", "10", ""},
		{"15", "10", "20", ""},
		{"9", "10", "20", "stored elsewhere"},
		{"21", "10", "20", "stored elsewhere"},
		{"99", "100", "1000", "stored elsewhere"}, // numbers, not texts
		{"", "10", "20", "no resource versions"},
		{"x", "10", "20", "is no number"},
	}
	for _, tt := range tests {
		if got := outside(tt.rv, tt.from, tt.to); got != tt.want && (tt.want == "" || !strings.Contains(got, tt.want)) {
			t.Errorf("outside(%s, %s, %s) = %q, want %q", tt.rv, tt.from, tt.to, got, tt.want)
		}
	}
}

func TestLimits(t *testing.T) {
	for item, want := range map[int]int{0: 1000, 100: 1000, 2 << 10: 1000, 8 << 10: 256, 1 << 20: 10} {
		if got := firstLimit(item); got != want {
			t.Errorf("first page of items of %d bytes: %d, want %d", item, got, want)
		}
	}
	tests := []struct {
		bytes int64
		items int
		want  int
	}{{0, 0, 1000}, {1 << 20, 1000, 2000}, {2 << 20, 1000, 1000}, {4 << 20, 1000, 500}, {1 << 30, 1000, 10}}
	for _, tt := range tests {
		if got := nextLimit(tt.bytes, tt.items); got != tt.want {
			t.Errorf("after %d items in %d bytes: %d, want %d", tt.items, tt.bytes, got, tt.want)
		}
	}
}

func TestListable(t *testing.T) {
	all := []string{"create", "delete", "get", "list"}
	types := []object.Type{
		{Resource: "events", Verbs: all},
		{Group: "events.k8s.io", Resource: "events", Verbs: all},
		{Group: "extensions", Resource: "deployments", Verbs: all},
		{Group: "apps", Resource: "deployments", Verbs: all},
		{Group: "extensions", Resource: "networkpolicies", Verbs: all}, // the other group is not served
		{Group: "example.com", Resource: "events", Verbs: all},         // somebody else's
		{Resource: "componentstatuses", Verbs: []string{"get", "list"}},
	}
	var got []string
	for _, x := range listable(types) {
		got = append(got, x.GroupResource())
	}
	want := []string{"events", "deployments.apps", "networkpolicies.extensions", "events.example.com"}
	if !slices.Equal(got, want) {
		t.Errorf("%v, want %v", got, want)
	}
}

func TestScopes(t *testing.T) {
	pods := object.Type{Version: "v1", Resource: "pods", Namespaced: true}
	nodes := object.Type{Version: "v1", Resource: "nodes"}
	var cluster []filter.Namespace
	for _, name := range []string{"a", "b", "c", "d", "e"} {
		cluster = append(cluster, filter.Namespace{Name: name, Active: true})
	}
	tests := []struct {
		name    string
		include []string
		probe   probed
		want    []string
	}{
		{"everything", []string{"*"}, probed{t: pods, size: 9999}, nil},
		{"few of many objects", []string{"a", "b"}, probed{t: pods, size: 9999}, []string{"a", "b"}},
		{"few of few objects", []string{"a", "b"}, probed{t: pods, size: 99}, nil},
		{"most", []string{"a", "b", "c", "d"}, probed{t: pods, size: 9999}, nil},
		{"not in namespaces", []string{"a"}, probed{t: nodes, size: 9999}, nil},
		{"denied", []string{"*"}, probed{t: pods, denied: true}, []string{"a", "b", "c", "d", "e"}},
	}
	for _, tt := range tests {
		f, err := filter.ForBackup(velerov1.BackupSpec{IncludedNamespaces: tt.include}, []object.Type{pods, nodes}, cluster)
		if err != nil {
			t.Fatal(err)
		}
		r := &run{req: Request{Filter: f}}
		if got := r.scopes(tt.probe); !slices.Equal(got, tt.want) {
			t.Errorf("%s: %v, want %v", tt.name, got, tt.want)
		}
	}
}
