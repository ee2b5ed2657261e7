// SPDX-License-Identifier: Apache-2.0

package env

import (
	"cmp"
	"regexp"
	"slices"
	"strings"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

var timestamped = regexp.MustCompile(`^(.*)-(\d{14})$`)

// SortByRun sorts by name, but names that end in a run's time stamp newest first within the same prefix, as Velero lists them.
func SortByRun[T any](items []T, name func(T) string) {
	slices.SortFunc(items, func(a, b T) int {
		x, y := timestamped.FindStringSubmatch(name(a)), timestamped.FindStringSubmatch(name(b))
		if x != nil && y != nil && x[1] == y[1] {
			return cmp.Compare(y[2], x[2])
		}
		return cmp.Compare(name(a), name(b))
	})
}

// Selector is the text of a label selector or of several joined by "or".
func Selector(label *metav1.LabelSelector, or []*metav1.LabelSelector) string {
	var texts []string
	for _, s := range or {
		texts = append(texts, metav1.FormatLabelSelector(s))
	}
	if label != nil {
		texts = append(texts, metav1.FormatLabelSelector(label))
	}
	if len(texts) == 0 {
		return None
	}
	return strings.Join(texts, " or ")
}
