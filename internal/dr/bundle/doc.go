// SPDX-License-Identifier: Apache-2.0

// Package bundle is the archive of a control plane (doc/format.md, section 10): a .tar.gz that any tar reads, and out of which one file can be read at
// any offset.
//
//	hozon-cluster            "1\n", first
//	etcd/snapshot.db         as etcd wrote it
//	etcd/v2/…                keys.json, member/snap/*.snap, member/wal/*.wal, where there is a v2 store
//	hosts/<host>/files/…     with owner, mode, attributes and SELinux context
//	manifest.json            last: every file with its hash, and where the blocks of the gzip stream begin
//
// Its nouns: a Writer; a Bundle, which is one that was opened; a Manifest; a File, an entry of it; a Block.
//
// Invariants: writing is one stream that never touches a disk; a Bundle was read to its end when it opens, and every file in it had the hash
// of the manifest; whatever is read is hostile.
//
// It neither encrypts (package seal does, around it) nor knows what the files mean.
package bundle

import (
	"archive/tar"
	"strings"
	"time"

	"hozon.dev/hozon/internal/etcd"
)

const (
	// Format is the number that this program writes and the highest that it reads.
	Format = 1

	versionName = "hozon-cluster"
	// Snapshot is the name of etcd's snapshot in the archive.
	Snapshot = "etcd/snapshot.db"
	// V2 is the folder of a v2 store.
	V2 = "etcd/v2/"
	// ManifestName is the name of the last entry.
	ManifestName = "manifest.json"

	blockSize   = 256 << 10 // bytes, uncompressed
	maxManifest = 256 << 20
	maxFiles    = 1 << 20
)

// Manifest says what is in an archive.
type Manifest struct {
	Format   int       `json:"format"`
	Cluster  string    `json:"cluster"`
	Tool     string    `json:"tool"`
	Created  time.Time `json:"created"`
	Expires  time.Time `json:"expires"` // after that its certificates and tokens are likely to be of no use
	Etcd     EtcdFacts `json:"etcd"`
	Hosts    []Host    `json:"hosts"`
	Files    []File    `json:"files"` // every other entry, in their order
	Blocks   []Block   `json:"blocks"`
	Warnings []string  `json:"warnings,omitempty"`
}

// EtcdFacts is what was known of etcd when its snapshot was asked for.
type EtcdFacts struct {
	Host            string        `json:"host"` // that the snapshot comes from
	Version         string        `json:"version"`
	ClusterID       string        `json:"clusterID,omitempty"` // hex
	RevisionAtLeast int64         `json:"revisionAtLeast"`     // before the snapshot; the snapshot's own is in it
	Members         []etcd.Member `json:"members"`
	V2Keys          int           `json:"v2Keys,omitempty"`
}

// Host is a machine that files come from.
type Host struct {
	Name             string    `json:"name"`
	Address          string    `json:"address,omitempty"`
	Layout           string    `json:"layout"`
	Processes        []Process `json:"processes"`
	Member           *Member   `json:"member,omitempty"`           // of etcd, if one runs there
	EncryptionConfig string    `json:"encryptionConfig,omitempty"` // the entry that the API server's --encryption-provider-config names
	Prefix           string    `json:"etcdPrefix,omitempty"`
	Paths            []string  `json:"paths,omitempty"` // that were asked for
}

// Process is a part of the control plane that was running.
type Process struct {
	Name   string   `json:"name"` // "etcd", "kube-apiserver"
	Args   []string `json:"args"`
	Unit   string   `json:"unit,omitempty"`   // of systemd that it belonged to
	Within string   `json:"within,omitempty"` // the program that it was only a part of
}

// Member is how a machine's etcd is set up.
type Member struct {
	Name     string   `json:"name"`
	DataDir  string   `json:"dataDir"`
	WALDir   string   `json:"walDir,omitempty"` // "": below DataDir
	PeerURLs []string `json:"peerURLs"`         // that the others reach it at
	Owner    string   `json:"owner,omitempty"`  // "user:group" of DataDir, or of etcd where that has another path
	IDs      string   `json:"ids,omitempty"`    // the same as numbers: containers' users have no names
	Mode     int64    `json:"mode,omitempty"`   // of DataDir
}

// File is an entry of the archive.
type File struct {
	Name   string `json:"name"`
	Type   string `json:"type"` // "file", "folder", "link"
	Size   int64  `json:"size,omitempty"`
	Mode   int64  `json:"mode"`
	UID    int    `json:"uid"`
	GID    int    `json:"gid"`
	Target string `json:"target,omitempty"` // of a link
	Hard   bool   `json:"hard,omitempty"`   // a link that is a second name of its target, which is an entry of the archive
	SHA256 string `json:"sha256,omitempty"` // lower-case hex

	SELinux    string            `json:"selinux,omitempty"`    // context
	Attributes map[string][]byte `json:"attributes,omitempty"` // extended attributes and ACLs, by the name of their PAX record
}

// Describe makes an entry of a machine's tar into one of a manifest, without hash; false for what archives do not hold.
func Describe(h *tar.Header) (File, bool) {
	f := File{Name: h.Name, Mode: h.Mode, UID: h.Uid, GID: h.Gid}
	switch h.Typeflag {
	case tar.TypeReg:
		f.Type, f.Size = "file", h.Size
	case tar.TypeDir:
		f.Type = "folder"
	case tar.TypeSymlink, tar.TypeLink:
		f.Type, f.Target, f.Hard = "link", h.Linkname, h.Typeflag == tar.TypeLink
	default:
		return f, false // devices and pipes are made anew by who needs them
	}
	for name, value := range h.PAXRecords {
		switch {
		case name == "RHT.security.selinux" || name == "SCHILY.xattr.security.selinux": // tar may write both
			f.SELinux = strings.TrimRight(value, "\x00")
		case strings.HasPrefix(name, "SCHILY.xattr.") || strings.HasPrefix(name, "SCHILY.acl."):
			if f.Attributes == nil {
				f.Attributes = map[string][]byte{}
			}
			f.Attributes[strings.TrimPrefix(name, "SCHILY.")] = []byte(value)
		}
	}
	return f, true
}

// Block is where an independent piece of the gzip stream begins.
type Block struct {
	Offset int64 `json:"o"` // in the file
	Plain  int64 `json:"p"` // in the tar
}
