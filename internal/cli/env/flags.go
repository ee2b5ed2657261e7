// SPDX-License-Identifier: Apache-2.0

package env

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/spf13/pflag"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// OptionalBool is a flag that is unset, true or false; given without a value it is true.
type OptionalBool struct{ Value *bool }

func (b *OptionalBool) String() string {
	if b.Value == nil {
		return ""
	}
	return strconv.FormatBool(*b.Value)
}

func (b *OptionalBool) Set(s string) error {
	if s == "" || s == "<nil>" || s == "auto" {
		b.Value = nil
		return nil
	}
	v, err := strconv.ParseBool(s)
	if err != nil {
		return fmt.Errorf("%q is neither true nor false", s)
	}
	b.Value = &v
	return nil
}

func (b *OptionalBool) Type() string { return "optionalBool" }

// AddFlag registers the flag.
func (b *OptionalBool) AddFlag(f *pflag.FlagSet, name, usage string) {
	f.VarPF(b, name, "", usage).NoOptDefVal = "true"
}

// Mapping is a flag of the form a:b,c:d.
type Mapping map[string]string

func (m *Mapping) String() string {
	var pairs []string
	for from, to := range *m {
		pairs = append(pairs, from+":"+to)
	}
	slices.Sort(pairs)
	return strings.Join(pairs, ",")
}

func (m *Mapping) Set(s string) error {
	if *m == nil {
		*m = Mapping{}
	}
	for pair := range strings.SplitSeq(s, ",") {
		from, to, ok := strings.Cut(pair, ":")
		if !ok || from == "" || to == "" || strings.Contains(to, ":") {
			return fmt.Errorf("%q is not of the form from:to", pair)
		}
		if before, twice := (*m)[from]; twice && before != to {
			return fmt.Errorf("%q is mapped to both %q and %q", from, before, to)
		}
		(*m)[from] = to
	}
	return nil
}

func (m *Mapping) Type() string { return "a:b,c:d" }

// Selectors are the flags -l and --or-selector, which exclude each other.
type Selectors struct{ label, or string }

// AddFlags registers the flags.
func (s *Selectors) AddFlags(f *pflag.FlagSet, verb string) {
	f.StringVarP(&s.label, "selector", "l", "", fmt.Sprintf("Only %s objects that match this label selector.", verb))
	f.StringVar(&s.or, "or-selector", "", fmt.Sprintf("%s objects that match any of these label selectors: 'a=b or c=d'. Not together with --selector.", strings.ToUpper(verb[:1])+verb[1:]))
}

// Parse returns what the flags say.
func (s *Selectors) Parse() (*metav1.LabelSelector, []*metav1.LabelSelector, error) {
	if s.label != "" && s.or != "" {
		return nil, nil, Usagef("either a 'selector' or an 'or-selector' can be specified, but not both")
	}
	label, err := parseSelector("selector", s.label)
	if err != nil || s.or == "" {
		return label, nil, err
	}
	var or []*metav1.LabelSelector
	for text := range strings.SplitSeq(s.or, " or ") {
		sel, err := parseSelector("or-selector", strings.TrimSpace(text))
		if err != nil {
			return nil, nil, err
		}
		or = append(or, sel)
	}
	return nil, or, nil
}

func parseSelector(flag, text string) (*metav1.LabelSelector, error) {
	if text == "" {
		return nil, nil
	}
	sel, err := metav1.ParseToLabelSelector(text)
	if err != nil {
		return nil, Usagef("--%s %q: %w", flag, text, err)
	}
	return sel, nil
}

// SecretKey reads a flag that names one key of one Secret, as a=b; nil if it is empty.
func SecretKey(flag string, given map[string]string) (*corev1.SecretKeySelector, error) {
	if len(given) == 0 {
		return nil, nil
	}
	if len(given) > 1 {
		return nil, Usagef("--%s: give one secret=key, not %d", flag, len(given))
	}
	out := &corev1.SecretKeySelector{}
	for name, key := range given {
		out.Name, out.Key = name, key
	}
	return out, nil
}
