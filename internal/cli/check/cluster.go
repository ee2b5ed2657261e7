// SPDX-License-Identifier: Apache-2.0

// Package check has the commands below `hozon check`: they look, and change nothing.
package check

import (
	"slices"

	"github.com/spf13/cobra"

	"hozon.dev/hozon/internal/cli/env"
	"hozon.dev/hozon/internal/dr"
)

// New is `hozon check`.
func New(e *env.Env) *cobra.Command {
	c := &cobra.Command{Use: "check", Short: "Look whether things are well"}
	c.AddCommand(newCluster(e))
	return c
}

func newCluster(e *env.Env) *cobra.Command {
	var output env.Output
	var hosts env.Hosts
	var cluster string
	c := &cobra.Command{
		Use:   "cluster -c NAME",
		Short: "Look whether a control plane is well, and could be saved",
		Long: `Look whether a control plane is well, and could be saved: every machine can be logged in to, has GNU tar, a clock that agrees and room for
etcd; the certificates that flags name do not end soon; etcd's members answer, see a leader, raise no alarm and hold the same data; the API server's keys
decrypt a Secret of etcd. Nothing is changed.

Exit codes: 0 nothing failed (there may be warnings), 1 something did, 2 the command line or the inventory cannot be used.`,
		Example: `  hozon check cluster -c prod
  hozon check cluster -c prod --inventory hosts.yaml -o json`,
		Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			if err := output.Check(); err != nil {
				return err
			}
			if cluster == "" {
				return env.Usagef("give the cluster a name: -c NAME")
			}
			specs, err := hosts.Read()
			if err != nil {
				return err
			}
			checker := dr.Checker{Now: e.Now}
			found := checker.Check(c.Context(), specs)
			if err := tell(e, output.Format, cluster, found); err != nil {
				return err
			}
			if slices.ContainsFunc(found, func(f dr.Finding) bool { return f.Level == dr.Failed }) {
				return env.Ended{Code: env.ExitFailed}
			}
			return nil
		},
	}
	c.Flags().StringVarP(&cluster, "cluster", "c", "", "Name of the cluster.")
	hosts.AddFlags(c.Flags())
	output.AddFlag(c.Flags(), "table", "json", "yaml")
	return c
}

type report struct {
	Cluster  string       `json:"cluster"`
	Findings []dr.Finding `json:"findings"`
}

func tell(e *env.Env, format, cluster string, found []dr.Finding) error {
	if format != "table" {
		return e.Print(format, report{cluster, found})
	}
	table := env.Table{Columns: []string{"HOST", "CHECK", "RESULT", "WHAT"}}
	for _, f := range found {
		host := f.Host
		if host == "" {
			host = "(all)"
		}
		table.Rows = append(table.Rows, []any{host, f.Check, string(f.Level), f.Text})
	}
	return e.PrintTable(table)
}
