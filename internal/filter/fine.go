// SPDX-License-Identifier: Apache-2.0

package filter

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"k8s.io/apimachinery/pkg/labels"

	"hozon.dev/hozon/internal/fail"
	"hozon.dev/hozon/internal/object"
)

// Fine are the filters of a resource policy: for single kinds, of cluster-scoped objects and namespace by namespace. They take away from what the spec's
// lists of namespaces and resources let through, and come in the place of its label selectors. The zero value says nothing.
type Fine struct {
	Cluster    []KindRule      // kinds that none of these names are as the spec says
	Namespaces []NamespaceRule // of a namespace that one of these names, only the kinds that it names
}

// NamespaceRule is what counts in some namespaces. A name comes before a pattern, whatever their order; of several patterns the first counts.
type NamespaceRule struct {
	Where      string // "ConfigMap velero/p, key policy.yaml, line 3"
	Namespaces []string
	Kinds      []KindRule
}

// KindRule says which objects of some kinds are taken.
type KindRule struct {
	Where                string
	Kinds                []string          // none: all that no other rule of the namespace names
	Selectors            []labels.Selector // any must match; none: every object does
	Names, ExcludedNames []string          // names and patterns; no Names: all; excluded ones go before
}

// Why a filter policy leaves an object out.
const (
	ReasonKind = "the filter policy of its namespace does not name its kind"
	ReasonName = "the filter policy does not take its name"
)

// Empty says that the filters say nothing.
func (f Fine) Empty() bool { return len(f.Cluster)+len(f.Namespaces) == 0 }

// fine are the filters of a policy, ready to be asked.
type fine struct {
	cluster  kindRules
	exact    map[string]int // namespace to its place in rules
	patterns []pattern
	rules    []kindRules
}

type pattern struct {
	list list
	rule int
}

// kindRules are the rules for the kinds of one scope.
type kindRules struct {
	kinds   map[string]*kindRule // by group-resource
	unknown map[string]*kindRule // by what the policy calls kinds that no type fits: a backup may have them
	rest    *kindRule            // nil: no other kinds
}

type kindRule struct {
	selectors       []labels.Selector
	names, excluded list
}

// Refine adds the filters of a policy. It is called before the filter is asked anything. Kinds are looked up in types: one that is not among them is among
// Unserved. What contradicts itself is fail.Invalid.
func (f *Filter) Refine(rules Fine, types []object.Type) error {
	if rules.Empty() {
		return nil
	}
	c := compiler{types: types, filter: f}
	out := &fine{exact: map[string]int{}}
	out.cluster = c.rules(rules.Cluster, false)
	for i, r := range rules.Namespaces {
		out.rules = append(out.rules, c.rules(r.Kinds, true))
		for _, name := range r.Namespaces {
			l, err := newList([]string{name})
			switch {
			case err != nil:
				c.wrong(r.Where, "%v", err)
			case l.star || len(l.patterns) > 0:
				out.patterns = append(out.patterns, pattern{l, i})
			default:
				out.exact[name] = i
			}
		}
	}
	f.fine, f.unserved, f.idle = out, c.unserved, c.idle
	return fail.As(fail.Invalid, errors.Join(c.errs...))
}

// Unserved are the kinds in rules of a policy that fit no type, each with its place.
func (f *Filter) Unserved() []string { return f.unserved }

// Idle are the kinds in rules of a policy that have no effect there, each with its place and the reason.
func (f *Filter) Idle() []string { return f.idle }

// compiler makes rules ready, and collects what is wrong with them.
type compiler struct {
	types          []object.Type
	filter         *Filter
	errs           []error
	unserved, idle []string
}

func (c *compiler) wrong(where, format string, args ...any) {
	c.errs = append(c.errs, fmt.Errorf("%s: %s", where, fmt.Sprintf(format, args...)))
}

func (c *compiler) rules(rules []KindRule, namespaced bool) kindRules {
	out := kindRules{kinds: map[string]*kindRule{}, unknown: map[string]*kindRule{}}
	for _, r := range rules {
		rule := &kindRule{selectors: r.Selectors}
		var err error
		if rule.names, err = newList(r.Names); err != nil {
			c.wrong(r.Where, "names: %v", err)
		}
		if rule.excluded, err = newList(r.ExcludedNames); err != nil {
			c.wrong(r.Where, "excludedNames: %v", err)
		}
		if len(r.Kinds) == 0 {
			out.rest = rule
		}
		for _, kind := range r.Kinds {
			known, name := out.kinds, ""
			if t, ok := resolve(kind, c.types); ok {
				name = t.GroupResource()
				c.effect(r.Where, kind, t, namespaced)
			} else {
				known, name = out.unknown, strings.ToLower(kind)
				c.unserved = append(c.unserved, fmt.Sprintf("%s: %q", r.Where, kind))
			}
			if known[name] != nil {
				c.wrong(r.Where, "%q is named twice: expected each kind once", kind)
			}
			known[name] = rule
		}
	}
	return out
}

// effect takes note of a kind that a rule can do nothing about.
func (c *compiler) effect(where, name string, t object.Type, namespaced bool) {
	switch {
	case t.Namespaced && !namespaced:
		c.idle = append(c.idle, fmt.Sprintf("%s: %q has no effect: it is namespaced, and belongs into namespacedFilterPolicies", where, name))
	case !t.Namespaced && namespaced:
		c.idle = append(c.idle, fmt.Sprintf("%s: %q has no effect: it is cluster-scoped, and belongs into clusterScopedFilterPolicy", where, name))
	case c.filter.types(t) != Yes:
		c.idle = append(c.idle, fmt.Sprintf("%s: %q has no effect: the lists of resources leave it out", where, name))
	}
}

// of finds the rules that count for an object; none do if ok is false.
func (f *fine) of(ref object.Ref, head object.Head) (rules kindRules, ok bool) {
	switch {
	case f == nil:
		return kindRules{}, false
	case ref.Namespace == "":
		return f.cluster, f.cluster.rule(ref, head) != nil
	}
	if i, ok := f.exact[ref.Namespace]; ok {
		return f.rules[i], true
	}
	i := slices.IndexFunc(f.patterns, func(p pattern) bool { return p.list.match(ref.Namespace) })
	if i < 0 {
		return kindRules{}, false
	}
	return f.rules[f.patterns[i].rule], true
}

// rule finds the one for an object's kind.
func (k kindRules) rule(ref object.Ref, head object.Head) *kindRule {
	if r := k.kinds[ref.GroupResource()]; r != nil || len(k.unknown) == 0 {
		return r
	}
	for _, word := range []string{ref.Resource, strings.ToLower(head.Kind)} {
		for _, name := range []string{word + "." + ref.Group, word} {
			if r := k.unknown[name]; r != nil {
				return r
			}
		}
	}
	return nil
}

// decide says whether the rules take an object, and why not.
func (k kindRules) decide(ref object.Ref, head object.Head) (bool, string) {
	rule := k.rule(ref, head)
	if rule == nil {
		rule = k.rest
	}
	switch {
	case rule == nil:
		return false, ReasonKind
	case !rule.takes(ref.Name):
		return false, ReasonName
	case !anyMatches(rule.selectors, head):
		return false, ReasonSelector
	}
	return true, ""
}

// named says whether the rules let an object through that another one needs: its kind and its labels do not count then, but its name does.
func (k kindRules) named(ref object.Ref, head object.Head) bool {
	rule := k.rule(ref, head)
	return rule == nil || rule.takes(ref.Name)
}

func (r *kindRule) takes(name string) bool {
	return !r.excluded.match(name) && (r.names.everything() || r.names.match(name))
}
