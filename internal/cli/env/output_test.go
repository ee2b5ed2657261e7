// SPDX-License-Identifier: Apache-2.0

package env

import (
	"bytes"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// TestPrintRows: rows that are not kept are printed as a table is.
func TestPrintRows(t *testing.T) {
	columns := []string{"WOULD", "OBJECT", "BECAUSE"}
	for name, rows := range map[string][][]string{
		"none":   nil,
		"plain":  {{"create", "pods/shop/a", ""}, {"unchanged", "deployments.apps/shop/a-long-name", "it exists"}},
		"narrow": {{"a", "b", "c"}},
		"odd":    {{"fail", "pods/shop/b", "two\nlines"}, {"fail", "pods/shop/\x1b[31mred", "für immer\r"}, {"übel", "ü", "\f"}},
	} {
		t.Run(name, func(t *testing.T) {
			var want, got bytes.Buffer
			table := Table{Columns: columns}
			for _, r := range rows {
				table.Rows = append(table.Rows, []any{r[0], r[1], r[2]})
			}
			if err := (&Env{Out: &want}).PrintTable(table); err != nil {
				t.Fatal(err)
			}
			if err := (&Env{Out: &got}).PrintRows(columns, slices.Values(rows)); err != nil {
				t.Fatal(err)
			}
			if d := cmp.Diff(want.String(), got.String()); d != "" {
				t.Errorf("-table +rows:\n%s", d)
			}
		})
	}
}
