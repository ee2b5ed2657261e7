// SPDX-License-Identifier: Apache-2.0

// Package seed runs the command lines of two documents that people followed with Velero, as they are written, with hozon for velero: CircleCI's on the backup of
// its server (Amazon, Google with a key and with Workload Identity, S3-compatible storage) and an introduction to Velero on EKS. The
// cluster is real, with a node, and so are the stores; what stands in for the internet is in internet_test.go.
package seed
