// SPDX-License-Identifier: Apache-2.0

// Package perform carries hooks out: it runs commands in pods, and says what came of them.
//
//	hooks of a pod ── one after the other ──► exec stream ──► report.Hook: outcome, output, duration
//
// Its nouns: a Runner runs the hooks of one pod; a Waiter waits for a restored pod and then runs its.
//
// Invariants:
//   - No command outlives its timeout as far as the caller is concerned: the stream is cut. What becomes of the process in the
//     container is up to its runtime.
//   - Of what a command prints at most 4 KiB are kept.
//   - After a hook that failed and whose onError is Fail, the pod's further hooks are skipped, and reported as that.
//
// Which hooks there are is decided by package hook; that a post hook is not forgotten is the caller's concern.
package perform
