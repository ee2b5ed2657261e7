// SPDX-License-Identifier: Apache-2.0

package backup

import (
	"github.com/spf13/cobra"

	"hozon.dev/hozon/internal/cli/env"
)

// NewDelete is `hozon backup delete`, and `hozon delete backup` under the other name.
func NewDelete(e *env.Env, use string) *cobra.Command {
	return noun.Delete(e, use, "Delete backups", `  hozon backup delete monday --store /srv/backups
  hozon backup delete -l purpose=test --confirm
  hozon backup delete --all`)
}
