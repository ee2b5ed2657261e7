// SPDX-License-Identifier: Apache-2.0

package backup

import (
	"fmt"
	"io"

	"github.com/spf13/cobra"

	"hozon.dev/hozon/internal/cli/env"
	"hozon.dev/hozon/internal/store"
)

func newLogs(e *env.Env) *cobra.Command {
	return &cobra.Command{
		Use:     "logs NAME",
		Short:   "Print the log of a backup",
		Example: "  hozon backup logs monday --store /srv/backups",
		Args:    exactName("backup"),
		RunE: func(c *cobra.Command, args []string) error {
			s, err := e.OpenStore(c.Context(), false)
			if err != nil {
				return err
			}
			if _, err := s.Backup(c.Context(), args[0]); err != nil {
				return err
			}
			r, err := s.OpenText(c.Context(), store.Backup, args[0], store.Logs)
			if err != nil {
				return err
			}
			defer r.Close()
			if _, err := io.Copy(e.Out, r); err != nil {
				return fmt.Errorf("read log of backup %s: %w", args[0], err)
			}
			return nil
		},
	}
}
