// SPDX-License-Identifier: Apache-2.0

// Package plan decides a restore: from what a backup holds (entries), what is asked for (the Restore's spec) and what is known of
// the target (facts) it makes a Plan, the ordered stages of steps that package apply executes, and the reasons for everything that is
// left out.
//
// Its nouns: an Entry is what one look at an item of the archive found out; a Level is a place in the order in which kinds depend
// on each other; a Stage is a set of steps that may run side by side, with a barrier after it; a Step is one object to make,
// in the target's names.
//
// Invariants: Build is pure and deterministic, the same input gives the same plan; every entry that the spec selects is either in a
// stage or among the skips with a reason; an owner comes before what it owns, but for the built-in workload chains, which go
// bottom-up and are adopted by their controllers.
//
// The package does not read archives, does not talk to a cluster, and does not look into bodies (package rule does).
package plan
