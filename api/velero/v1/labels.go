// SPDX-License-Identifier: Apache-2.0

package v1

// Labels with a meaning (Velero's names). Values that are names of objects go through LabelValue.
const (
	// LabelBackupName is on what belongs to a Backup (requests to delete it, volume data, snapshots) and on what
	// was restored from it.
	LabelBackupName = "velero.io/backup-name"
	// LabelBackupUID tells backups of one name apart.
	LabelBackupUID = "velero.io/backup-uid"
	// LabelRestoreName is on what a Restore created: objects, volume data, downloads.
	LabelRestoreName = "velero.io/restore-name"
	// LabelRestoreUID tells restores of one name apart.
	LabelRestoreUID = "velero.io/restore-uid"
	// LabelScheduleName is on Backups made by a Schedule, and on their Restores.
	LabelScheduleName = "velero.io/schedule-name"
	// LabelStorageLocation is on Backups and BackupRepositories: where their data is.
	LabelStorageLocation = "velero.io/storage-location"
	// LabelGCFailure is on an expired Backup that cannot be deleted; its value is one of the GCFailure constants.
	LabelGCFailure = "velero.io/gc-failure"
	// LabelExcludeFromBackup with the value "true" keeps any object, or a whole namespace, out of every backup.
	LabelExcludeFromBackup = "velero.io/exclude-from-backup"

	// LabelVolumeNamespace is on a BackupRepository: the namespace whose volumes it holds.
	LabelVolumeNamespace = "velero.io/volume-namespace"
	// LabelRepositoryType is on a BackupRepository: kopia or restic.
	LabelRepositoryType = "velero.io/repository-type"
	// LabelRepositoryName is on a Job that maintains a repository.
	LabelRepositoryName = "velero.io/repo-name"

	// LabelPodUID is on a PodVolumeRestore: the pod that waits for it.
	LabelPodUID = "velero.io/pod-uid"
	// LabelPVCUID is on volume operations (of pod volumes and of snapshots) whose volume is a claim.
	LabelPVCUID = "velero.io/pvc-uid"
	// LabelPodVolumeBackup is on the pod that works for a PodVolumeBackup; its value is that name.
	LabelPodVolumeBackup = "velero.io/pod-volume-backup"
	// LabelPodVolumeRestore is on the pod that works for a PodVolumeRestore; its value is that name.
	LabelPodVolumeRestore = "velero.io/pod-volume-restore"

	// LabelDataUpload is on the pod and the claim that give a DataUpload its volume.
	LabelDataUpload = "velero.io/data-upload"
	// LabelDataDownload is on the pod and the claim that give a DataDownload its volume.
	LabelDataDownload = "velero.io/data-download"
	// LabelDataUploadSnapshotInfo is "true" on a ConfigMap that keeps a moved snapshot's identity for deletion.
	LabelDataUploadSnapshotInfo = "velero.io/data-upload-snapshot-info"
	// LabelAsyncOperationID is on a DataUpload or DataDownload: the operation that started it.
	LabelAsyncOperationID = "velero.io/async-operation-id"
	// LabelPVCNamespaceName is on a ConfigMap with a DataUploadResult: "namespace.claim".
	LabelPVCNamespaceName = "velero.io/pvc-namespace-name"
	// LabelResourceUsage is on a ConfigMap with a DataUploadResult: ResourceUsageDataUploadResult.
	LabelResourceUsage = "velero.io/resource-usage"
	// LabelExposeOngoing is on a volume operation while its volume is being made reachable.
	LabelExposeOngoing = "velero.io/expose-on-going"
	// LabelExposerPodGroup is on the pods that host volume operations: which kind of hosting they do.
	LabelExposerPodGroup = "velero.io/exposer-pod-group"
	// LabelBackupPVCSecret is on copies of Secrets and ConfigMaps that a volume operation's claim needs; its value is that operation's UID.
	LabelBackupPVCSecret = "velero.io/backup-pvc-secret"

	// LabelVolumeSnapshotName is on what belongs to one VolumeSnapshot, and an annotation on its claim.
	LabelVolumeSnapshotName = "velero.io/volume-snapshot-name"
	// LabelVolumeSnapshotClass is on the VolumeSnapshotClass to use for its driver.
	LabelVolumeSnapshotClass = "velero.io/csi-volumesnapshot-class"
	// LabelVolumeGroupSnapshotClass is "true" on the VolumeGroupSnapshotClass to use for its driver.
	LabelVolumeGroupSnapshotClass = "velero.io/csi-volumegroupsnapshot-class"
	// LabelVolumeGroup groups claims for one consistent snapshot, unless a backup names another label for that.
	LabelVolumeGroup = "velero.io/volume-group"
	// LabelDynamicPVRestore ties a restored claim to the volume that is being filled for it.
	LabelDynamicPVRestore = "velero.io/dynamic-pv-restore"

	// LabelPluginConfig is on a ConfigMap that configures the plugin named by its other label.
	LabelPluginConfig = "velero.io/plugin-config"
	// LabelComponent with the value "velero" is on everything that the installation makes.
	LabelComponent = "component"
)

// Values of LabelGCFailure.
const (
	GCFailureNotFound    = "BSLNotFound"
	GCFailureCannotGet   = "BSLCannotGet"
	GCFailureReadOnly    = "BSLReadOnly"
	GCFailureUnavailable = "BSLUnavailable"
)

// ResourceUsageDataUploadResult is the value of LabelResourceUsage.
const ResourceUsageDataUploadResult = "DataUpload"
