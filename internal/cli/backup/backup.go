// SPDX-License-Identifier: Apache-2.0

// Package backup has the commands below `hozon backup`, one file each.
package backup

import (
	"context"

	"github.com/spf13/cobra"

	velerov1 "hozon.dev/hozon/api/velero/v1"
	"hozon.dev/hozon/internal/cli/env"
	"hozon.dev/hozon/internal/store"
	"hozon.dev/hozon/internal/velero"
)

var noun = env.Noun[*velerov1.Backup]{
	Word: "backup", Kind: "Backup", Table: table, Describe: describe,
	Served: env.Served[*velerov1.Backup]{List: velero.Backups.List, Get: velero.Backups.Get, Remove: requestDeletion},
	Stored: &env.Stored[*velerov1.Backup]{
		Sort: store.Backup, Logs: store.Logs,
		Names: func(ctx context.Context, s *store.Store) ([]string, error) { return s.Backups(ctx) },
		Read: func(ctx context.Context, s *store.Store, name string) (*velerov1.Backup, error) {
			return s.Backup(ctx, name)
		},
	},
}

// New is `hozon backup`.
func New(e *env.Env) *cobra.Command {
	c := &cobra.Command{
		Use:     "backup",
		Aliases: []string{"backups"},
		Short:   "Make, look at, check and delete backups",
	}
	c.AddCommand(NewCreate(e, "create"), NewGet(e, "get"), NewDescribe(e, "describe"), newLogs(e), newDownload(e), newVerify(e), newCancel(e), newCluster(e), NewDelete(e, "delete"))
	return c
}
