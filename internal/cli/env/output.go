// SPDX-License-Identifier: Apache-2.0

package env

import (
	"bufio"
	"encoding/json"
	"fmt"
	"iter"
	"strings"
	"unicode/utf8"

	"github.com/spf13/pflag"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/cli-runtime/pkg/printers"
	"sigs.k8s.io/yaml"
)

// Output is the flag -o of a command, with the values that it knows.
type Output struct {
	Format  string
	known   []string
	columns []string // labels
	labels  bool
}

// AddFlag registers -o. The first of known is the default of commands that print tables or text; an empty one means that nothing is printed.
func (o *Output) AddFlag(f *pflag.FlagSet, known ...string) {
	o.known = known
	f.StringVarP(&o.Format, "output", "o", known[0], fmt.Sprintf("Output format: one of %q.", nonEmpty(known)))
}

func nonEmpty(in []string) []string {
	var out []string
	for _, s := range in {
		if s != "" {
			out = append(out, s)
		}
	}
	return out
}

// Check refuses formats that the command does not know.
func (o *Output) Check() error {
	for _, k := range o.known {
		if o.Format == k {
			return nil
		}
	}
	return Usagef("unknown output format %q: use one of %q", o.Format, nonEmpty(o.known))
}

// Print writes v as JSON or YAML.
func (e *Env) Print(format string, v any) error {
	data, err := json.MarshalIndent(v, "", "  ")
	if err != nil {
		return err
	}
	if format == "yaml" {
		data, err = yaml.JSONToYAML(data)
		if err != nil {
			return err
		}
		_, err = e.Out.Write(data)
		return err
	}
	_, err = fmt.Fprintln(e.Out, string(data))
	return err
}

// PrintRows prints a table as PrintTable does, for any number of rows: they are gone through twice, and none is kept.
func (e *Env) PrintRows(columns []string, rows iter.Seq[[]string]) error {
	const gap, least = 3, 6
	widths := make([]int, len(columns))
	measure := func(row []string) {
		for i, cell := range row {
			widths[i] = max(widths[i], utf8.RuneCountInString(oneLine(cell))+gap, least)
		}
	}
	measure(columns)
	none := true
	for row := range rows {
		measure(row)
		none = false
	}
	if none {
		return nil
	}
	out := bufio.NewWriter(e.Out)
	write := func(row []string) {
		for i, cell := range row {
			cell = oneLine(cell)
			out.WriteString(cell)
			if i < len(row)-1 {
				out.WriteString(strings.Repeat(" ", widths[i]-utf8.RuneCountInString(cell)))
			}
		}
		out.WriteByte('\n')
	}
	write(columns)
	for row := range rows {
		write(row)
	}
	return out.Flush() // has the first error, if there is one
}

// oneLine cuts a cell off where its first line ends, and takes the sting out of what would command a terminal, as kubectl does.
func oneLine(cell string) string {
	if i := strings.IndexAny(cell, "\f\n\r"); i >= 0 {
		cell = cell[:i] + "..."
	}
	return strings.ReplaceAll(cell, "\x1b", "^[")
}

// Table is a table with one header row. Cells are printed as they are.
type Table struct {
	Columns []string
	Rows    [][]any
}

// PrintTable writes a table as kubectl does.
func (e *Env) PrintTable(t Table) error {
	table := &metav1.Table{}
	for _, c := range t.Columns {
		table.ColumnDefinitions = append(table.ColumnDefinitions, metav1.TableColumnDefinition{Name: c, Type: "string"})
	}
	for _, r := range t.Rows {
		table.Rows = append(table.Rows, metav1.TableRow{Cells: r})
	}
	return printers.NewTablePrinter(printers.PrintOptions{}).PrintObj(table, e.Out)
}
