// SPDX-License-Identifier: Apache-2.0

package env

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"hozon.dev/hozon/internal/report"
)

// shown is how many warnings and errors are printed at the end of a run; reports have them all.
const shown = 20

// would say what a dry run found that would become of an object.
var would = map[report.Action]string{
	report.Created: "create", report.Updated: "update", report.Unchanged: "unchanged", report.Skipped: "skip", report.Failed: "fail",
}

// PrintOutcomes prints what would happen to each object, in the order in which it would.
func (e *Env) PrintOutcomes(r *report.Report) error {
	return e.PrintRows([]string{"WOULD", "OBJECT", "BECAUSE"}, func(yield func([]string) bool) {
		for it := range r.Items.All() {
			if !yield([]string{would[it.Action], it.Ref.String(), cmp.Or(it.Reason, it.Warning)}) {
				return
			}
		}
	})
}

// Summary is "12 created, 3 unchanged", in a fixed order.
func Summary(r *report.Report) string {
	var parts []string
	for _, a := range []report.Action{report.Created, report.Updated, report.Unchanged, report.Skipped, report.Failed} {
		if n := r.Counts[a]; n > 0 {
			parts = append(parts, fmt.Sprintf("%d %s", n, a))
		}
	}
	if len(parts) == 0 {
		return "no objects"
	}
	return strings.Join(parts, ", ")
}

// Worst are the first errors and warnings as lines.
func Worst(r *report.Report) []string {
	results := r.Results()
	return slices.Concat(firstOf("error", results.Errors), firstOf("warning", results.Warnings))
}

func firstOf(word string, r report.Result) []string {
	texts := slices.Concat(r.Velero, r.Cluster)
	for ns, more := range r.Namespaces {
		for _, text := range more {
			texts = append(texts, ns+": "+text)
		}
	}
	return FirstLines(word, texts)
}

// FirstLines are the first of many texts as lines, "word: text", and how many more there are.
func FirstLines(word string, texts []string) []string {
	var lines []string
	for i, text := range texts {
		if i == shown {
			return append(lines, fmt.Sprintf("… and %d more %ss", len(texts)-shown, word))
		}
		lines = append(lines, word+": "+text)
	}
	return lines
}
