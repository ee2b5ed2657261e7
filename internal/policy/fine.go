// SPDX-License-Identifier: Apache-2.0

package policy

import (
	"errors"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"

	"hozon.dev/hozon/internal/filter"
)

// catchAll is the kind that means all other kinds; no kind at all means the same.
const catchAll = "*"

func (p *parser) clusterFilters(n *yaml.Node) {
	var rules []filter.KindRule
	p.mapping(n, "clusterScopedFilterPolicy", fields{"resourceFilters": func(n *yaml.Node) {
		rules = p.kindRules(n)
		for i, c := range n.Content {
			if i < len(rules) && len(rules[i].Kinds) == 0 {
				p.wrong(c, "clusterScopedFilterPolicy: expected kinds, each by its name: what it does not name is as the spec says")
			}
		}
	}})
	if n.Kind == yaml.MappingNode && len(rules) == 0 {
		p.wrong(n, "clusterScopedFilterPolicy: expected resourceFilters, one at least")
	}
	p.out.Filters.Cluster = rules
}

func (p *parser) namespaceFilters(n *yaml.Node) {
	seen := map[string]int{}
	p.each(n, "namespacedFilterPolicies", func(n *yaml.Node) {
		r := filter.NamespaceRule{Where: p.at(n)}
		p.mapping(n, "namespacedFilterPolicies", fields{
			"namespaces":      func(n *yaml.Node) { r.Namespaces = p.patterns(n, "namespaces", filter.CheckNamespace, seen) },
			"resourceFilters": func(n *yaml.Node) { r.Kinds = p.kindRules(n) },
		})
		if n.Kind == yaml.MappingNode && len(r.Namespaces) == 0 {
			p.wrong(n, "namespacedFilterPolicies: expected namespaces, one at least")
		}
		if n.Kind == yaml.MappingNode && len(r.Kinds) == 0 {
			p.wrong(n, "namespacedFilterPolicies: expected resourceFilters, one at least")
		}
		p.out.Filters.Namespaces = append(p.out.Filters.Namespaces, r)
	})
}

// patterns reads names and patterns, of which none may be there before: seen has the lines.
func (p *parser) patterns(n *yaml.Node, what string, check func(string) error, seen map[string]int) []string {
	var out []string
	p.each(n, what, func(c *yaml.Node) {
		text := p.text(c, what)
		if err := check(text); err != nil {
			p.wrong(c, "%s: %q: %v", what, text, err)
		}
		if line, ok := seen[text]; ok {
			p.wrong(c, "%s: %q is in line %d, too", what, text, line)
		}
		seen[text] = c.Line
		out = append(out, text)
	})
	return out
}

// kindRules reads resourceFilters. It returns one rule for each element.
func (p *parser) kindRules(n *yaml.Node) []filter.KindRule {
	var out []filter.KindRule
	kinds, rest := map[string]int{}, 0
	p.each(n, "resourceFilters", func(n *yaml.Node) {
		r := p.kindRule(n, kinds)
		if len(r.Kinds) == 0 {
			if rest > 0 {
				p.wrong(n, "resourceFilters: expected one filter for all other kinds, and there is one in line %d, too", rest)
			}
			rest = n.Line
			if len(r.Names)+len(r.ExcludedNames) > 0 {
				p.wrong(n, "resourceFilters: expected kinds with names and excludedNames: a filter for all other kinds has none")
			}
		}
		out = append(out, r)
	})
	return out
}

func (p *parser) kindRule(n *yaml.Node, kinds map[string]int) filter.KindRule {
	r := filter.KindRule{Where: p.at(n)}
	label, or, all := false, false, false
	p.mapping(n, "resourceFilters", fields{
		"kinds": func(n *yaml.Node) { r.Kinds = p.patterns(n, "kinds", checkKind, kinds) },
		"labelSelector": func(n *yaml.Node) {
			label = len(n.Content) > 0
			r.Selectors = append(r.Selectors, p.selector(n)...)
		},
		"orLabelSelectors": func(n *yaml.Node) {
			p.each(n, "orLabelSelectors", func(c *yaml.Node) {
				one := p.selector(c)
				or, all, r.Selectors = true, all || len(one) == 0, append(r.Selectors, one...)
			})
		},
		"names": func(n *yaml.Node) { r.Names = p.patterns(n, "names", filter.CheckPattern, map[string]int{}) },
		"excludedNames": func(n *yaml.Node) {
			r.ExcludedNames = p.patterns(n, "excludedNames", filter.CheckPattern, map[string]int{})
		},
	})
	if all { // one of them fits every object
		r.Selectors = nil
	}
	if label && or {
		p.wrong(n, "resourceFilters: expected labelSelector or orLabelSelectors, not both")
	}
	if slices.Contains(r.Kinds, catchAll) {
		if len(r.Kinds) > 1 {
			p.wrong(n, `kinds: expected "*" alone, or kinds by their names`)
		}
		r.Kinds = nil
		delete(kinds, catchAll) // a second one is told of with the filter
	}
	return r
}

var errNoPattern = errors.New("expected a kind by its name, no pattern")

// checkKind refuses patterns: a kind is named.
func checkKind(name string) error {
	if name != catchAll && strings.ContainsAny(name, `*?[{\`) {
		return errNoPattern
	}
	return nil
}

// selector reads a label selector: labels and their values, as Velero 1.18 has it, or matchLabels and matchExpressions, as its successors do. An empty one is none.
func (p *parser) selector(n *yaml.Node) []labels.Selector {
	var s metav1.LabelSelector
	if !full(n) {
		s.MatchLabels = p.pairs(n, "labelSelector")
	} else {
		p.mapping(n, "labelSelector", fields{
			"matchLabels": func(n *yaml.Node) { s.MatchLabels = p.pairs(n, "matchLabels") },
			"matchExpressions": func(n *yaml.Node) {
				p.each(n, "matchExpressions", func(c *yaml.Node) { s.MatchExpressions = append(s.MatchExpressions, p.expression(c)) })
			},
		})
	}
	out, err := metav1.LabelSelectorAsSelector(&s)
	if err != nil {
		p.wrong(n, "labelSelector: %v", err)
		return nil
	}
	if out.Empty() {
		return nil
	}
	return []labels.Selector{out}
}

// full says whether a selector has parts, rather than labels: a label has a text for its value.
func full(n *yaml.Node) bool {
	for i := 0; i+1 < len(n.Content); i += 2 {
		key := n.Content[i].Value
		if (key == "matchLabels" || key == "matchExpressions") && n.Content[i+1].Kind != yaml.ScalarNode {
			return true
		}
	}
	return false
}

func (p *parser) expression(n *yaml.Node) metav1.LabelSelectorRequirement {
	var r metav1.LabelSelectorRequirement
	p.mapping(n, "matchExpressions", fields{
		"key": func(n *yaml.Node) { r.Key = p.text(n, "key") },
		"operator": func(n *yaml.Node) {
			r.Operator = metav1.LabelSelectorOperator(p.oneOf(n, "operator", []string{"In", "NotIn", "Exists", "DoesNotExist"}))
		},
		"values": func(n *yaml.Node) {
			p.each(n, "values", func(c *yaml.Node) { r.Values = append(r.Values, p.text(c, "values")) })
		},
	})
	return r
}
