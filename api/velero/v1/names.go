// SPDX-License-Identifier: Apache-2.0

package v1

import (
	"crypto/sha256"
	"encoding/hex"
)

const (
	Group      = "velero.io"
	APIVersion = "velero.io/v1"

	// FormatVersion is the version of the archive's layout that Hozon writes (Velero's newest, 1.1.0).
	FormatVersion = "1.1.0"
)

// Labels and annotations with a meaning (Velero's names).
const (
	LabelBackupName        = "velero.io/backup-name"
	LabelRestoreName       = "velero.io/restore-name"
	LabelScheduleName      = "velero.io/schedule-name"
	LabelStorageLocation   = "velero.io/storage-location"
	LabelExcludeFromBackup = "velero.io/exclude-from-backup"

	AnnotationSourceGitVersion   = "velero.io/source-cluster-k8s-gitversion"
	AnnotationSourceMajorVersion = "velero.io/source-cluster-k8s-major-version"
	AnnotationSourceMinorVersion = "velero.io/source-cluster-k8s-minor-version"
)

// LabelValue is name as it stands in a label: names of more than 63 characters are cut to 57 and
// get the first six hex digits of their SHA-256, as Velero's GetValidName does.
func LabelValue(name string) string {
	if len(name) <= 63 {
		return name
	}
	sum := sha256.Sum256([]byte(name))
	return name[:57] + hex.EncodeToString(sum[:])[:6]
}
