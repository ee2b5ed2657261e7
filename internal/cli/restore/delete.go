// SPDX-License-Identifier: Apache-2.0

package restore

import (
	"github.com/spf13/cobra"

	"hozon.dev/hozon/internal/cli/env"
)

// NewDelete is `hozon restore delete`, and `hozon delete restore` under the other name. It deletes records, never objects of the cluster.
func NewDelete(e *env.Env, use string) *cobra.Command {
	return noun.Delete(e, use, "Delete the records of restores (nothing in the cluster)", "  hozon restore delete monday-20261120093000 --store /srv/backups")
}
