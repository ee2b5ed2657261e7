// SPDX-License-Identifier: Apache-2.0

package host

import (
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"hozon.dev/hozon/internal/cli/env"
	"hozon.dev/hozon/internal/dr/hostset"
)

func newGet(e *env.Env) *cobra.Command {
	var output env.Output
	c := &cobra.Command{
		Use:     "get",
		Short:   "List the host backups of a store",
		Example: "  hozon host get --store /srv/backups",
		Args:    cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			if err := output.Check(); err != nil {
				return err
			}
			st, err := e.OpenStore(c.Context(), false)
			if err != nil {
				return err
			}
			records, err := hostset.List(c.Context(), st)
			if err != nil {
				return err
			}
			if output.Format != "table" {
				return e.Print(output.Format, records)
			}
			table := env.Table{Columns: []string{"NAME", "CREATED", "SEALED", "HOSTS", "NOT SAVED"}}
			for _, r := range records {
				var names, failed []string
				for _, h := range r.Hosts {
					if h.Error != "" {
						failed = append(failed, h.Name)
					} else {
						names = append(names, h.Name)
					}
				}
				table.Rows = append(table.Rows, []any{r.Name, r.Created.Format(time.DateTime), fmt.Sprint(r.Sealed), strings.Join(names, ","), strings.Join(failed, ",")})
			}
			return e.PrintTable(table)
		},
	}
	output.AddFlag(c.Flags(), "table", "json", "yaml")
	return c
}
