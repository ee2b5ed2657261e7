// SPDX-License-Identifier: Apache-2.0

package policy

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"

	"hozon.dev/hozon/internal/fail"
)

// maxDepth bounds aliases and nesting; policies have five levels.
const maxDepth = 20

// strict reads a YAML document and collects what is wrong with it.
type strict struct {
	where string // "ConfigMap velero/p, key policy.yaml"
	errs  []error
}

func (s *strict) wrong(n *yaml.Node, format string, args ...any) {
	s.errs = append(s.errs, fmt.Errorf("%s: %s", s.at(n), fmt.Sprintf(format, args...)))
}

func (s *strict) at(n *yaml.Node) string { return fmt.Sprintf("%s, line %d", s.where, n.Line) }

func (s *strict) err() error { return fail.As(fail.Invalid, errors.Join(s.errs...)) }

// parse reads the one document that there must be; nil if there is none, which has been said.
func (s *strict) parse(text string) *yaml.Node {
	dec := yaml.NewDecoder(strings.NewReader(text))
	var doc, more yaml.Node
	if err := dec.Decode(&doc); err != nil {
		s.errs = append(s.errs, fmt.Errorf("%s: expected YAML: %w", s.where, err))
		return nil
	}
	if err := dec.Decode(&more); err == nil {
		s.wrong(&more, "expected one document, and there is another")
		return nil
	}
	if len(doc.Content) == 0 || !s.plain(doc.Content[0], 0) {
		return nil
	}
	return doc.Content[0]
}

// plain refuses what policies have no use for: aliases, which can make a short text very long.
func (s *strict) plain(n *yaml.Node, depth int) bool {
	if n.Kind == yaml.AliasNode || depth > maxDepth {
		s.wrong(n, "aliases, and more than %d levels, are not taken", maxDepth)
		return false
	}
	for _, c := range n.Content {
		if !s.plain(c, depth+1) {
			return false
		}
	}
	return true
}

// fields are the parts of a mapping by their names, each with what reads it.
type fields map[string]func(*yaml.Node)

// mapping reads a mapping with no other fields than these.
func (s *strict) mapping(n *yaml.Node, what string, of fields) {
	if n.Kind != yaml.MappingNode {
		s.wrong(n, "%s: expected a mapping with %s", what, names(of))
		return
	}
	seen := map[string]bool{}
	for i := 0; i+1 < len(n.Content); i += 2 {
		key := n.Content[i]
		read, ok := of[key.Value]
		switch {
		case !ok:
			s.wrong(key, "%s: unknown field %q: expected %s", what, key.Value, names(of))
		case seen[key.Value]:
			s.wrong(key, "%s: field %q is there twice", what, key.Value)
		default:
			read(n.Content[i+1])
		}
		seen[key.Value] = true
	}
}

func names(of fields) string {
	all := slices.Sorted(maps.Keys(of))
	if len(all) == 1 {
		return all[0]
	}
	return strings.Join(all[:len(all)-1], ", ") + " or " + all[len(all)-1]
}

// each calls fn with the elements of a list.
func (s *strict) each(n *yaml.Node, what string, fn func(*yaml.Node)) {
	if n.Kind != yaml.SequenceNode {
		s.wrong(n, "%s: expected a list", what)
		return
	}
	for _, c := range n.Content {
		fn(c)
	}
}

// text reads a text.
func (s *strict) text(n *yaml.Node, what string) string {
	if n.Kind != yaml.ScalarNode || n.Tag == "!!null" {
		s.wrong(n, "%s: expected a text", what)
		return ""
	}
	return n.Value
}

// texts reads a list of texts, of which there must be one at least.
func (s *strict) texts(n *yaml.Node, what string) []string {
	var out []string
	s.each(n, what, func(c *yaml.Node) { out = append(out, s.text(c, what)) })
	if n.Kind == yaml.SequenceNode && len(out) == 0 {
		s.wrong(n, "%s: expected a list that is not empty", what)
	}
	return out
}

// oneOf reads a text that is one of a few.
func (s *strict) oneOf(n *yaml.Node, what string, known []string) string {
	text := s.text(n, what)
	if text != "" && !slices.Contains(known, text) {
		s.wrong(n, "%s: %q: expected one of %s", what, text, strings.Join(known, ", "))
	}
	return text
}

// pairs reads a mapping of texts.
func (s *strict) pairs(n *yaml.Node, what string) map[string]string {
	out := map[string]string{}
	if n.Kind != yaml.MappingNode {
		s.wrong(n, "%s: expected a mapping of texts", what)
		return out
	}
	for i := 0; i+1 < len(n.Content); i += 2 {
		out[n.Content[i].Value] = s.text(n.Content[i+1], what)
	}
	return out
}
