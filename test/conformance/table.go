// SPDX-License-Identifier: Apache-2.0

package conformance

import (
	"fmt"
	"slices"
	"strings"
)

// Column is a program and what came of it.
type Column struct {
	Name     string
	SUT      SUT
	Verdicts Verdicts
}

// Table shows in which ways each case holds, as Markdown.
func Table(columns ...Column) string {
	var out strings.Builder
	out.WriteString("| case |")
	for _, c := range columns {
		fmt.Fprintf(&out, " %s |", c.Name)
	}
	out.WriteString("\n|---|" + strings.Repeat("---|", len(columns)) + "\n")
	row := func(id, title string) {
		fmt.Fprintf(&out, "| %s |", strings.TrimSpace(id+" "+title))
		for _, c := range columns {
			fmt.Fprintf(&out, " %s |", c.cell(id))
		}
		out.WriteString("\n")
	}
	for _, c := range Cases() {
		row(c.ID, c.Title)
	}
	row(Alone, "one namespace of a whole backup brings nothing along that it does not need")
	row(Again, "and nine times more, with nothing changed and no warning without a reason")
	row(DryRun, "says what then happens")
	return out.String()
}

// cell lists the ways in which a case does not hold.
func (c Column) cell(id string) string {
	tried, fails := 0, []string{}
	for _, way := range Ways {
		texts, ok := c.Verdicts[id][way]
		if !ok {
			continue
		}
		tried++
		if len(texts) > 0 {
			fails = append(fails, string(way))
		}
	}
	slices.Sort(fails)
	switch {
	case tried == 0 || id == DryRun && !c.SUT.Foresees():
		return "has none"
	case len(fails) == 0:
		return "holds"
	case len(fails) == tried:
		return "no"
	}
	return "not: " + strings.Join(fails, ", ")
}
