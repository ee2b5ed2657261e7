// SPDX-License-Identifier: Apache-2.0

package store

import (
	"context"
	"encoding/json"
	"time"

	"hozon.dev/hozon/internal/fail"
)

// ManifestFormat is the format number that this program writes, and the highest that it reads.
const ManifestFormat = 1

// FileInfo is one file of a backup.
type FileInfo struct {
	Name   string `json:"name"`
	Size   int64  `json:"size"`             // bytes as stored
	SHA256 string `json:"sha256,omitempty"` // lower-case hex of the stored bytes
}

// Manifest says what belongs to a backup (doc/format.md, section 6).
type Manifest struct {
	Format      int                  `json:"format"`
	Backup      string               `json:"backup"`
	UID         string               `json:"uid,omitempty"`
	Run         string               `json:"run,omitempty"`
	Tool        string               `json:"tool"`
	Started     time.Time            `json:"started"`
	Completed   time.Time            `json:"completed"`
	Cluster     ManifestCluster      `json:"cluster"`
	Consistency Consistency          `json:"consistency"`
	Items       int                  `json:"items"`
	Archive     ManifestArchive      `json:"archive"`
	Index       []ManifestIndexBlock `json:"index"`
	Files       []FileInfo           `json:"files"`
	Volumes     []json.RawMessage    `json:"volumes"` // reserved; empty until volumes are saved
}

// ManifestCluster says where the backup comes from.
type ManifestCluster struct {
	UID     string `json:"uid,omitempty"` // of the namespace kube-system
	Version string `json:"version,omitempty"`
}

// ConsistencyMode says what moment the items belong to.
type ConsistencyMode string

const (
	Exact   ConsistencyMode = "exact" // one resourceVersion for all but the kinds in Own
	PerKind ConsistencyMode = "kind"  // each kind consistent in itself
)

// Consistency says at which resourceVersion the items were listed.
type Consistency struct {
	Mode            ConsistencyMode `json:"mode"`
	ResourceVersion string          `json:"resourceVersion,omitempty"`
	Own             []OwnRevision   `json:"own,omitempty"`
}

// OwnRevision is a kind that has a revision of its own.
type OwnRevision struct {
	Resource        string `json:"resource"` // "events", "deployments.apps"
	ResourceVersion string `json:"resourceVersion,omitempty"`
	Reason          string `json:"reason"`
}

// ManifestArchive describes the archive's stream.
type ManifestArchive struct {
	Blocks       int   `json:"blocks"`
	Uncompressed int64 `json:"uncompressed"` // bytes
}

// ManifestIndexBlock is one block of the index and the first item in it.
type ManifestIndexBlock struct {
	Resource  string `json:"r"`
	Namespace string `json:"ns,omitempty"`
	Name      string `json:"n"`
	Version   string `json:"v"`
	Offset    int64  `json:"offset"`
	Length    int64  `json:"length"`
	Lines     int    `json:"lines"`
}

// Manifest reads the manifest of a backup; fail.NotFound if the backup was made by another tool.
func (s *Store) Manifest(ctx context.Context, backup string) (*Manifest, error) {
	var m Manifest
	if err := s.readJSON(ctx, Backup, backup, ManifestFile, &m); err != nil {
		return nil, err
	}
	switch {
	case m.Format > ManifestFormat:
		return nil, fail.Errorf(fail.Unsupported, "backup %s has format %d; this program knows up to %d: use a newer one", backup, m.Format, ManifestFormat)
	case m.Format < 1:
		return nil, fail.Errorf(fail.Corrupt, "backup %s: manifest without a format number", backup)
	case m.Backup != backup:
		return nil, fail.Errorf(fail.Corrupt, "backup %s: its manifest is that of %q", backup, m.Backup)
	}
	return &m, nil
}

// File finds a file's entry by its name in the folder.
func (m *Manifest) File(name string) (FileInfo, bool) {
	for _, f := range m.Files {
		if f.Name == name {
			return f, true
		}
	}
	return FileInfo{}, false
}

// Lists says that a file belongs to the backup.
func (m *Manifest) Lists(f File) bool {
	_, ok := m.File(f.Of(m.Backup))
	return ok
}
