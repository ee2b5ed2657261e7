// SPDX-License-Identifier: Apache-2.0

package hook

import (
	"errors"
	"fmt"

	"hozon.dev/hozon/internal/fail"
	"hozon.dev/hozon/internal/report"
)

// Fit finds the containers that a spec names and that none of the pods it applies to has. The zero value has seen none.
type Fit struct {
	found   map[place]bool
	missing map[place]string // why, of the first pod
	order   []place
}

// place is a container as a set of hooks names it.
type place struct{ set, container string }

// See takes note of the hooks of one pod.
func (f *Fit) See(hooks []Hook) {
	for _, h := range hooks {
		w := place{h.From, h.Container}
		switch {
		case h.From == FromAnnotation:
		case h.Problem == "":
			if f.found == nil {
				f.found = map[place]bool{}
			}
			f.found[w] = true
		case f.missing[w] == "":
			if f.missing == nil {
				f.missing = map[place]string{}
			}
			f.missing[w] = h.Problem
			f.order = append(f.order, w)
		}
	}
}

// Err is what is wrong with the spec, fail.Invalid; nil: nothing.
func (f *Fit) Err() error {
	var errs []error
	for _, w := range f.order {
		if !f.found[w] {
			errs = append(errs, fmt.Errorf("spec.hooks, set %q: %s, and neither has any other pod that the set applies to", w.set, f.missing[w]))
		}
	}
	return fail.As(fail.Invalid, errors.Join(errs...))
}

// Unfit are the containers that a Backup's spec names and that none of the pods it applies to has, as errors; pods are all that have hooks.
func (s *Sets) Unfit(pods []Pod) error {
	var f Fit
	for _, p := range pods {
		f.See(s.Of(report.Pre, p))
		f.See(s.Of(report.Post, p))
	}
	return f.Err()
}
