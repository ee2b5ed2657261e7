// SPDX-License-Identifier: Apache-2.0

// Package plugin tests that Velero's plugins work: a program written on Velero's public framework (in program, a module of its own), and the real
// velero-plugin-for-aws.
package plugin
