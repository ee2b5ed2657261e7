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
		Long: `Look whether a control plane is well, and could be saved and brought back. Nothing is changed.

Machines: can be logged in to, and have the host keys that are known; GNU tar; a clock that agrees; room for etcd; folders that a restore writes to.
Certificates: those that flags name do not end soon, have their keys, and are for the addresses that they serve.
etcd: its members answer, see a leader, raise no alarm and hold the same data.
API server: it is ready; the key that signs the tokens of service accounts is on the disk, is the one in use, and is the same everywhere; its keys decrypt a Secret of etcd.
Nothing is being changed: no operator of OpenShift is Progressing, nothing in kube-system is rolled out, and a cluster that bmctl manages is not Reconciling (asked
of the cluster itself, and of the one that --kubeconfig names).

Exit codes: 0 nothing failed (there may be warnings), 1 something did, 2 the command line or the inventory cannot be used.`,
		Example: `  hozon check cluster -c prod
  hozon check cluster -c prod --inventory hosts.yaml -o json

  # A user cluster of bmctl: its admin cluster knows the machines
  hozon check cluster -c prod --kubeconfig admin-kubeconfig`,
		Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			if err := output.Check(); err != nil {
				return err
			}
			if cluster == "" {
				return env.Usagef("give the cluster a name: -c NAME")
			}
			specs, err := hosts.OfCluster(c.Context(), e, cluster, false)
			if err != nil {
				return err
			}
			checker := dr.Checker{Cluster: cluster, Now: e.Now}
			if checker.Admin, err = e.Admin(); err != nil {
				return err
			}
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
