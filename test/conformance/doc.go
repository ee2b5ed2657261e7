// SPDX-License-Identifier: Apache-2.0

// Package conformance holds the restore cases that break backup tools, each with what has to come of it. They run on real API servers with
// the real controllers, against any program that takes Velero's specs: Hozon, and real Velero beside it (`make conformance SUT=velero`).
//
// Its nouns: a SUT is the program under test; a Site is a cluster; a Case is a set of objects (cases/<id>.yaml) with what is done to them and
// what is checked; a Way is how a backup is brought back; a Scene is one case in one way.
//
// All cases are in one backup, and each way is one restore of it: into a new cluster, into new namespaces, and over the changed originals with
// each policy. A case that breaks the run shows in all others.
package conformance
