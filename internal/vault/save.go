// SPDX-License-Identifier: Apache-2.0

package vault

import "time"

// Source says of which volume a snapshot is.
type Source struct {
	Requestor string // who asks; empty: SnapshotPodVolume
	Namespace string
	Pod       string // empty: the volume is saved without one
	Volume    string // the claim's name, or the volume's in the pod where there is no claim
	// Tags are kept with the snapshot, beside those that say who asked.
	Tags map[string]string
}

// SnapshotPodVolume is the requestor of volumes that a node agent saves.
const SnapshotPodVolume = "snapshot-pod-volume"

// SaveOptions say how a folder is saved.
type SaveOptions struct {
	Parallel int // files that are read side by side; 0: as many as there are processors
	// Progress is told bytes: those that are dealt with, and how many there are as far as is known. It is called from several goroutines, for every
	// file and every megabyte, and must return at once.
	Progress func(done, total int64)
}

// Saved is what came of a folder that was saved.
type Saved struct {
	Snapshot    Snapshot
	Incremental int64 // bytes that were read: of files that are new, or have changed
	Failed      int64 // problems, more than are listed if there are many
	Lost        int64 // of these, names that were there and could not be read
	Problems    []Problem
}

// MaxProblems is how many are listed.
const MaxProblems = 100

// Problem is a name that could not be saved as it is. Everything else was.
type Problem struct {
	Path string `json:"path"`
	Text string `json:"text"`
	// Changing says that the name vanished, or its content changed, while the volume was saved, as in volumes that are in use.
	Changing bool `json:"changing,omitempty"`
}

// Usage is what a repository holds.
type Usage struct {
	Snapshots   int       `json:"snapshots"`
	Logical     int64     `json:"logicalBytes"`     // files of all snapshots, each counted by itself
	Stored      int64     `json:"storedBytes"`      // objects in the bucket
	Reclaimable int64     `json:"reclaimableBytes"` // of these, what no snapshot needed when full maintenance ran last, or what was forgotten since
	Counted     time.Time `json:"counted,omitzero"` // when full maintenance last counted what can be reclaimed
}

// Maintenance is what a run of it did.
type Maintenance struct {
	Mode   string    `json:"mode"` // full, quick, or none: it was not due
	Start  time.Time `json:"start"`
	End    time.Time `json:"end"`
	Before int64     `json:"before"` // bytes stored
	After  int64     `json:"after"`
}
