// SPDX-License-Identifier: Apache-2.0

// Package restore has the commands below `hozon restore`, one file each.
package restore

import (
	"github.com/spf13/cobra"

	"hozon.dev/hozon/internal/cli/env"
)

// New is `hozon restore`.
func New(e *env.Env) *cobra.Command {
	c := &cobra.Command{
		Use:     "restore",
		Aliases: []string{"restores"},
		Short:   "Bring back what a backup holds, and look at what was brought back",
	}
	c.AddCommand(NewCreate(e, "create"), NewGet(e, "get"), NewDescribe(e, "describe"), newLogs(e), NewDelete(e, "delete"))
	return c
}
