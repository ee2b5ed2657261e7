// SPDX-License-Identifier: Apache-2.0

// Package backup has the commands below `hozon backup`, one file each.
package backup

import (
	"github.com/spf13/cobra"

	"hozon.dev/hozon/internal/cli/env"
)

// New is `hozon backup`.
func New(e *env.Env) *cobra.Command {
	c := &cobra.Command{
		Use:     "backup",
		Aliases: []string{"backups"},
		Short:   "Make, look at, check and delete backups",
	}
	c.AddCommand(NewCreate(e, "create"), NewGet(e, "get"), NewDescribe(e, "describe"), newLogs(e), newDownload(e), newVerify(e), NewDelete(e, "delete"))
	return c
}
