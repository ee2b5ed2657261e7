// SPDX-License-Identifier: Apache-2.0

package host

import (
	"fmt"
	"io"
	"strings"

	"hozon.dev/hozon/internal/cli/env"
	"hozon.dev/hozon/internal/dr/hostset"
)

func (o *restoreOptions) tell(e *env.Env, all []*hostset.Restored, verb string) error {
	if o.output.Format != "text" {
		return e.Print(o.output.Format, all)
	}
	for _, r := range all {
		tellOne(e.Out, r, verb)
	}
	return nil
}

// tellOne prints what became of a machine, or with "would be " what would.
func tellOne(w io.Writer, r *hostset.Restored, verb string) {
	fmt.Fprintf(w, "Host %s", r.Host)
	if r.From != r.Host {
		fmt.Fprintf(w, " (files of %s)", r.From)
	}
	fmt.Fprintf(w, ": %d unchanged, %d %screated, %d %sreplaced, %d not in the backup\n", r.Unchanged, len(r.Created), verb, len(r.Replaced), verb, len(r.Left))
	for _, p := range r.Created {
		fmt.Fprintf(w, "  + %q\n", p)
	}
	for _, c := range r.Replaced {
		fmt.Fprintf(w, "  ~ %q%s\n", c.Path, parts(c))
	}
	for _, p := range r.Left {
		fmt.Fprintf(w, "  stays: %q\n", p)
	}
	for _, c := range r.Packages {
		was := "missing"
		if c.What == hostset.Added {
			was = "not there when it was saved"
		}
		fmt.Fprintf(w, "  package %s: %s\n", c.Path, was)
	}
	if r.Kept != "" {
		fmt.Fprintf(w, "  What was replaced is kept in %s/old on it.\n", r.Kept)
	}
	if r.Error != "" {
		fmt.Fprintf(w, "  FAILED: %s\n", r.Error)
	}
	if len(r.After) > 0 && len(r.Created)+len(r.Replaced) > 0 {
		fmt.Fprintf(w, "  Then, on it:\n    %s\n", strings.Join(r.After, "\n    "))
	}
	if r.Notes != "" {
		fmt.Fprintf(w, "  Notes of the backup:\n    %s\n", strings.ReplaceAll(strings.TrimSpace(r.Notes), "\n", "\n    "))
	}
}
