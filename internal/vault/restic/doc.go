// SPDX-License-Identifier: Apache-2.0

// Package restic reads repositories that restic wrote, of format 1 and 2, as Velero before 1.15 and KOTS have them below restic/<namespace>/
// of a location. It never writes.
//
//	config, keys/, snapshots/, index/   small files, each named by the SHA-256 of its bytes
//	data/ab/ab…                         packs: pieces of files and folders (blobs), each encrypted by itself, and a header at the end
//
// A key file holds the master key, encrypted with a key that scrypt makes of the password. Everything else is AES-256-CTR with a
// Poly1305-AES MAC. Format 2 compresses with zstd. A blob is named by the SHA-256 of what it holds.
//
// Beside what package vault promises:
//   - the index is kept in memory: 32 bytes for each piece, 20 MiB for a terabyte of big files;
//   - where an index file is damaged, what it described is found by the headers of the packs;
//   - locks are neither made nor heeded. A prune at the same time can take away what is being read, which shows as damage.
package restic
