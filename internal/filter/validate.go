// SPDX-License-Identifier: Apache-2.0

package filter

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	apivalidation "k8s.io/apimachinery/pkg/api/validation"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	velerov1 "hozon.dev/hozon/api/velero/v1"
)

const mixedFamilies = `include-resources, exclude-resources and include-cluster-resources are old filter parameters.
include-cluster-scoped-resources, exclude-cluster-scoped-resources, include-namespace-scoped-resources and exclude-namespace-scoped-resources are new filter parameters.
They cannot be used together`

// ValidateBackup returns what is wrong with the filters of a backup, in Velero's words and order
// (status.validationErrors), and with its durations; nil if nothing is.
func ValidateBackup(spec velerov1.BackupSpec) []string {
	var out []string
	scoped := slices.Concat(spec.IncludedClusterScopedResources, spec.ExcludedClusterScopedResources,
		spec.IncludedNamespaceScopedResources, spec.ExcludedNamespaceScopedResources)
	if UsesOldFamily(spec) && len(scoped) > 0 {
		out = append(out, mixedFamilies)
	}
	out = report(out, "Invalid included/excluded resource lists: %v", checkResources(spec.IncludedResources, spec.ExcludedResources))
	out = report(out, "Invalid cluster-scoped included/excluded resource lists: %s",
		checkScopedLists(spec.IncludedClusterScopedResources, spec.ExcludedClusterScopedResources))
	out = report(out, "Invalid namespace-scoped included/excluded resource lists: %s",
		checkScopedLists(spec.IncludedNamespaceScopedResources, spec.ExcludedNamespaceScopedResources))
	out = report(out, "Invalid included/excluded namespace lists: %v", checkNamespaces(spec.IncludedNamespaces, spec.ExcludedNamespaces))
	out = append(out, checkSelectors("backup", spec.LabelSelector, spec.OrLabelSelectors)...)
	return append(out, CheckDurations("spec", spec)...)
}

// ValidateRestore returns what is wrong with the fields of a restore that say what it takes in,
// from where and over what, in Velero's words and order, and with its durations; nil if nothing is.
func ValidateRestore(spec velerov1.RestoreSpec) []string {
	var out []string
	for _, r := range nonRestorable {
		if slices.Contains(spec.IncludedResources, r) {
			out = append(out, r+" are non-restorable resources")
		}
	}
	excluded := slices.Concat(spec.ExcludedResources, nonRestorable)
	out = report(out, "Invalid included/excluded resource lists: %v", checkResources(spec.IncludedResources, excluded))
	out = report(out, "Invalid included/excluded namespace lists: %v", checkNamespaces(spec.IncludedNamespaces, spec.ExcludedNamespaces))
	out = append(out, checkSelectors("restore", spec.LabelSelector, spec.OrLabelSelectors)...)
	if (spec.BackupName == "") == (spec.ScheduleName == "") {
		out = append(out, "Either a backup or schedule must be specified as a source for the restore, but not both")
	}
	switch spec.ExistingResourcePolicy {
	case "", velerov1.PolicyTypeNone, velerov1.PolicyTypeUpdate, velerov1.PolicyTypeRecreate:
	default:
		out = append(out, fmt.Sprintf("Invalid ExistingResourcePolicy: %s", spec.ExistingResourcePolicy))
	}
	return append(out, CheckDurations("spec", spec)...)
}

func report(out []string, format string, errs []error) []string {
	for _, err := range errs {
		out = append(out, fmt.Sprintf(format, err))
	}
	return out
}

var (
	errStarAndMore   = errors.New("includes list must either contain '*' only, or a non-empty list of items")
	errExcludeStar   = errors.New("excludes list cannot contain '*'")
	errExcludeMore   = errors.New("excludes list must either contain '*' only, or a non-empty list of items")
	errExcludeAndAny = errors.New("when exclude is '*', include cannot have value")
)

// distinct is what a list holds, sorted: repeating an entry means nothing.
func distinct(entries []string) []string {
	return slices.Compact(slices.Sorted(slices.Values(entries)))
}

func checkResources(include, exclude []string) []error {
	return append(checkLists(include, exclude), checkPatterns(slices.Concat(include, exclude))...)
}

// checkLists has the rules that old resource lists and namespace lists share.
func checkLists(include, exclude []string) []error {
	include, exclude = distinct(include), distinct(exclude)
	var errs []error
	if len(include) > 1 && slices.Contains(include, "*") {
		errs = append(errs, errStarAndMore)
	}
	if slices.Contains(exclude, "*") {
		errs = append(errs, errExcludeStar)
	}
	return append(errs, overlap(include, exclude)...)
}

