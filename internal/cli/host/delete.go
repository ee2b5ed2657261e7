// SPDX-License-Identifier: Apache-2.0

package host

import (
	"fmt"

	"github.com/spf13/cobra"

	"hozon.dev/hozon/internal/cli/env"
	"hozon.dev/hozon/internal/dr/hostset"
)

func newDelete(e *env.Env) *cobra.Command {
	var confirmed bool
	c := &cobra.Command{
		Use:     "delete NAME...",
		Short:   "Delete host backups from a store",
		Example: "  hozon host delete before-upgrade --store /srv/backups",
		Args:    cobra.MinimumNArgs(1),
		RunE: func(c *cobra.Command, names []string) error {
			st, err := e.OpenStore(c.Context(), false)
			if err != nil {
				return err
			}
			return e.DeleteEach(names, confirmed, st.String(), func(name string) (string, error) {
				return fmt.Sprintf("Host backup %q has been deleted.", name), hostset.Delete(c.Context(), st, name)
			})
		},
	}
	c.Flags().BoolVar(&confirmed, "confirm", false, "Do not ask.")
	return c
}
