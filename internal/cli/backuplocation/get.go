// SPDX-License-Identifier: Apache-2.0

package backuplocation

import (
	"cmp"
	"path"
	"slices"

	"github.com/spf13/cobra"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	velerov1 "hozon.dev/hozon/api/velero/v1"
	"hozon.dev/hozon/internal/cli/env"
)

// NewGet is `hozon backup-location get`, and `hozon get backup-locations` under the other name.
func NewGet(e *env.Env, use string) *cobra.Command {
	n, onlyDefault := noun, false
	n.Keep = func(items []*velerov1.BackupStorageLocation) []*velerov1.BackupStorageLocation {
		return slices.DeleteFunc(items, func(l *velerov1.BackupStorageLocation) bool { return onlyDefault && !l.Spec.Default })
	}
	c := n.Get(e, use, "  hozon backup-location get\n  hozon backup-location get --default -o yaml")
	c.Flags().BoolVar(&onlyDefault, "default", false, "Only the default location.")
	return c
}

func table(_ *env.Env, locations []*velerov1.BackupStorageLocation) env.Table {
	t := env.Table{Columns: []string{"NAME", "PROVIDER", "BUCKET/PREFIX", "PHASE", "LAST VALIDATED", "ACCESS MODE", "DEFAULT"}}
	for _, l := range locations {
		isDefault := ""
		if l.Spec.Default {
			isDefault = "true"
		}
		t.Rows = append(t.Rows, []any{l.Name, l.Spec.Provider, where(l), cmp.Or(string(l.Status.Phase), "Unknown"), validated(l.Status.LastValidationTime),
			cmp.Or(string(l.Spec.AccessMode), string(velerov1.BackupStorageLocationAccessModeReadWrite)), isDefault})
	}
	return t
}

func where(l *velerov1.BackupStorageLocation) string {
	if l.Spec.ObjectStorage == nil {
		return ""
	}
	return path.Join(l.Spec.ObjectStorage.Bucket, l.Spec.ObjectStorage.Prefix)
}

func validated(t *metav1.Time) string {
	if t == nil {
		return "Unknown"
	}
	return env.TimeText(t)
}
