// SPDX-License-Identifier: Apache-2.0

// Package archive writes and reads the items of a backup: the archive <b>.tar.gz, which is Velero's
// format 1.1.0, and the index hozon-index.gz beside it (doc/format.md, sections 4 and 5).
//
// The file is one gzip member. Its deflate stream is a row of blocks that do not refer to each other:
//
//	gzip header, 10 bytes
//	block 0     metadata/version                                            ── tar, one stream over all blocks
//	block 1…n   resources/deployments.apps/namespaces/shop/web.json         ─┐ both copies of an item
//	            resources/deployments.apps/v1-preferredversion/namespaces/… ─┘ in one block; 1 MiB and more
//	block n+1   the tar trailer, 1024 zero bytes
//	empty final deflate block, CRC-32, length
//
// So every gzip reader reads it, blocks are compressed side by side, and one item is read by one range request.
//
// The nouns: an Item goes into a Writer through a Lane, of which each producing goroutine has its own; an Entry comes
// out of Read, one for each file in the tar, so two for most objects; an IndexEntry says where an item lies;
// an IndexBlock says which items a block of the index begins with. ReadItem is the way from there to the bytes.
//
// Writing:
//
//	w := archive.NewWriter(file, archive.Options{Modified: now})
//	lane := w.Lane()             // in every goroutine; lanes run side by side
//	err := lane.Add(item)        // fail.Exists, fail.Invalid: this item is not in the archive, the lane goes on
//	err = lane.Close()
//	summary, err := w.Close()    // or w.Abort(reason), which lets every lane go
//	index, err := w.WriteIndex(indexFile)
//	for entry := range w.Index() { … } // the same without bodies, for resource lists
//
// Reading:
//
//	archive.Read(file, archive.ReadOptions{}, func(e archive.Entry) error { … })
//	first, end := archive.Find(blocks, ref) // of the manifest's table: the blocks to fetch
//	archive.ReadIndexBlock(part, blocks[first], func(e archive.IndexEntry) error { … })
//	body, err := archive.ReadItem(part, entry) // part: entry.Block of the file
//	archive.Verify(indexFile, file, archive.ReadOptions{}, func(e archive.Entry) error { … })
//
// Invariants:
//   - nothing touches a disk, and memory is bounded: some blocks in flight and about 100 bytes an item for the writer
//     and for Verify, one entry and about 16 bytes an entry for Read;
//   - whatever is read is hostile. What doc/format.md calls refused ends the reading with fail.Corrupt
//     (fail.Unsupported for another format version) and names entry and offset; what it calls an error of
//     the item arrives as Entry.Err. An error that a reader or a callback returns is passed on with its own kind;
//   - what a Writer wrote, Read accepts;
//   - both work with names that doc/format.md leaves open: up to 1024 bytes for a name, 4096 for a path.
//
// The package does not know buckets, clusters, the manifest, or what an object means.
package archive
