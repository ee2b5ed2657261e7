// SPDX-License-Identifier: Apache-2.0

package plan

import (
	"bufio"
	"fmt"
	"io"
)

// Write prints the plan for people: each stage with its objects in the target's names, then what is left out and why.
func (p *Plan) Write(w io.Writer) error {
	b := bufio.NewWriter(w)
	for i := range p.Stages {
		s := &p.Stages[i]
		fmt.Fprintf(b, "%s:\n", s.Title())
		for step := range s.Steps() {
			fmt.Fprintf(b, "  %s%s\n", step.Target, p.remark(step))
		}
	}
	if len(p.skips) > 0 {
		fmt.Fprintln(b, "skipped:")
	}
	for step := range p.Skips() {
		fmt.Fprintf(b, "  %s: %s\n", p.entries.Ref(step.Item), step.Reason)
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

func (p *Plan) remark(s Step) string {
	if s.Item < 0 {
		return " (not in the backup: made without labels)"
	}
	switch e := p.entries.At(s.Item); {
	case s.Reprovision:
		return " (with a new volume)"
	case s.Convert != "":
		return fmt.Sprintf(" (in version %s, saved in %s)", s.Convert, e.Version)
	case !e.Preferred:
		return fmt.Sprintf(" (in version %s)", e.Version)
	case e.Ref != s.Target:
		return fmt.Sprintf(" (from %s)", e.Ref.ID())
	}
	return ""
}
