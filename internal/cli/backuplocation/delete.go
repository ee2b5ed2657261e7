// SPDX-License-Identifier: Apache-2.0

package backuplocation

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	velerov1 "hozon.dev/hozon/api/velero/v1"
	"hozon.dev/hozon/internal/cli/env"
	"hozon.dev/hozon/internal/velero"
)

// NewDelete is `hozon backup-location delete`, and `hozon delete backup-location` under the other name.
func NewDelete(e *env.Env, use string) *cobra.Command {
	c := noun.Delete(e, use, "Take locations from the server, and the records of what is in them", "  hozon backup-location delete second")
	c.Long = `Take locations from the server, and with them the records of their backups and repositories in the cluster.

What is kept in the locations stays there: add the location again, and its backups are back.`
	return c
}

// remove deletes the location, and then what the cluster knows of its contents.
func remove(ctx context.Context, c velero.Client, l *velerov1.BackupStorageLocation) (string, error) {
	selector := velerov1.LabelStorageLocation + "=" + velerov1.LabelValue(l.Name)
	backups, err := velero.Backups.List(ctx, c, selector)
	if err != nil {
		return "", err
	}
	repositories, err := velero.Repositories.List(ctx, c, selector)
	if err != nil {
		return "", err
	}
	if err := velero.StorageLocations.Delete(ctx, c, l.Name); err != nil {
		return "", err
	}
	said := []string{fmt.Sprintf("Backup storage location %q deleted successfully.", l.Name)}
	var errs []error
	for _, b := range backups {
		if err := velero.Backups.Delete(ctx, c, b.Name); err != nil {
			errs = append(errs, err)
			continue
		}
		said = append(said, fmt.Sprintf("Backup associated with deleted BSL(s) %q deleted successfully.", b.Name))
	}
	for _, r := range repositories {
		if err := velero.Repositories.Delete(ctx, c, r.Name); err != nil {
			errs = append(errs, err)
			continue
		}
		said = append(said, fmt.Sprintf("Backup repository associated with deleted BSL(s) %q deleted successfully.", r.Name))
	}
	return strings.Join(said, "\n"), errors.Join(errs...)
}
