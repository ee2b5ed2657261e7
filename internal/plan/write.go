// SPDX-License-Identifier: Apache-2.0

package plan

import (
	"bufio"
	"fmt"
	"io"
)

// Write prints the plan for people: each stage with its objects in the target's names, then what is left out and why.
func (p *Plan) Write(w io.Writer, entries []Entry) error {
	b := bufio.NewWriter(w)
	for _, s := range p.Stages {
		fmt.Fprintf(b, "%s:\n", s.Title())
		for _, step := range s.Steps {
			fmt.Fprintf(b, "  %s%s\n", step.Target, remark(step, entries))
		}
	}
	if len(p.Skips) > 0 {
		fmt.Fprintln(b, "skipped:")
	}
	for _, step := range p.Skips {
		fmt.Fprintf(b, "  %s: %s\n", entries[step.Item].Ref, step.Reason)
	}
	return b.Flush()
}

// Title is "pods", or "others after 2 owners".
func (s *Stage) Title() string {
	switch s.Depth {
	case 0:
		return s.Level.String()
	case 1:
		return s.Level.String() + " after 1 owner"
	}
	return fmt.Sprintf("%s after %d owners", s.Level, s.Depth)
}

func remark(s Step, entries []Entry) string {
	switch {
	case s.Item < 0:
		return " (not in the backup: made without labels)"
	case s.Reprovision:
		return " (with a new volume)"
	case !entries[s.Item].Preferred:
		return fmt.Sprintf(" (in version %s)", entries[s.Item].Version)
	case entries[s.Item].Ref != s.Target:
		return fmt.Sprintf(" (from %s)", entries[s.Item].Ref.ID())
	}
	return ""
}
