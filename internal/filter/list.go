// SPDX-License-Identifier: Apache-2.0

package filter

import (
	"fmt"
	"strings"

	"github.com/gobwas/glob"

	"hozon.dev/hozon/internal/object"
)

// list is one of the spec's lists: names, patterns, or "*".
type list struct {
	names    map[string]bool
	patterns []glob.Glob
	star     bool
}

func hasWildcard(s string) bool { return strings.ContainsAny(s, "*?[") }

func newList(entries []string) (list, error) {
	l := list{names: make(map[string]bool, len(entries))}
	for _, e := range entries {
		switch {
		case e == "*":
			l.star = true
		case strings.ContainsAny(e, `*?[{\`):
			g, err := glob.Compile(e)
			if err != nil {
				return list{}, fmt.Errorf("pattern %q: %w", e, err)
			}
			l.patterns = append(l.patterns, g)
		default:
			l.names[e] = true
		}
	}
	return l, nil
}

func (l list) empty() bool { return !l.star && len(l.names) == 0 && len(l.patterns) == 0 }

// everything says that, as a list of what to include, it leaves out nothing.
func (l list) everything() bool { return l.star || l.empty() }

func (l list) match(s string) bool {
	if l.star || l.names[s] {
		return true
	}
	for _, g := range l.patterns {
		if g.Match(s) {
			return true
		}
	}
	return false
}

// resolver finds the types that names in resource lists mean.
type resolver struct {
	types      []object.Type
	unresolved []string
}

// list makes a list of group-resources of the entries of one resource list. fits says
// which types the list is about; an entry that means none of them is kept as written.
func (r *resolver) list(entries []string, fits func(object.Type) bool) (list, error) {
	out := make([]string, 0, len(entries))
	for _, e := range entries {
		if e == "*" {
			out = append(out, e)
			continue
		}
		if strings.ContainsAny(e, `*?[{\`) {
			l, err := newList([]string{e})
			if err != nil {
				return list{}, err
			}
			if !r.any(func(t object.Type) bool { return fits(t) && l.match(t.GroupResource()) }) {
				r.unresolved = append(r.unresolved, e)
			}
			out = append(out, e)
			continue
		}
		t, ok := resolve(e, r.types)
		if !ok || !fits(t) {
			r.unresolved = append(r.unresolved, e)
		}
		if ok {
			e = t.GroupResource()
		}
		out = append(out, e)
	}
	return newList(out)
}

func (r *resolver) any(f func(object.Type) bool) bool {
	for _, t := range r.types {
		if f(t) {
			return true
		}
	}
	return false
}

// resolve finds the type that a name means: a plural, singular, kind or short name, each with or
// without a group, which may be cut short ("ingresses.networking"). A plural wins over a singular, that over a kind, that over a short name; an
// exact group over a shortened one; the core group over others; then the first in types does.
func resolve(name string, types []object.Type) (object.Type, bool) {
	group, word := object.ParseGroupResource(strings.ToLower(name))
	best, rank := object.Type{}, 0
	for _, t := range types {
		r := wordRank(word, t)
		if r == 0 {
			continue
		}
		switch {
		case group == "" && t.Group == "":
			r += 30
		case group == "":
			r += 10
		case t.Group == group:
			r += 20
		case strings.HasPrefix(t.Group, group):
		default:
			continue
		}
		if r > rank {
			best, rank = t, r
		}
	}
	return best, rank > 0
}

func wordRank(word string, t object.Type) int {
	switch word {
	case t.Resource:
		return 4
	case t.Singular:
		return 3
	case strings.ToLower(t.Kind):
		return 2
	}
	for _, s := range t.ShortNames {
		if s == word {
			return 1
		}
	}
	return 0
}
