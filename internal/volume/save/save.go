// SPDX-License-Identifier: Apache-2.0

// Package save has the files of pods' volumes saved by the agents of their nodes: it makes PodVolumeBackups, and says what became of each.
//
//	agents of the nodes ──► repositories ready ──► PodVolumeBackups ──► package order
//
// A Saver is a server's way to its agents. What goes wrong with one volume, its node, or the repository of its namespace, is told of it and keeps no other from
// being saved.
//
// It reads no files (the node agent does), and does not decide which volumes are saved (package policy does).
package save

import (
	"context"
	"errors"
	"time"

	velerov1 "hozon.dev/hozon/api/velero/v1"
	"hozon.dev/hozon/internal/volume/order"
)

// Saver has volumes saved. Its fields are set before the first use and not changed.
type Saver struct {
	order.Desk[velerov1.PodVolumeBackup]
	// Connect bounds the wait for a repository; 0: ten minutes.
	Connect time.Duration
}

// defaultConnect is how long a Saver waits for a repository.
const defaultConnect = 10 * time.Minute

func or(d, otherwise time.Duration) time.Duration {
	if d > 0 {
		return d
	}
	return otherwise
}

// Save has volumes saved, side by side, and tells done of each, one at a time: the PodVolumeBackup as it ended, nil if there was none, and why the volume is not
// saved. It returns when done was told of all. All of them belong to one backup, by the label of its UID.
func (s *Saver) Save(ctx context.Context, wanted []*velerov1.PodVolumeBackup, done func(i int, made *velerov1.PodVolumeBackup, err error)) {
	if len(wanted) == 0 {
		return
	}
	r := &saving{Saver: s, tell: done}
	for i, w := range wanted {
		r.tasks = append(r.tasks, &task{i: i, backup: w})
	}
	r.checkAgents(ctx)
	r.connectAll(ctx)
	r.createAll(ctx)
	open := r.open()
	given := make([]order.Order[velerov1.PodVolumeBackup], len(open))
	for i, t := range open {
		given[i] = order.Order[velerov1.PodVolumeBackup]{Object: t.backup, Node: t.backup.Spec.Node}
	}
	s.Await(ctx, selector(wanted[0]), given, func(i int, made *velerov1.PodVolumeBackup, err error) { done(open[i].i, made, err) })
}

func selector(b *velerov1.PodVolumeBackup) string {
	return velerov1.LabelBackupUID + "=" + b.Labels[velerov1.LabelBackupUID]
}

// Stop ends PodVolumeBackups of one backup that nobody waits for any more, and returns them all as they ended.
func (s *Saver) Stop(ctx context.Context, left []velerov1.PodVolumeBackup) []*velerov1.PodVolumeBackup {
	if len(left) == 0 {
		return nil
	}
	given := make([]order.Order[velerov1.PodVolumeBackup], len(left))
	for i := range left {
		given[i] = order.Order[velerov1.PodVolumeBackup]{Object: &left[i], Node: left[i].Spec.Node}
	}
	return s.Desk.Stop(ctx, selector(&left[0]), given, errAbandoned)
}

var errAbandoned = errors.New("the run that it belonged to has come to nothing")

// task is one volume.
type task struct {
	i      int
	backup *velerov1.PodVolumeBackup
	over   bool // done was told
}

// saving is the state of one Save until the agents work.
type saving struct {
	*Saver
	tell  func(int, *velerov1.PodVolumeBackup, error)
	tasks []*task
}

// refuse tells of a volume of which nothing is begun.
func (r *saving) refuse(t *task, err error) {
	if !t.over {
		t.over = true
		r.tell(t.i, nil, err)
	}
}

// open are the tasks that are not over.
func (r *saving) open() []*task {
	var out []*task
	for _, t := range r.tasks {
		if !t.over {
			out = append(out, t)
		}
	}
	return out
}

// checkAgents ends the tasks on nodes whose agents do not work: they are not waited for.
func (r *saving) checkAgents(ctx context.Context) {
	agents, err := order.FindAgents(ctx, r.Server)
	for _, t := range r.tasks {
		if err != nil {
			r.refuse(t, err)
		} else if err := agents.Check(t.backup.Spec.Node); err != nil {
			r.refuse(t, err)
		}
	}
}
