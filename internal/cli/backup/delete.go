// SPDX-License-Identifier: Apache-2.0

package backup

import (
	"context"
	"fmt"

	"github.com/spf13/cobra"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	velerov1 "hozon.dev/hozon/api/velero/v1"
	"hozon.dev/hozon/internal/cli/env"
	"hozon.dev/hozon/internal/velero"
)

// NewDelete is `hozon backup delete`, and `hozon delete backup` under the other name.
func NewDelete(e *env.Env, use string) *cobra.Command {
	return noun.Delete(e, use, "Delete backups", `  hozon backup delete monday --store /srv/backups
  hozon backup delete -l purpose=test --confirm
  hozon backup delete --all`)
}

// requestDeletion asks the server to delete a backup and all that belongs to it.
func requestDeletion(ctx context.Context, c velero.Client, b *velerov1.Backup) (string, error) {
	_, err := velero.DeleteRequests.Create(ctx, c, &velerov1.DeleteBackupRequest{
		TypeMeta: velero.DeleteRequests.TypeMeta(),
		ObjectMeta: metav1.ObjectMeta{
			Namespace: c.Namespace, GenerateName: b.Name + "-",
			Labels: map[string]string{velerov1.LabelBackupName: velerov1.LabelValue(b.Name), velerov1.LabelBackupUID: string(b.UID)},
		},
		Spec: velerov1.DeleteBackupRequestSpec{BackupName: b.Name},
	})
	return fmt.Sprintf("Request to delete backup %q submitted successfully.\n"+
		"The backup will be fully deleted after all associated data (disk snapshots, backup files, restores) are removed.", b.Name), err
}