func checkScopedLists(include, exclude []string) []error {
	include, exclude = distinct(include), distinct(exclude)
	var errs []error
	if len(include) > 1 && slices.Contains(include, "*") {
		errs = append(errs, errStarAndMore)
	}
	if slices.Contains(exclude, "*") {
		if len(exclude) > 1 {
			errs = append(errs, errExcludeMore)
		}
		if len(include) > 0 {
			errs = append(errs, errExcludeAndAny)
		}
	}
	return append(errs, append(overlap(include, exclude), checkPatterns(slices.Concat(include, exclude))...)...)
}

func overlap(include, exclude []string) []error {
	var errs []error
	for _, e := range exclude {
		if slices.Contains(include, e) {
			errs = append(errs, fmt.Errorf("excludes list cannot contain an item in the includes list: %v", e))
		}
	}
	return errs
}

// checkPatterns refuses globs that do not compile, which Velero takes for ones that match nothing.
func checkPatterns(entries []string) []error {
	var errs []error
	for _, e := range distinct(entries) {
		if _, err := newList([]string{e}); err != nil {
			errs = append(errs, err)
		}
	}
	return errs
}

func checkNamespaces(include, exclude []string) []error {
	errs := checkLists(include, exclude)
	for _, entries := range [][]string{include, exclude} {
		for _, e := range distinct(entries) {
			if e != "" && e != "*" {
				errs = append(errs, checkNamespace(e)...)
			}
		}
	}
	return errs
}

func checkNamespace(name string) []error {
	if err := checkWildcards(name); err != nil {
		return []error{err}
	}
	var errs []error
	for _, msg := range apivalidation.ValidateNamespaceName(withoutWildcards(name), false) {
		errs = append(errs, fmt.Errorf("invalid namespace %q: %s", name, msg))
	}
	return append(errs, checkPatterns([]string{name})...)
}

// CheckNamespace says what is wrong with the name or pattern of a namespace; nil: nothing.
func CheckNamespace(name string) error {
	if name == "*" {
		return nil
	}
	return errors.Join(checkNamespace(name)...)
}

// CheckPattern says what is wrong with the name or pattern of an object; nil: nothing.
func CheckPattern(pattern string) error {
	if pattern == "" {
		return errors.New("expected a name or a pattern")
	}
	if err := checkWildcards(pattern); err != nil {
		return err
	}
	return errors.Join(checkPatterns([]string{pattern})...)
}

func checkWildcards(pattern string) error {
	if strings.ContainsAny(pattern, "|()!{},") {
		return errors.New("wildcard pattern contains unsupported characters: |, (, ), !, {, }, ,")
	}
	if strings.Contains(pattern, "**") {
		return errors.New("wildcard pattern contains consecutive asterisks (only single * allowed)")
	}
	for rest := pattern; ; {
		i := strings.IndexAny(rest, "[]")
		if i < 0 {
			return nil
		}
		if rest[i] == ']' {
			return errors.New("wildcard pattern contains unmatched closing bracket ']'")
		}
		end := strings.IndexByte(rest[i:], ']')
		switch {
		case end < 0:
			return errors.New("wildcard pattern contains unclosed bracket '['")
		case end == 1:
			return errors.New("wildcard pattern contains empty bracket pattern '[]'")
		}
		rest = rest[i+end+1:]
	}
}

// withoutWildcards puts a letter in the place of everything that a pattern may have and a name may not.
func withoutWildcards(pattern string) string {
	var b strings.Builder
	inClass := false
	for _, c := range pattern {
		switch {
		case c == '[':
			inClass = true
		case c == ']':
			inClass = false
			b.WriteByte('x')
		case inClass:
		case c == '*' || c == '?':
			b.WriteByte('x')
		default:
			b.WriteRune(c)
		}
	}
	return b.String()
}

func checkSelectors(what string, one *metav1.LabelSelector, or []*metav1.LabelSelector) []string {
	if one != nil && len(or) > 0 {
		return []string{"encountered labelSelector as well as orLabelSelectors in " + what + " spec, only one can be specified"}
	}
	if _, err := selectors(one, or); err != nil {
		return []string{fmt.Sprintf("invalid label selector: %v", err)}
	}
	return nil
}
