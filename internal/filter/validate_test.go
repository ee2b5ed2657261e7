// SPDX-License-Identifier: Apache-2.0

package filter

import (
	"testing"

	"github.com/google/go-cmp/cmp"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	velerov1 "hozon.dev/hozon/api/velero/v1"
)

func TestValidateBackup(t *testing.T) {
	for _, c := range []struct {
		name string
		spec velerov1.BackupSpec
		want []string
	}{
		{"nothing", velerov1.BackupSpec{}, nil},
		{"sound", velerov1.BackupSpec{IncludedNamespaces: []string{"a", "b-*", "c?", "[a-c]d", ""}, ExcludedNamespaces: []string{"e"}, IncludedResources: []string{"*"}, ExcludedResources: []string{"pods"}}, nil},
		{"old and new", velerov1.BackupSpec{ExcludedResources: []string{"pods"}, IncludedClusterScopedResources: []string{"nodes"}},
			[]string{"include-resources, exclude-resources and include-cluster-resources are old filter parameters.\n" +
				"include-cluster-scoped-resources, exclude-cluster-scoped-resources, include-namespace-scoped-resources and exclude-namespace-scoped-resources are new filter parameters.\n" +
				"They cannot be used together"}},
		{"old lists", velerov1.BackupSpec{IncludedResources: []string{"*", "pods"}, ExcludedResources: []string{"*", "pods"}}, []string{
			"Invalid included/excluded resource lists: includes list must either contain '*' only, or a non-empty list of items",
			"Invalid included/excluded resource lists: excludes list cannot contain '*'",
			"Invalid included/excluded resource lists: excludes list cannot contain an item in the includes list: *",
			"Invalid included/excluded resource lists: excludes list cannot contain an item in the includes list: pods"}},
		{"repeated star", velerov1.BackupSpec{IncludedResources: []string{"*", "*"}}, nil},
		{"scoped lists", velerov1.BackupSpec{IncludedClusterScopedResources: []string{"a"}, ExcludedClusterScopedResources: []string{"*", "b"},
			IncludedNamespaceScopedResources: []string{"*", "c"}, ExcludedNamespaceScopedResources: []string{"c"}}, []string{
			"Invalid cluster-scoped included/excluded resource lists: excludes list must either contain '*' only, or a non-empty list of items",
			"Invalid cluster-scoped included/excluded resource lists: when exclude is '*', include cannot have value",
			"Invalid namespace-scoped included/excluded resource lists: includes list must either contain '*' only, or a non-empty list of items",
			"Invalid namespace-scoped included/excluded resource lists: excludes list cannot contain an item in the includes list: c"}},
		{"scoped exclude of all", velerov1.BackupSpec{ExcludedClusterScopedResources: []string{"*"}}, nil},
		{"namespace lists", velerov1.BackupSpec{IncludedNamespaces: []string{"a", "*"}, ExcludedNamespaces: []string{"a"}}, []string{
			"Invalid included/excluded namespace lists: includes list must either contain '*' only, or a non-empty list of items",
			"Invalid included/excluded namespace lists: excludes list cannot contain an item in the includes list: a"}},
		{"namespace names", velerov1.BackupSpec{IncludedNamespaces: []string{"A_b"}}, []string{
			`Invalid included/excluded namespace lists: invalid namespace "A_b": a lowercase RFC 1123 label must consist of lower case alphanumeric characters or '-', and must start and end with an alphanumeric character (e.g. 'my-name',  or '123-abc', regex used for validation is '[a-z0-9]([-a-z0-9]*[a-z0-9])?')`}},
		{"namespace patterns", velerov1.BackupSpec{IncludedNamespaces: []string{"a**", "b{c}", "d[]"}, ExcludedNamespaces: []string{"f]"}}, []string{
			"Invalid included/excluded namespace lists: wildcard pattern contains consecutive asterisks (only single * allowed)",
			"Invalid included/excluded namespace lists: wildcard pattern contains unsupported characters: |, (, ), !, {, }, ,",
			"Invalid included/excluded namespace lists: wildcard pattern contains empty bracket pattern '[]'",
			"Invalid included/excluded namespace lists: wildcard pattern contains unmatched closing bracket ']'"}},
		{"unclosed bracket", velerov1.BackupSpec{ExcludedNamespaces: []string{"e["}}, []string{
			"Invalid included/excluded namespace lists: wildcard pattern contains unclosed bracket '['"}},
		{"both selectors", velerov1.BackupSpec{LabelSelector: &metav1.LabelSelector{}, OrLabelSelectors: []*metav1.LabelSelector{{}}},
			[]string{"encountered labelSelector as well as orLabelSelectors in backup spec, only one can be specified"}},
		{"a selector without sense", velerov1.BackupSpec{LabelSelector: &metav1.LabelSelector{MatchExpressions: []metav1.LabelSelectorRequirement{{Key: "a", Operator: "Near"}}}},
			[]string{`invalid label selector: "Near" is not a valid label selector operator`}},
		{"a resource pattern that does not compile", velerov1.BackupSpec{IncludedResources: []string{"a[b"}},
			[]string{`Invalid included/excluded resource lists: pattern "a[b": unexpected end of input`}},
	} {
		t.Run(c.name, func(t *testing.T) {
			if diff := cmp.Diff(c.want, ValidateBackup(c.spec)); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestValidateRestore(t *testing.T) {
	const source = "Either a backup or schedule must be specified as a source for the restore, but not both"
	for _, c := range []struct {
		name string
		spec velerov1.RestoreSpec
		want []string
	}{
		{"sound", velerov1.RestoreSpec{BackupName: "b", IncludedNamespaces: []string{"a*"}, ExistingResourcePolicy: "update"}, nil},
		{"from a schedule", velerov1.RestoreSpec{ScheduleName: "s"}, nil},
		{"no source", velerov1.RestoreSpec{}, []string{source}},
		{"two sources", velerov1.RestoreSpec{BackupName: "b", ScheduleName: "s"}, []string{source}},
		{"non-restorable", velerov1.RestoreSpec{BackupName: "b", IncludedResources: []string{"pods", "nodes"}}, []string{
			"nodes are non-restorable resources",
			"Invalid included/excluded resource lists: excludes list cannot contain an item in the includes list: nodes"}},
		{"lists", velerov1.RestoreSpec{BackupName: "b", ExcludedResources: []string{"*"}, ExcludedNamespaces: []string{"*"}}, []string{
			"Invalid included/excluded resource lists: excludes list cannot contain '*'",
			"Invalid included/excluded namespace lists: excludes list cannot contain '*'"}},
		{"both selectors", velerov1.RestoreSpec{BackupName: "b", LabelSelector: &metav1.LabelSelector{}, OrLabelSelectors: []*metav1.LabelSelector{{}}},
			[]string{"encountered labelSelector as well as orLabelSelectors in restore spec, only one can be specified"}},
		{"policy", velerov1.RestoreSpec{BackupName: "b", ExistingResourcePolicy: "replace"}, []string{"Invalid ExistingResourcePolicy: replace"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			if diff := cmp.Diff(c.want, ValidateRestore(c.spec)); diff != "" {
				t.Error(diff)
			}
		})
	}
}
