// SPDX-License-Identifier: Apache-2.0

// Package store knows where things lie in a bucket (doc/format.md, sections 2, 3, 7 and 8) and the one
// rule that makes them trustworthy: payloads first, the commit record last, nothing changed after it.
//
// Its nouns: a Store is a bucket that holds backups; a File is the name of one file of a backup or restore; a Draft is a
// backup or restore that is being written and that nobody can see; a claim is the mark in the
// bucket that says whose draft it is.
//
// Invariants:
//   - what Backups lists is complete: a crash at any point leaves a draft either committed or unlisted;
//   - two runs never write one backup: the claim is taken with a conditional put and checked again before the commit;
//   - names that come from the bucket are checked before they are used as keys.
//
// The package does not know what is inside of an archive, and never sees a cluster.
package store
