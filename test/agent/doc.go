// SPDX-License-Identifier: Apache-2.0

// Package agent runs the node agent on a real node with real pods: PodVolumeBackups and PodVolumeRestores are created by hand, as the server
// creates them, and the volumes of pods are compared byte for byte, with owners, modes, links and attributes.
package agent
