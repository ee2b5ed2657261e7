// SPDX-License-Identifier: Apache-2.0

// Package restore has the commands below `hozon restore`, one file each.
package restore

import (
	"context"

	"github.com/spf13/cobra"

	velerov1 "hozon.dev/hozon/api/velero/v1"
	"hozon.dev/hozon/internal/cli/env"
	"hozon.dev/hozon/internal/store"
	"hozon.dev/hozon/internal/velero"
)

var noun = env.Noun[*velerov1.Restore]{
	Word: "restore", Kind: "Restore", Table: table, Describe: describe,
	Served: env.Served[*velerov1.Restore]{List: velero.Restores.List, Get: velero.Restores.Get, Remove: remove},
	Stored: &env.Stored[*velerov1.Restore]{
		Sort: store.Restore, Logs: store.RestoreLogs,
		Names: func(ctx context.Context, s *store.Store) ([]string, error) { return s.Restores(ctx) },
		Read: func(ctx context.Context, s *store.Store, name string) (*velerov1.Restore, error) {
			return s.Restore(ctx, name)
		},
	},
}

// New is `hozon restore`.
func New(e *env.Env) *cobra.Command {
	c := &cobra.Command{
		Use:     "restore",
		Aliases: []string{"restores"},
		Short:   "Bring back what a backup holds, and look at what was brought back",
	}
	c.AddCommand(NewCreate(e, "create"), NewGet(e, "get"), NewDescribe(e, "describe"), newLogs(e), newCancel(e), NewDelete(e, "delete"), newCluster(e))
	return c
}
