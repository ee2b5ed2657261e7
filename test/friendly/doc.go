// SPDX-License-Identifier: Apache-2.0

// Package friendly measures what others feel of a backup and of a restore: the latency of a small client of the same API server.
//
// The promise: its 99th percentile stays under twice what it is alone, plus an allowance (see allowance).
package friendly
