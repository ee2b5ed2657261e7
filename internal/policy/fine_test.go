// SPDX-License-Identifier: Apache-2.0

package policy

import (
	"os"
	"strings"
	"testing"

	"hozon.dev/hozon/internal/fail"
	"hozon.dev/hozon/internal/filter"
)

// TestFilters: what the filters of a policy are read as. What they do is package filter's matter.
func TestFilters(t *testing.T) {
	p := parse(t, `version: v1
clusterScopedFilterPolicy:
  resourceFilters:
  - kinds: [StorageClass]
    names: ["app-*"]
    excludedNames: [app-tmp]
namespacedFilterPolicies:
- namespaces: [shop, "team-*"]
  resourceFilters:
  - kinds: [ConfigMap, secrets]
    labelSelector: {app: web, tier: gold}
  - kinds: [Pod]
    labelSelector:
      matchLabels: {app: web}
      matchExpressions:
      - {key: env, operator: In, values: [prod, test]}
      - {key: skip, operator: DoesNotExist}
  - kinds: ["*"]
    orLabelSelectors: [{a: b}, {matchLabels: {c: d}}]
- namespaces: [other]
  resourceFilters:
  - kinds: []
  - kinds: [Job]
    orLabelSelectors: [{a: b}, {}]
`)
	var got []string
	tell := func(r filter.KindRule) {
		var selectors []string
		for _, s := range r.Selectors {
			selectors = append(selectors, s.String())
		}
		got = append(got, strings.TrimPrefix(r.Where, "ConfigMap velero/p, key policy.yaml, ")+" "+strings.Join([]string{
			strings.Join(r.Kinds, ","), strings.Join(selectors, " or "), strings.Join(r.Names, ","), strings.Join(r.ExcludedNames, ",")}, "|"))
	}
	for _, r := range p.Filters.Cluster {
		tell(r)
	}
	for _, n := range p.Filters.Namespaces {
		got = append(got, strings.Join(n.Namespaces, ","))
		for _, r := range n.Kinds {
			tell(r)
		}
	}
	want := []string{
		"line 4 StorageClass||app-*|app-tmp",
		"shop,team-*",
		"line 10 ConfigMap,secrets|app=web,tier=gold||",
		"line 12 Pod|app=web,env in (prod,test),!skip||",
		"line 18 |a=b or c=d||",
		"other",
		"line 22 |||",
		"line 23 Job|||",
	}
	if strings.Join(got, "\n") != strings.Join(want, "\n") {
		t.Errorf("got\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}

// TestBadFilters: each error names ConfigMap, key, line and what was expected.
func TestBadFilters(t *testing.T) {
	const at = "ConfigMap velero/p, key policy.yaml, line "
	in := func(filters string) string {
		return "version: v1\nnamespacedFilterPolicies:\n- namespaces: [shop]\n  resourceFilters:\n" + filters
	}
	for text, want := range map[string]string{
		"version: v1\nclusterScopedFilterPolicy: {}":                                                                                        at + "2: clusterScopedFilterPolicy: expected resourceFilters",
		"version: v1\nclusterScopedFilterPolicy: []":                                                                                        at + "2: clusterScopedFilterPolicy: expected a mapping with resourceFilters",
		"version: v1\nclusterScopedFilterPolicy:\n  resourceFilters:\n  - names: [a]":                                                       at + "4: clusterScopedFilterPolicy: expected kinds",
		"version: v1\nnamespacedFilterPolicies: {}":                                                                                         at + "2: namespacedFilterPolicies: expected a list",
		"version: v1\nnamespacedFilterPolicies:\n- resourceFilters: [{kinds: [Pod]}]":                                                       at + "3: namespacedFilterPolicies: expected namespaces",
		"version: v1\nnamespacedFilterPolicies:\n- namespaces: [a]":                                                                         at + "3: namespacedFilterPolicies: expected resourceFilters",
		"version: v1\nnamespacedFilterPolicies:\n- {namespaces: [a], resourceFilters: [{}]}\n- {namespaces: [b, a], resourceFilters: [{}]}": at + `4: namespaces: "a" is in line 3, too`,
		"version: v1\nnamespacedFilterPolicies:\n- {namespaces: [A], resourceFilters: [{}]}":                                                at + `3: namespaces: "A": invalid namespace "A"`,
		"version: v1\nnamespacedFilterPolicies:\n- {namespaces: ['a**'], resourceFilters: [{}]}":                                            at + `3: namespaces: "a**": wildcard pattern contains consecutive asterisks`,
		in("  - {kind: Pod}"):                                                                 at + `5: resourceFilters: unknown field "kind": expected excludedNames, kinds, labelSelector, names or orLabelSelectors`,
		in("  - {kinds: Pod}"):                                                                at + "5: kinds: expected a list",
		in("  - {kinds: ['Pod*']}"):                                                           at + `5: kinds: "Pod*": expected a kind by its name, no pattern`,
		in("  - {kinds: [Pod, '*']}"):                                                         at + `5: kinds: expected "*" alone`,
		in("  - {kinds: [Pod]}\n  - {kinds: [Pod]}"):                                          at + `6: kinds: "Pod" is in line 5, too`,
		in("  - {kinds: ['*']}\n  - {}"):                                                      at + "6: resourceFilters: expected one filter for all other kinds, and there is one in line 5, too",
		in("  - {names: [a]}"):                                                                at + "5: resourceFilters: expected kinds with names and excludedNames",
		in("  - {kinds: [Pod], names: ['a|b']}"):                                              at + `5: names: "a|b": wildcard pattern contains unsupported characters`,
		in("  - {kinds: [Pod], excludedNames: ['[a']}"):                                       at + `5: excludedNames: "[a": wildcard pattern contains unclosed bracket`,
		in("  - {kinds: [Pod], excludedNames: ['']}"):                                         at + `5: excludedNames: "": expected a name or a pattern`,
		in("  - {kinds: [Pod], labelSelector: {'a b': c}}"):                                   at + `5: labelSelector: key: Invalid value: "a b"`,
		in("  - {kinds: [Pod], labelSelector: [a]}"):                                          at + "5: labelSelector: expected a mapping of texts",
		in("  - {kinds: [Pod], labelSelector: {matchLabels: {a: b}, x: y}}"):                  at + `5: labelSelector: unknown field "x": expected matchExpressions or matchLabels`,
		in("  - {kinds: [Pod], labelSelector: {matchExpressions: [{key: a, operator: Is}]}}"): at + `5: operator: "Is": expected one of In, NotIn, Exists, DoesNotExist`,
		in("  - {kinds: [Pod], labelSelector: {matchExpressions: [{key: a, operator: In}]}}"): at + "5: labelSelector: values: Invalid value",
		in("  - {kinds: [Pod], labelSelector: {a: b}, orLabelSelectors: [{c: d}]}"):           at + "5: resourceFilters: expected labelSelector or orLabelSelectors, not both",
	} {
		_, err := Parse("velero/p", map[string]string{"policy.yaml": text})
		if !fail.Is(err, fail.Invalid) || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: got %v, want %q", text, err, want)
		}
	}
	for text, want := range map[string]string{
		"version: v1\nvolumePolicies: []":       at + "2: volumePolicies: it is for backups: expected clusterScopedFilterPolicy or namespacedFilterPolicies",
		"version: v1\nincludeExcludePolicy: {}": at + "2: includeExcludePolicy: it is for backups",
	} {
		_, err := ParseForRestore("velero/p", map[string]string{"policy.yaml": text})
		if !fail.Is(err, fail.Invalid) || !strings.Contains(err.Error(), want) {
			t.Errorf("restore, %q: got %v, want %q", text, err, want)
		}
	}
	p, err := ParseForRestore("velero/p", map[string]string{"k": in("  - {kinds: [Pod]}")})
	if err != nil || len(p.Filters.Namespaces) != 1 {
		t.Errorf("%+v, %v", p, err)
	}
}

// TestGuidePolicies: what the guide shows is read without a word.
func TestGuidePolicies(t *testing.T) {
	page, err := os.ReadFile("../../doc/guide/policy.md")
	if err != nil {
		t.Fatal(err)
	}
	for form, read := range map[string]func(string, map[string]string) (Policies, error){"policy": Parse, "restore": ParseForRestore} {
		_, text, ok := strings.Cut(string(page), "```yaml "+form+"\n")
		text, _, end := strings.Cut(text, "```\n")
		if !ok || !end {
			t.Fatalf("the guide has no %s", form)
		}
		if p, err := read("velero/p", map[string]string{"k": text}); err != nil || p.Filters.Empty() {
			t.Errorf("%s: %v", form, err)
		}
	}
}
