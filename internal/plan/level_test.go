// SPDX-License-Identifier: Apache-2.0

package plan_test

import (
	"slices"
	"strings"
	"testing"

	velerov1 "hozon.dev/hozon/api/velero/v1"
	"hozon.dev/hozon/internal/filter"
	"hozon.dev/hozon/internal/object"
	"hozon.dev/hozon/internal/plan"
)

// TestPriorities: kinds that Kubernetes does not define come where the user wants them; the others stay where they are needed.
func TestPriorities(t *testing.T) {
	entries, types := &plan.Entries{}, []object.Type{}
	for _, kind := range []string{"configmaps", "secrets", "as.x", "bs.x", "cs.x", "ds.x", "deployments.apps", "resourcequotas", "apps.kappctrl.k14s.io"} {
		resource, group, _ := strings.Cut(kind, ".")
		entries.Add(plan.Entry{Ref: object.Ref{Group: group, Resource: resource, Namespace: "n", Name: "o"}, Version: "v1", Kind: resource, Preferred: true, Matched: true})
		types = append(types, object.Type{Group: group, Version: "v1", Resource: resource, Kind: resource, Namespaced: true})
	}
	spec := velerov1.RestoreSpec{BackupName: "b"}
	f, err := filter.ForRestore(spec, types)
	if err != nil {
		t.Fatal(err)
	}
	p, err := plan.Build(entries, plan.Request{Spec: spec, Filter: f, Priorities: plan.ParsePriorities("secrets, cs.x,as.x,-,deployments.apps,bs.x")}, plan.Facts{Types: types})
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for i := range p.Stages {
		for s := range p.Stages[i].Steps() {
			got = append(got, s.Target.GroupResource())
		}
	}
	want := []string{"namespaces", "configmaps", "secrets", "cs.x", "as.x", "ds.x", "deployments.apps", "apps.kappctrl.k14s.io", "bs.x", "resourcequotas"}
	if !slices.Equal(got, want) {
		t.Errorf("order %v\nwant  %v", got, want)
	}
}
