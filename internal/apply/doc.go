// SPDX-License-Identifier: Apache-2.0

// Package apply executes the stages of a plan on a cluster.
//
// Its nouns: a Run is the execution of one plan; a Job is a step with the saved bytes of its object; what came of each is a
// report.Item. An object costs two calls: POST without looking first, then PUT of the POST's own response with
// only the saved managedFields exchanged.
//
// Invariants:
//   - a failed object never ends a run: it is an outcome, with the API server's message. Only a cancelled context ends one;
//   - nothing that exists is changed unless the policy says so (the labels and secrets that are merged into service accounts
//     excepted, as in Velero);
//   - no ownerReference is written whose owner was not seen alive;
//   - the number of calls under way follows the server: it grows while few of them wait there, falls when many do, and is halved on 429;
//   - memory is bounded by the bytes of the jobs under way.
//
// The package decides nothing about order and selection (package plan does), and does not know archives or stores.
package apply
