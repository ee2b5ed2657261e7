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

	// DefaultNamespace is where server, locations, schedules and requests live unless the user says otherwise.
	DefaultNamespace = "velero"
)

// Finalizers.
const (
	// FinalizerRestore keeps a Restore until its files in the bucket and what its volumes left behind are removed.
	FinalizerRestore = "restores.velero.io/external-resources-finalizer"
	// FinalizerPodVolume keeps a PodVolumeBackup or PodVolumeRestore until its data path is closed.
	FinalizerPodVolume = "velero.io/pod-volume-finalizer"
	// FinalizerDataMovement keeps a DataUpload or DataDownload until its data path is closed.
	FinalizerDataMovement = "velero.io/data-upload-download-finalizer"
	// FinalizerSnapshotContent keeps a VolumeSnapshotContent that exists only while a snapshot is moved.
	FinalizerSnapshotContent = "velero.io/volume-snapshot-content-protect-finalizer"
)

// Prefixes of the ids of asynchronous operations: LabelValue of prefix, UID of the run, ".", UID of the claim.
const (
	OperationPrefixDataUpload   = "du-"
	OperationPrefixDataDownload = "dd-"
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
