// SPDX-License-Identifier: Apache-2.0

package restore

import (
	"github.com/spf13/cobra"

	"hozon.dev/hozon/internal/cli/env"
)

func newLogs(e *env.Env) *cobra.Command {
	return noun.Log(e, "  hozon restore logs monday-20261120093000 --store /srv/backups")
}
