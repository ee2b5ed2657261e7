// SPDX-License-Identifier: Apache-2.0

// Package volume has the commands below `hozon volume`, one file each.
package volume

import (
	"github.com/spf13/cobra"

	"hozon.dev/hozon/internal/cli/env"
)

// New is `hozon volume`.
func New(e *env.Env) *cobra.Command {
	c := &cobra.Command{
		Use:     "volume",
		Aliases: []string{"volumes"},
		Short:   "Copy files out of and into pods and claims, and out of backups",
	}
	c.AddCommand(newPull(e), newPush(e), newFind(e), newList(e), newGet(e), newHelper(e))
	return c
}
