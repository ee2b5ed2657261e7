// SPDX-License-Identifier: Apache-2.0

package env

import (
	"maps"
	"slices"
	"strings"
	"unicode"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	velerov1 "hozon.dev/hozon/api/velero/v1"
	"hozon.dev/hozon/internal/report"
)

// Head adds what every thing is described by first.
func (d *Describer) Head(o metav1.Object) {
	d.Line(0, "Name:", o.GetName())
	d.Line(0, "Namespace:", o.GetNamespace())
	d.Map("Labels:", o.GetLabels())
	d.Map("Annotations:", o.GetAnnotations())
	d.Gap()
}

// Refusal adds why nothing was done, if that is so.
func (d *Describer) Refusal(reason string, validation []string) {
	key := "Validation errors:"
	for _, text := range validation {
		d.Line(0, key, text)
		key = ""
	}
	if len(validation) > 0 {
		d.Gap()
	}
	if reason != "" {
		d.Line(0, "Failure reason:", reason)
		d.Gap()
	}
}

// Outcome adds warnings and errors, if there are any: their texts, or only their numbers if nobody kept the texts (nil).
func (d *Describer) Outcome(r *report.Results, errors, warnings int) {
	if errors+warnings == 0 {
		return
	}
	if r == nil {
		d.Line(0, "Errors:", errors)
		d.Line(0, "Warnings:", warnings)
		d.Gap()
		return
	}
	if warnings > 0 {
		d.Results("Warnings", r.Warnings)
		d.Gap()
	}
	if errors > 0 {
		d.Results("Errors", r.Errors)
		d.Gap()
	}
}

// Hooks adds how many hooks ran and failed, if somebody looked.
func (d *Describer) Hooks(s *velerov1.HookStatus) {
	if s == nil {
		return
	}
	d.Line(0, "HooksAttempted:", s.HooksAttempted)
	d.Line(0, "HooksFailed:", s.HooksFailed)
}

// HookResults adds what came of each hook: those that failed with what they printed, with details all of them.
func (d *Describer) HookResults(hooks []report.Hook, details bool) {
	if len(hooks) == 0 {
		return
	}
	d.Text(0, "Hooks:")
	for _, h := range hooks {
		d.Text(1, "%s", h)
		if !details && h.Outcome != report.HookFailed {
			continue
		}
		if len(h.Command) > 0 {
			d.Text(2, "command: %q", h.Command)
		}
		for line := range strings.Lines(h.Output) {
			d.Text(2, "| %s", printable(line))
		}
		if h.Cut {
			d.Text(2, "| … (there was more)")
		}
	}
}

// printable is a line without what would move a terminal's cursor.
func printable(line string) string {
	return strings.Map(func(r rune) rune {
		if r == '\t' {
			return ' '
		}
		if !unicode.IsPrint(r) {
			return -1
		}
		return r
	}, line)
}

// ResourceList adds the objects by kind.
func (d *Describer) ResourceList(items map[string][]string) {
	d.Text(0, "Resource List:")
	for _, kind := range slices.Sorted(maps.Keys(items)) {
		d.Text(1, "%s:", kind)
		for _, item := range items[kind] {
			d.Text(2, "- %s", item)
		}
	}
}
