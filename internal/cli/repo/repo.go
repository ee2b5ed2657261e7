// SPDX-License-Identifier: Apache-2.0

// Package repo has the commands below `hozon repo`.
package repo

import (
	"cmp"

	"github.com/spf13/cobra"

	velerov1 "hozon.dev/hozon/api/velero/v1"
	"hozon.dev/hozon/internal/cli/env"
	"hozon.dev/hozon/internal/velero"
)

var noun = env.Noun[*velerov1.BackupRepository]{
	Word: "backup-repository", Kind: "BackupRepository", Table: table,
	Served: env.Served[*velerov1.BackupRepository]{List: velero.Repositories.List, Get: velero.Repositories.Get},
}

// New is `hozon repo`.
func New(e *env.Env) *cobra.Command {
	c := &cobra.Command{
		Use:     "repo",
		Aliases: []string{"repos", "backup-repository", "backup-repositories"},
		Short:   "Look at the repositories with the data of volumes",
	}
	c.AddCommand(noun.Get(e, "get", "  hozon repo get"))
	return c
}

func table(_ *env.Env, repositories []*velerov1.BackupRepository) env.Table {
	t := env.Table{Columns: []string{"NAME", "STATUS", "LAST MAINTENANCE"}}
	for _, r := range repositories {
		last := "<never>"
		if r.Status.LastMaintenanceTime != nil {
			last = env.TimeText(r.Status.LastMaintenanceTime)
		}
		t.Rows = append(t.Rows, []any{r.Name, cmp.Or(string(r.Status.Phase), string(velerov1.BackupRepositoryPhaseNew)), last})
	}
	return t
}
