// SPDX-License-Identifier: Apache-2.0

package restore

import (
	"context"
	"fmt"

	"github.com/spf13/cobra"

	velerov1 "hozon.dev/hozon/api/velero/v1"
	"hozon.dev/hozon/internal/cli/env"
	"hozon.dev/hozon/internal/velero"
)

// NewDelete is `hozon restore delete`, and `hozon delete restore` under the other name. It deletes records, never objects of the cluster.
func NewDelete(e *env.Env, use string) *cobra.Command {
	return noun.Delete(e, use, "Delete the records of restores (nothing in the cluster)", "  hozon restore delete monday-20261120093000 --store /srv/backups")
}

// remove deletes the object; the server removes the files before it lets it go.
func remove(ctx context.Context, c velero.Client, r *velerov1.Restore) (string, error) {
	said := fmt.Sprintf("Request to delete restore %q submitted successfully.\n"+
		"The restore will be fully deleted after all associated data (restore files in object storage) are removed.", r.Name)
	return said, velero.Restores.Delete(ctx, c, r.Name)
}
