// SPDX-License-Identifier: Apache-2.0

// Package agent is the node agent: the process on each node that carries out the PodVolumeBackups and PodVolumeRestores of the pods there, by
// reading and writing the volumes where the kubelet has them.
//
// Its nouns: a Place is where the node keeps its pods' volumes; a task is one PodVolumeBackup or PodVolumeRestore that this process works on, or
// that waits for its turn; the desk gives tasks their turn, within the node's budget.
//
// Invariants:
//   - what is asked of this node ends in a final phase for as long as an agent runs on it: a task that an agent did not survive is begun again by
//     the next one, alone, and fails after the third attempt;
//   - a task is claimed by an update with the resourceVersion that was read;
//   - nothing outside of the volume is read or written, whatever the volume, the snapshot or the pod's spec hold;
//   - a volume that is not mounted where the agent looks is an error, never an empty volume;
//   - what concerns one volume is told in the status of its object, and every other one goes on.
//
// No pod is made for a volume, as Velero does: the bytes go through this process, so that they move as soon as the object is seen.
//
// It decides neither which volumes are saved nor which pods wait for them: the server does, and speaks to this package through the objects alone.
package agent
