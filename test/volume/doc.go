// SPDX-License-Identifier: Apache-2.0

// Package volume copies files out of and into real pods, with the real hozon on a cluster with a node: `hozon volume`. It also
// runs the commands of doc/guide/volume.md.
package volume
