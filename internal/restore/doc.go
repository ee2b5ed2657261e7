// SPDX-License-Identifier: Apache-2.0

// Package restore is the engine that brings a backup back: it reads the archive once to know what is in it, has a plan made
// (package plan), and feeds the plan's stages, level by level, to package apply.
//
// Its nouns: an Engine has a target and a store; a Run of it carries out one Restore and returns its Result; an Observer is told
// how far it is.
//
// Invariants:
//   - nothing is created before the whole archive, or of a small part of a backup all that it needs (doc/decision/0005), was read and
//     found sound; what is wrong with a single item is an entry of the report;
//   - memory is bounded: what is known of the items, about 100 bytes and the name for each, and the bodies of the objects under
//     way; all bodies, if they are few;
//   - the records of a restore (doc/format.md, section 7) are written last; a run that was cancelled leaves none.
//
// The package knows neither flags nor terminals, and leaves volume data to others: Volumes makes
// volumes out of native snapshots, and is asked when the volume does not exist; a Filler fills claims with saved files before anything is made that could use them.
package restore
