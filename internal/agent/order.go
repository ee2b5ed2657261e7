// SPDX-License-Identifier: Apache-2.0

package agent

import (
	"fmt"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	velerov1 "hozon.dev/hozon/api/velero/v1"
)

// order is a PodVolumeBackup or a PodVolumeRestore: what both of them have.
type order interface {
	object() client.Object
	kind() string // as in messages
	pod() *corev1.ObjectReference
	volume() string
	cancelled() bool
	status() status
	setStatus(status)
}

// phase is one of both kinds: they have the same names.
type phase string

const (
	accepted   phase = "Accepted"
	inProgress phase = "InProgress"
	canceling  phase = "Canceling"
	canceled   phase = "Canceled"
	completed  phase = "Completed"
	failed     phase = "Failed"
)

func (p phase) final() bool { return p == canceled || p == completed || p == failed }

// left says that somebody was at work when it was written.
func (p phase) left() bool { return p == inProgress || p == canceling }

// status is that of either kind. Some of it only one of them has.
type status struct {
	phase                    phase
	message                  string
	accepted, started, ended *metav1.Time
	progress                 velerov1.DataMoveOperationProgress
	path, snapshot           string // of backups
	incremental              int64  // of backups
	node                     string // of restores
}

type backupOrder struct{ *velerov1.PodVolumeBackup }

func (o backupOrder) object() client.Object        { return o.PodVolumeBackup }
func (o backupOrder) kind() string                 { return "PodVolumeBackup" }
func (o backupOrder) pod() *corev1.ObjectReference { return &o.Spec.Pod }
func (o backupOrder) volume() string               { return o.Spec.Volume }
func (o backupOrder) cancelled() bool              { return o.Spec.Cancel }

func (o backupOrder) status() status {
	s := &o.Status
	return status{
		phase: phase(s.Phase), message: s.Message, accepted: s.AcceptedTimestamp, started: s.StartTimestamp, ended: s.CompletionTimestamp,
		progress: s.Progress, path: s.Path, snapshot: s.SnapshotID, incremental: s.IncrementalBytes,
	}
}

func (o backupOrder) setStatus(s status) {
	o.Status = velerov1.PodVolumeBackupStatus{
		Phase: velerov1.PodVolumeBackupPhase(s.phase), Message: s.message, AcceptedTimestamp: s.accepted, StartTimestamp: s.started,
		CompletionTimestamp: s.ended, Progress: s.progress, Path: s.path, SnapshotID: s.snapshot, IncrementalBytes: s.incremental,
	}
}

type restoreOrder struct{ *velerov1.PodVolumeRestore }

func (o restoreOrder) object() client.Object        { return o.PodVolumeRestore }
func (o restoreOrder) kind() string                 { return "PodVolumeRestore" }
func (o restoreOrder) pod() *corev1.ObjectReference { return &o.Spec.Pod }
func (o restoreOrder) volume() string               { return o.Spec.Volume }
func (o restoreOrder) cancelled() bool              { return o.Spec.Cancel }

func (o restoreOrder) status() status {
	s := &o.Status
	return status{
		phase: phase(s.Phase), message: s.Message, accepted: s.AcceptedTimestamp, started: s.StartTimestamp, ended: s.CompletionTimestamp,
		progress: s.Progress, node: s.Node,
	}
}

func (o restoreOrder) setStatus(s status) {
	o.Status = velerov1.PodVolumeRestoreStatus{
		Phase: velerov1.PodVolumeRestorePhase(s.phase), Message: s.message, AcceptedTimestamp: s.accepted, StartTimestamp: s.started,
		CompletionTimestamp: s.ended, Progress: s.progress, Node: s.node,
	}
}

// orders are those of a list.
func orders(list client.ObjectList) []order {
	var all []order
	switch l := list.(type) {
	case *velerov1.PodVolumeBackupList:
		for i := range l.Items {
			all = append(all, backupOrder{&l.Items[i]})
		}
	case *velerov1.PodVolumeRestoreList:
		for i := range l.Items {
			all = append(all, restoreOrder{&l.Items[i]})
		}
	}
	return all
}

// place names the volume of an order for people.
func place(o order) string {
	return fmt.Sprintf("volume %s of pod %s/%s", o.volume(), o.pod().Namespace, o.pod().Name)
}
