// SPDX-License-Identifier: Apache-2.0

// Package scale looks at what becomes of time and memory when a cluster is large.
//
// TestScale fills one control plane step by step and lets the real program, in a memory cgroup of 256 MiB, back it up
// into a folder and into a bucket, verify, plan a whole restore, restore a part, and restore everything into an empty cluster, at each step. HOZON_SCALE is the number of
// objects (default 3,000; `make scale`: 300,000, with steps at 10,000 and 100,000). What has to hold:
//
//   - Everything completes inside of the cgroup.
//   - The peak of a process stays below 96 MiB at 100,000 objects.
//   - The processor time for an object is no more than a fifth above that at 10,000 objects.
//
// Peaks are those of the resident set (VmHWM), which has the pages of the program itself in it. The cgroup also counts the page
// cache of what is written; that is given back under pressure and is no need of memory.
//
// The objects are copies of real ones, put into etcd side by side: an API server takes minutes for what etcd takes seconds for,
// and a reader sees no difference.
package scale
