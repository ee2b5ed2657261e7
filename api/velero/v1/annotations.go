// SPDX-License-Identifier: Apache-2.0

package v1

// Annotations on Backups and Restores (Velero's names).
const (
	// AnnotationSourceGitVersion, …Major and …Minor are the version of the API server that a backup was taken from.
	AnnotationSourceGitVersion   = "velero.io/source-cluster-k8s-gitversion"
	AnnotationSourceMajorVersion = "velero.io/source-cluster-k8s-major-version"
	AnnotationSourceMinorVersion = "velero.io/source-cluster-k8s-minor-version"
	// AnnotationResourceTimeout carries the server's time limit for single steps to the actions on items.
	AnnotationResourceTimeout = "velero.io/resource-timeout"
	// AnnotationPodVolumeTimeout replaces the server's time limit for volume data in this Backup or Restore.
	AnnotationPodVolumeTimeout = "velero.io/pod-volume-timeout"
	// AnnotationGlobalVolumePolicy names the ConfigMap of the cluster-wide volume policies that took part.
	AnnotationGlobalVolumePolicy = "velero.io/global-backup-volume-policy-configmap"
	// AnnotationSnapshotClassPrefix, with the driver's name in lower case behind it, chooses the VolumeSnapshotClass.
	AnnotationSnapshotClassPrefix = "velero.io/csi-volumesnapshot-class_"
	// AnnotationGroupSnapshotClassPrefix, with the driver's name behind it, chooses the VolumeGroupSnapshotClass.
	AnnotationGroupSnapshotClassPrefix = "velero.io/csi-volumegroupsnapshot-class_"
)

// Annotations on what actions on items return. They are for the engine and are not written.
const (
	// AnnotationSkipFromBackup, whatever its value, keeps an item out of the backup.
	AnnotationSkipFromBackup = "velero.io/skip-from-backup"
	// AnnotationMustIncludeBackup, "true", takes the item's further items in past all filters.
	AnnotationMustIncludeBackup = "backup.velero.io/must-include-additional-items"
	// AnnotationMustIncludeRestore is the same for a restore.
	AnnotationMustIncludeRestore = "restore.velero.io/must-include-additional-items"
	// AnnotationSkippedNoCSI marks a claim whose volume is none of CSI, and so got no CSI snapshot.
	AnnotationSkippedNoCSI = "backup.velero.io/skipped-no-csi-pv"
)

// Annotations on pods, set by users.
const (
	// AnnotationBackupVolumes lists, with commas, the volumes of a pod to save file by file.
	AnnotationBackupVolumes = "backup.velero.io/backup-volumes"
	// AnnotationBackupVolumesExcludes lists those not to save, where all others are.
	AnnotationBackupVolumesExcludes = "backup.velero.io/backup-volumes-excludes"
	// AnnotationSnapshotPrefix, with a volume's name behind it, held a restic snapshot's id in very old backups.
	AnnotationSnapshotPrefix = "snapshot.velero.io/"
)

// Annotations on pods that define hooks. A backup hook's key may begin with "pre." or "post."; without, it is a pre hook.
const (
	HookBackupContainer = "hook.backup.velero.io/container"
	HookBackupCommand   = "hook.backup.velero.io/command"
	HookBackupOnError   = "hook.backup.velero.io/on-error"
	HookBackupTimeout   = "hook.backup.velero.io/timeout"

	HookRestoreContainer    = "post.hook.restore.velero.io/container"
	HookRestoreCommand      = "post.hook.restore.velero.io/command"
	HookRestoreOnError      = "post.hook.restore.velero.io/on-error"
	HookRestoreExecTimeout  = "post.hook.restore.velero.io/exec-timeout"
	HookRestoreWaitTimeout  = "post.hook.restore.velero.io/wait-timeout"
	HookRestoreWaitForReady = "post.hook.restore.velero.io/wait-for-ready"

	HookInitImage   = "init.hook.restore.velero.io/container-image"
	HookInitName    = "init.hook.restore.velero.io/container-name"
	HookInitCommand = "init.hook.restore.velero.io/command"
	HookInitTimeout = "init.hook.restore.velero.io/timeout"
)

