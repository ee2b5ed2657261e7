// SPDX-License-Identifier: Apache-2.0

package env

import (
	"maps"
	"slices"

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
	if len(validation) > 0 {
		d.Text(0, "Validation errors:")
		for _, text := range validation {
			d.Text(1, "%s", text)
		}
		d.Gap()
	}
	if reason != "" {
		d.Line(0, "Failure reason:", reason)
		d.Gap()
	}
}

// Outcome adds warnings and errors: their texts, or only their numbers if nobody kept the texts (nil).
func (d *Describer) Outcome(r *report.Results, errors, warnings int) {
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

// Hooks adds how many hooks ran and failed.
func (d *Describer) Hooks(s *velerov1.HookStatus) {
	if s == nil {
		s = &velerov1.HookStatus{}
	}
	d.Line(0, "HooksAttempted:", s.HooksAttempted)
	d.Line(0, "HooksFailed:", s.HooksFailed)
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
