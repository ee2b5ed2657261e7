// SPDX-License-Identifier: Apache-2.0

package host

import (
	"strings"

	"github.com/spf13/cobra"

	"hozon.dev/hozon/internal/cli/env"
	"hozon.dev/hozon/internal/host/profile"
)

func newProfiles(e *env.Env) *cobra.Command {
	var output env.Output
	var files []string
	c := &cobra.Command{
		Use:   "profiles [NAME]",
		Short: "List what is saved of which kind of machine",
		Long: `List what is saved of which kind of machine, or print one list as YAML: change it, and give it to the other commands with --profile-file.

A profile fits a machine on which everything exists that its "looks" names. Files that do not exist are left out.`,
		Example: `  hozon host profiles
  hozon host profiles openshift-3.11-master >my-master.yaml`,
		Args: cobra.MaximumNArgs(1),
		RunE: func(_ *cobra.Command, args []string) error {
			if err := output.Check(); err != nil {
				return err
			}
			all, err := known(files)
			if err != nil {
				return err
			}
			if len(args) == 1 {
				one, err := profile.Named(all, args[0])
				if err != nil {
					return err
				}
				if output.Format == "json" {
					return e.Print("json", one[0])
				}
				return e.Print("yaml", one[0])
			}
			if output.Format != "table" {
				return e.Print(output.Format, all)
			}
			table := env.Table{Columns: []string{"NAME", "ABOUT", "FITS WHERE THERE IS"}}
			for _, p := range all {
				table.Rows = append(table.Rows, []any{p.Name, p.About, strings.Join(p.Looks, ", ")})
			}
			return e.PrintTable(table)
		},
	}
	c.Flags().StringSliceVar(&files, "profile-file", nil, "File with a profile of your own; may be repeated.")
	output.AddFlag(c.Flags(), "table", "json", "yaml")
	return c
}