// Annotations about volumes and snapshots.
const (
	// AnnotationSnapshotHandle, …RestoreSize, …Driver and …DeletionPolicy are on VolumeSnapshots and their contents in
	// an archive: what a restore needs to make them again.
	AnnotationSnapshotHandle         = "velero.io/csi-volumesnapshot-handle"
	AnnotationSnapshotRestoreSize    = "velero.io/csi-volumesnapshot-restore-size"
	AnnotationSnapshotDriver         = "velero.io/csi-driver-name"
	AnnotationSnapshotDeletionPolicy = "velero.io/csi-vsc-deletion-policy"
	// AnnotationGroupSnapshotHandle marks a snapshot that was taken as a member of a group.
	AnnotationGroupSnapshotHandle = "velero.io/csi-volumegroupsnapshot-handle"
	// AnnotationSnapshotClass on a claim chooses its VolumeSnapshotClass.
	AnnotationSnapshotClass = "velero.io/csi-volumesnapshot-class"
	// AnnotationGroupSnapshotClass on a claim chooses its VolumeGroupSnapshotClass.
	AnnotationGroupSnapshotClass = "velero.io/csi-volume-group-snapshot-class"
	// AnnotationDefaultSnapshotClass is Kubernetes' own mark of a default VolumeSnapshotClass.
	AnnotationDefaultSnapshotClass = "snapshot.storage.kubernetes.io/is-default-class"

	// AnnotationSnapshotterSecretName and its three peers are the CSI snapshotter's: which Secret a driver needs.
	AnnotationSnapshotterSecretName          = "csi.storage.k8s.io/snapshotter-secret-name"
	AnnotationSnapshotterSecretNamespace     = "csi.storage.k8s.io/snapshotter-secret-namespace"
	AnnotationSnapshotterListSecretName      = "csi.storage.k8s.io/snapshotter-list-secret-name"
	AnnotationSnapshotterListSecretNamespace = "csi.storage.k8s.io/snapshotter-list-secret-namespace"

	// AnnotationDataUploadName is on a claim in an archive: "namespace/name" of the DataUpload with its data.
	AnnotationDataUploadName = "velero.io/data-upload-name"
	// AnnotationPVCName is on a PodVolumeBackup whose volume is a claim.
	AnnotationPVCName = "velero.io/pvc-name"
	// AnnotationOriginalPVName is on a PersistentVolume that was restored under a new name.
	AnnotationOriginalPVName = "velero.io/original-pv-name"
)

// AnnotationRestoreStatus on any object, "true" or "false", decides for it alone whether its status is restored.
const AnnotationRestoreStatus = "velero.io/restore-status"

// Annotations of Hozon.
const (
	// AnnotationRun is the id of the run that is, or was last, carrying it out.
	AnnotationRun = "hozon.dev/run"
	// AnnotationAttempt counts the runs, from 1.
	AnnotationAttempt = "hozon.dev/attempt"
	// AnnotationCancel, "true", asks for the end of what waits or runs.
	AnnotationCancel = "hozon.dev/cancel"
	// AnnotationAllowFailed, "true", on a Restore takes backups that failed.
	AnnotationAllowFailed = "hozon.dev/allow-failed"
	// AnnotationRetry is on a Backup that a Schedule made at its time: how often one that failed has been made again before it.
	AnnotationRetry = "hozon.dev/retry"
	// AnnotationArchiveBytes on a Backup is the size of its archive, for the metric.
	AnnotationArchiveBytes = "hozon.dev/archive-bytes"
	// AnnotationVerified on a Backup is when the server last read all of it, and AnnotationDamage what is wrong with it.
	AnnotationVerified = "hozon.dev/verified"
	AnnotationDamage   = "hozon.dev/damage"
	// AnnotationStream on a DownloadRequest is where the server itself hands out the file: "pod:port/path?query", for the API server's proxy.
	AnnotationStream = "hozon.dev/stream"
	// AnnotationObjectStore, "plugin", on a BackupStorageLocation takes a plugin even where a store of that provider is built in.
	AnnotationObjectStore = "hozon.dev/object-store"
	// AnnotationUsage on a BackupRepository is a RepositoryUsage in JSON: what maintenance counted last.
	AnnotationUsage = "hozon.dev/usage"
)
