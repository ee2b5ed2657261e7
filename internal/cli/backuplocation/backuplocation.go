// SPDX-License-Identifier: Apache-2.0

// Package backuplocation has the commands below `hozon backup-location`, one file each.
package backuplocation

import (
	"github.com/spf13/cobra"

	velerov1 "hozon.dev/hozon/api/velero/v1"
	"hozon.dev/hozon/internal/cli/env"
	"hozon.dev/hozon/internal/velero"
)

var noun = env.Noun[*velerov1.BackupStorageLocation]{
	Word: "backup-location", Kind: "BackupStorageLocation", Table: table,
	Served: env.Served[*velerov1.BackupStorageLocation]{List: velero.StorageLocations.List, Get: velero.StorageLocations.Get, Remove: remove},
}

// New is `hozon backup-location`.
func New(e *env.Env) *cobra.Command {
	c := &cobra.Command{
		Use:     "backup-location",
		Aliases: []string{"backup-locations"},
		Short:   "Tell the server where backups are kept",
	}
	c.AddCommand(NewCreate(e, "create"), NewGet(e, "get"), newSet(e), NewDelete(e, "delete"))
	return c
}
