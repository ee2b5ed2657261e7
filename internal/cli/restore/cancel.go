// SPDX-License-Identifier: Apache-2.0

package restore

import (
	"github.com/spf13/cobra"

	velerov1 "hozon.dev/hozon/api/velero/v1"
	"hozon.dev/hozon/internal/cli/env"
	"hozon.dev/hozon/internal/velero"
)

func newCancel(e *env.Env) *cobra.Command {
	return env.NewCancel(e, velero.Restores, "restore", "  hozon restore cancel monday-20261120093000", func(r *velerov1.Restore) (string, bool) {
		run := look(r)
		return run.Phase, run.Ended
	})
}
