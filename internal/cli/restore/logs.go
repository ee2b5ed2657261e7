// SPDX-License-Identifier: Apache-2.0

package restore

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
		Short:   "Print the log of a restore",
		Example: "  hozon restore logs monday-20261120093000 --store /srv/backups",
		Args:    exactName,
		RunE: func(c *cobra.Command, args []string) error {
			s, err := e.OpenStore(c.Context(), false)
			if err != nil {
				return err
			}
			if _, err := s.Restore(c.Context(), args[0]); err != nil {
				return err
			}
			r, err := s.OpenText(c.Context(), store.Restore, args[0], store.RestoreLogs)
			if err != nil {
				return err
			}
			defer r.Close()
			if _, err := io.Copy(e.Out, r); err != nil {
				return fmt.Errorf("read log of restore %s: %w", args[0], err)
			}
			return nil
		},
	}
}
