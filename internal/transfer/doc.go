// SPDX-License-Identifier: Apache-2.0

// Package transfer copies a tree of files over a pair of streams and sends only what has changed.
//
// The sender walks its tree and sends Entries in batches, in the order of their names, folders before what is in them. The
// receiver compares each with what it has, makes folders and links, and answers with the files of the batch whose bytes
// it wants, and from which offset; the sender sends them after the next batch of entries, so that no round trip is
// waited for. Client and Serve are the two ends: either of them may be the sender.
//
// Invariants:
//   - What the sender says is hostile to the receiver. Names are single components, opened one folder at a time without
//     following links, so that nothing outside of the receiver's folder is read or written; order, sizes and numbers are checked.
//   - A file is written beside its place and moved there when it is whole: what was right stays right. What a broken
//     connection leaves of a big file is gone on from, after both ends have compared the hash of that part.
//   - Memory is bounded by two batches, of a snapshot also by eight files that are written side by side (four pieces of a megabyte each), the listings of the folders from the root to the current one, and one path for each file
//     with several names.
//   - What concerns one file (it cannot be read, its name cannot be held) is a Problem of that file and does not end the run; a full
//     disk or a read-only volume does.
//
// Kept are: bytes, holes, mode, owner, times, extended attributes (Linux), hard and symbolic links, pipes; devices only on request.
// It knows nothing of clusters; internal/transfer/pod brings the streams.
package transfer
