// SPDX-License-Identifier: Apache-2.0

package store

import "strings"

// File names a file of a backup or of a restore; "*" stands for the owner's name.
type File string

// The files of a backup, below backups/<b>/.
const (
	BackupRecord     File = "velero-backup.json" // the commit record
	ManifestFile     File = "hozon-manifest.json"
	Archive          File = "*.tar.gz"
	Index            File = "hozon-index.gz"
	Logs             File = "*-logs.gz"
	Results          File = "*-results.gz"
	ResourceList     File = "*-resource-list.json.gz"
	VolumeInfo       File = "*-volumeinfo.json.gz"
	PodVolumeBackups File = "*-podvolumebackups.json.gz"
	VolumeSnapshots  File = "*-volumesnapshots.json.gz"
	ItemOperations   File = "*-itemoperations.json.gz"
	Hooks            File = "hozon-hooks.json.gz" // only if there were any
)

// The files of a restore, below restores/<r>/.
const (
	RestoreRecord         File = "hozon-restore.json" // the commit record of a restore run in store mode
	RestoreReport         File = "hozon-report.json.gz"
	RestoreLogs           File = "restore-*-logs.gz"
	RestoreResults        File = "restore-*-results.gz"
	RestoreResourceList   File = "restore-*-resource-list.json.gz"
	RestoreItemOperations File = "restore-*-itemoperations.json.gz"
	RestoreVolumeInfo     File = "*-volumeinfo.json.gz"
	RestoreHooks          File = "hozon-hooks.json.gz" // only if there were any
)

// Of is the file's name in the folder of owner.
func (f File) Of(owner string) string { return strings.ReplaceAll(string(f), "*", owner) }

// Sort of thing that a folder of its own holds.
type Sort string

const (
	Backup  Sort = "backup"
	Restore Sort = "restore"
)

// dir is the folder of one backup or restore, with a slash at the end.
func (s Sort) dir(name string) string { return string(s) + "s/" + name + "/" }

// record is the file whose presence makes it exist.
func (s Sort) record() File {
	if s == Backup {
		return BackupRecord
	}
	return RestoreRecord
}
