// SPDX-License-Identifier: Apache-2.0

// Package crash breaks things on purpose and looks at what is left.
//
//   - Every single store operation of a backup, a deletion, a verification and of the records of a restore goes wrong once, in every way
//     that it can: TestStoreFaults… The order of these operations is a golden file (testdata/order.txt).
//   - The real program is killed at random moments: TestKill… HOZON_CRASH_RUNS sets how often (8; `make crash`: 50), HOZON_SEED repeats a run.
//   - The API server and the S3 server go away, fail, throttle and forget: TestOutage…, TestFaulty…, TestWindow…
//
// What has to hold afterwards is always the same: a backup is listed and intact, or it is not listed and the next command
// clears away what there is of it; and doing it again under the same name works.
package crash
