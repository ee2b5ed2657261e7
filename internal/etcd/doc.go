// SPDX-License-Identifier: Apache-2.0

// Package etcd reads a snapshot of etcd v3 where it lies, without an etcd and without unpacking it.
//
//	snapshot   a bbolt file (package bolt), then, if etcd's Snapshot call wrote it, the SHA-256 of all of it
//	bucket key one record for each revision: 8 bytes main, '_', 8 bytes sub, and 't' if the key was deleted
//	live keys  for each key the last record, unless that is a deletion
//
// Its nouns: a Snapshot is the file; a Status is what etcd says about itself in it; Live is the table of the keys that exist at the
// snapshot's revision; a KV is one of them.
//
// Invariants: memory is one page of the file at a time, and for Live about 100 bytes a key more than its name; a snapshot that ends with its hash
// is only believed when the hash is right; whatever is read is hostile, and what does not fit ends with fail.Corrupt.
//
// It knows nothing of Kubernetes and never sees a cluster or a store.
package etcd

import (
	"context"
	"crypto/sha256"
	"fmt"
	"io"

	"hozon.dev/hozon/internal/etcd/bolt"
	"hozon.dev/hozon/internal/fail"
)

// trailer is the hash that etcd appends; pages are multiples of 512 bytes, which tells files with it from files without.
const trailer = sha256.Size

// Snapshot is a file that holds etcd's database.
type Snapshot struct {
	Size   int64 // bytes of the file
	Hashed bool  // the file ends with its hash; false for a file that was copied from a member's data folder

	r       io.ReaderAt
	db      *bolt.DB
	buckets map[string]*bolt.Bucket
	names   []string // of the buckets, sorted
}

// Open reads the outermost parts of a snapshot of size bytes. Check reads the rest.
func Open(r io.ReaderAt, size int64) (*Snapshot, error) {
	if err := refuseCompressed(r, size); err != nil {
		return nil, err
	}
	s := &Snapshot{Size: size, Hashed: size%512 == trailer, r: r, buckets: map[string]*bolt.Bucket{}}
	if size%512 != 0 && !s.Hashed {
		return nil, fail.Errorf(fail.Corrupt, "%d bytes are neither an etcd database nor a snapshot with its hash: it was cut off or is something else", size)
	}
	db, err := bolt.Open(r, s.body())
	if err != nil {
		return nil, err
	}
	s.db = db
	all, err := db.Buckets()
	if err != nil {
		return nil, err
	}
	for i := range all {
		s.buckets[all[i].Name] = &all[i]
		s.names = append(s.names, all[i].Name)
	}
	for _, name := range []string{"key", "meta"} {
		if s.buckets[name] == nil {
			return nil, fail.Errorf(fail.Corrupt, "the database has no bucket %q: it is not etcd's", name)
		}
	}
	return s, nil
}

// refuseCompressed tells people whose tool packs its snapshots (k3s does, as zip) what to do.
func refuseCompressed(r io.ReaderAt, size int64) error {
	var head [2]byte
	if size < int64(len(head)) {
		return nil
	}
	if _, err := r.ReadAt(head[:], 0); err != nil {
		return err
	}
	if m := string(head[:]); m == "\x1f\x8b" || m == "PK" {
		return fail.Errorf(fail.Invalid, "the file is compressed: unpack it first (gunzip, unzip)")
	}
	return nil
}

// body is the length of the file without the hash.
func (s *Snapshot) body() int64 {
	if s.Hashed {
		return s.Size - trailer
	}
	return s.Size
}

// Check reads the whole file and compares it with the hash at its end. Without a hash there is nothing to compare: see Hashed.
func (s *Snapshot) Check(ctx context.Context) error {
	if !s.Hashed {
		return nil
	}
	sum := sha256.New()
	if _, err := io.CopyBuffer(sum, reader{ctx, io.NewSectionReader(s.r, 0, s.body())}, make([]byte, 1<<20)); err != nil {
		return fmt.Errorf("check the snapshot's hash: %w", err)
	}
	return s.CheckSum([sha256.Size]byte(sum.Sum(nil)))
}

// CheckSum is Check for who knows the SHA-256 of all but the last 32 bytes already.
func (s *Snapshot) CheckSum(sum [sha256.Size]byte) error {
	var want [trailer]byte
	if _, err := s.r.ReadAt(want[:], s.body()); err != nil && err != io.EOF {
		return fmt.Errorf("read the snapshot's hash: %w", err)
	}
	if sum != want {
		return fail.Errorf(fail.Corrupt, "the snapshot's SHA-256 is not the one that it ends with: its bytes were changed; use another copy")
	}
	return nil
}

// reader ends with its context.
type reader struct {
	ctx context.Context
	io.Reader
}

func (r reader) Read(p []byte) (int, error) {
	if err := r.ctx.Err(); err != nil {
		return 0, err
	}
	return r.Reader.Read(p)
}
