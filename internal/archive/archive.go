// SPDX-License-Identifier: Apache-2.0

package archive

import (
	"crypto/sha256"
	"time"

	"hozon.dev/hozon/internal/object"
)

// MaxItem is the length in bytes of the longest body that is written or read (doc/format.md, section 4).
const MaxItem = 32 << 20

// DefaultLevel is what a Writer uses for level 0. 10,000 items of 4 kB, 89 MB of tar, with hashes and index, on a
// Xeon of two cores (processor time; BenchmarkWrite): level 1 takes 0.21 s for 8.5 MB, 2 0.23 s for 6.6, 3 0.23 s for 6.4, 4 0.30 s for
// 6.4, 5 0.31 s for 5.9, 6 0.38 s for 5.7. The second copies are a quarter of the time.
const DefaultLevel = 3

// Item is one object in one version, to be written.
type Item struct {
	Ref       object.Ref
	Version   string // "v1"
	Kind      string
	Preferred bool   // Version is the preferred one, of which there is one for each resource
	Body      []byte // complete JSON object; read during Add only
}

// Options say how an archive is written. The zero value will do, but for Modified.
type Options struct {
	Level    int       // of deflate, 1 to 9; 0: DefaultLevel
	Workers  int       // goroutines that compress; 0: 2
	Modified time.Time // of every file in the tar, to the second
}

// Summary is what was written.
type Summary struct {
	Items        int
	Blocks       int   // of deflate, first and last included, without the empty final one
	Uncompressed int64 // bytes of tar
	Size         int64 // bytes of the file
}

// IndexSummary is the index that was written.
type IndexSummary struct {
	Blocks []IndexBlock
	Items  int
	Size   int64 // bytes of the file
}

// IndexBlock is a block of the index. The list of them lies in the manifest.
type IndexBlock struct {
	First          object.Ref // of the first line
	Version        string     // of the first line
	Offset, Length int64      // bytes in the file
	Lines          int
}

// Span is a part of a file, in bytes.
type Span struct{ Offset, Length int64 }

// IndexEntry says where an item lies and what it must be.
type IndexEntry struct {
	Ref       object.Ref
	Version   string
	Kind      string
	Preferred bool
	Block     Span  // the block, in the archive's file
	Offset    int64 // of the body in the inflated block
	Size      int64 // of the body
	Hash      [sha256.Size]byte
}

// ReadOptions bound the reading. The zero value will do.
type ReadOptions struct {
	MaxEntries int // refuse an archive with more; 0: 16,777,216
}

// Entry is one file of the archive below resources/.
type Entry struct {
	Path        string
	Offset      int64 // of the body in the inflated tar
	Ref         object.Ref
	Version     string      // from the path, or from the body's apiVersion; empty if neither says
	Unversioned bool        // the path without version, which Velero's restores read; the preferred version
	Preferred   bool        // the path says <version>-preferredversion, or is unversioned
	Body        []byte      // valid during the call only
	Head        object.Head // of the body, and as short-lived; empty if it is not an object
	Err         error       // what is wrong with this item; the others are not touched by it
}

// ReadSummary is what was read.
type ReadSummary struct {
	Format       string // the content of metadata/version, "1.1.0"
	Entries      int    // files in the tar, of all kinds
	Items        int    // unversioned paths: objects
	Versioned    int    // paths with a version: further copies and versions
	Uncompressed int64  // bytes of tar
	Size         int64  // bytes of the file
}
