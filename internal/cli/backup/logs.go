// SPDX-License-Identifier: Apache-2.0

package backup

import (
	"github.com/spf13/cobra"

	"hozon.dev/hozon/internal/cli/env"
)

func newLogs(e *env.Env) *cobra.Command {
	return noun.Log(e, "  hozon backup logs monday --store /srv/backups")
}
