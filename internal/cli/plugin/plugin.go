// SPDX-License-Identifier: Apache-2.0

// Package plugin has the commands below `hozon plugin`, one file each.
package plugin

import (
	"cmp"
	"slices"
	"time"

	"github.com/spf13/cobra"

	velerov1 "hozon.dev/hozon/api/velero/v1"
	"hozon.dev/hozon/internal/cli/env"
)

// New is `hozon plugin`.
func New(e *env.Env) *cobra.Command {
	c := &cobra.Command{
		Use:     "plugin",
		Aliases: []string{"plugins"},
		Short:   "Look at the server's plugins, add and remove them",
	}
	c.AddCommand(newAdd(e), NewGet(e, "get"), newRemove(e))
	return c
}

// patience is how long the server may take to answer, unless told otherwise.
const patience = 5 * time.Second

// NewGet is `hozon plugin get`, and `hozon get plugins` under the other name.
func NewGet(e *env.Env, use string) *cobra.Command {
	var output env.Output
	var timeout time.Duration
	c := &cobra.Command{
		Use: use, Short: "List the server's plugins", Example: "  hozon plugin get", Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			if err := output.Check(); err != nil {
				return err
			}
			server, err := e.OpenServer()
			if err != nil {
				return err
			}
			answer, err := server.Status(c.Context(), timeout)
			if err != nil {
				return err
			}
			if output.Format != "table" {
				return e.Print(output.Format, answer)
			}
			return e.PrintTable(table(answer.Status.Plugins))
		},
	}
	c.Flags().DurationVar(&timeout, "timeout", patience, "How long to wait for the server's answer.")
	output.AddFlag(c.Flags(), "table", "json", "yaml")
	return c
}

func table(plugins []velerov1.PluginInfo) env.Table {
	slices.SortFunc(plugins, func(a, b velerov1.PluginInfo) int {
		return cmp.Or(cmp.Compare(a.Kind, b.Kind), cmp.Compare(a.Name, b.Name))
	})
	t := env.Table{Columns: []string{"NAME", "KIND"}}
	for _, p := range plugins {
		t.Rows = append(t.Rows, []any{p.Name, p.Kind})
	}
	return t
}
