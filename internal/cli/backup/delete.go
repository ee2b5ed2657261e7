// SPDX-License-Identifier: Apache-2.0

package backup

import (
	"fmt"

	"github.com/spf13/cobra"

	"hozon.dev/hozon/internal/cli/env"
	"hozon.dev/hozon/internal/store"
)

// NewDelete is `hozon backup delete`, and `hozon delete backup` under the other name.
func NewDelete(e *env.Env, use string) *cobra.Command {
	var o env.DeleteOptions
	c := &cobra.Command{
		Use:   use + " [NAMES]",
		Short: "Delete backups",
		Example: `  hozon backup delete monday --store /srv/backups
  hozon backup delete -l purpose=test --confirm
  hozon backup delete --all`,
		RunE: func(c *cobra.Command, names []string) error {
			if err := o.Check(names); err != nil {
				return err
			}
			s, err := e.OpenStore(c.Context(), false)
			if err != nil {
				return err
			}
			if len(names) == 0 {
				backups, err := load(c.Context(), e, s, nil, o.Selector)
				if err != nil {
					return err
				}
				for _, b := range backups {
					names = append(names, b.Name)
				}
			}
			if len(names) == 0 {
				_, err := fmt.Fprintln(e.Out, "No backups found")
				return err
			}
			return e.DeleteAll(c.Context(), s, store.Backup, names, o.Confirm)
		},
	}
	o.AddFlags(c.Flags(), "backups")
	return c
}
