// SPDX-License-Identifier: Apache-2.0

package restore

import (
	"fmt"

	"github.com/spf13/cobra"

	"hozon.dev/hozon/internal/cli/env"
	"hozon.dev/hozon/internal/store"
)

// NewDelete is `hozon restore delete`, and `hozon delete restore` under the other name. It deletes records, never objects of the cluster.
func NewDelete(e *env.Env, use string) *cobra.Command {
	var o env.DeleteOptions
	c := &cobra.Command{
		Use:     use + " [NAMES]",
		Short:   "Delete the records of restores (nothing in the cluster)",
		Example: "  hozon restore delete monday-20261120093000 --store /srv/backups",
		RunE: func(c *cobra.Command, names []string) error {
			if err := o.Check(names); err != nil {
				return err
			}
			s, err := e.OpenStore(c.Context(), false)
			if err != nil {
				return err
			}
			if len(names) == 0 {
				restores, err := load(c.Context(), e, s, nil, o.Selector)
				if err != nil {
					return err
				}
				for _, r := range restores {
					names = append(names, r.Name)
				}
			}
			if len(names) == 0 {
				_, err := fmt.Fprintln(e.Out, "No restores found")
				return err
			}
			return e.DeleteAll(c.Context(), s, store.Restore, names, o.Confirm)
		},
	}
	o.AddFlags(c.Flags(), "restores")
	return c
}
