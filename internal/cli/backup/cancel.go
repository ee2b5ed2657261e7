// SPDX-License-Identifier: Apache-2.0

package backup

import (
	"github.com/spf13/cobra"

	velerov1 "hozon.dev/hozon/api/velero/v1"
	"hozon.dev/hozon/internal/cli/env"
	"hozon.dev/hozon/internal/velero"
)

func newCancel(e *env.Env) *cobra.Command {
	return env.NewCancel(e, velero.Backups, "backup", "  hozon backup cancel monday", func(b *velerov1.Backup) (string, bool) {
		run := look(b)
		return run.Phase, run.Ended
	})
}
