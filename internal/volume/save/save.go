// SPDX-License-Identifier: Apache-2.0

// Package save has the files of pods' volumes saved by the agents of their nodes: it makes PodVolumeBackups, and says what became of each.
//
//	agents of the nodes ──► repositories ready ──► PodVolumeBackups ──► watch until each is final
//
// Its nouns: a Saver is a server's way to its agents; a task is one volume.
//
// Invariants:
//   - each volume comes to an end of its own: what goes wrong with one, or with its node, is told of it and keeps no other from being saved;
//   - nothing is waited for by asking again and again: changes are watched, and a bound counts from the moment at which work on a volume, or before it on another one
//     of its node, was last seen to begin;
//   - when Save returns, no PodVolumeBackup of it is under way, unless the API server could not be reached.
//
// It reads no files (the node agent does), and does not decide which volumes are saved (package policy does).
package save

import (
	"context"
	"errors"
	"log/slog"
	"time"

	velerov1 "hozon.dev/hozon/api/velero/v1"
	"hozon.dev/hozon/internal/velero"
)

// Saver has volumes saved. Its fields are set before the first use and not changed.
type Saver struct {
	Server velero.Client
	Now    func() time.Time
	Log    *slog.Logger
	// Timeout bounds the time from the beginning of the work on a volume to its end; 0: there is no bound.
	Timeout time.Duration
	// Maintenance is the time between two rounds of it in repositories that are new; 0: an hour.
	Maintenance time.Duration
	// Connect bounds the wait for a repository; 0: ten minutes.
	Connect time.Duration
	// Lost is how long a node may be without an agent while volumes of it are under way; 0: two minutes.
	Lost time.Duration
}

// The defaults of a Saver, and how long an agent is given to stop what it was asked to stop.
const (
	defaultMaintenance = time.Hour
	defaultConnect     = 10 * time.Minute
	defaultLost        = 2 * time.Minute
	stopTime           = 30 * time.Second
)

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
	r := &saving{Saver: s, tell: done, byName: map[string]*task{}, nodes: map[string]*node{}}
	for i, w := range wanted {
		r.tasks = append(r.tasks, &task{i: i, backup: w})
	}
	r.checkAgents(ctx)
	r.connectAll(ctx)
	r.createAll(ctx)
	r.await(ctx)
}

// task is one volume.
type task struct {
	i      int
	backup *velerov1.PodVolumeBackup // as it was last seen
	made   bool                      // it is in the cluster
	over   bool                      // done was told
	began  time.Time                 // when the work was seen to begin; zero: it has not
	ending time.Time                 // when the agent was asked to stop; zero: it was not
	reason error                     // why it was
}

// node is what is known of a node.
type node struct {
	agent bool      // is there and ready
	lost  time.Time // since when it is not
	moved time.Time // when the work on some volume there was last seen to get on
}

// saving is the state of one Save.
type saving struct {
	*Saver
	tell   func(int, *velerov1.PodVolumeBackup, error)
	tasks  []*task
	byName map[string]*task
	nodes  map[string]*node
}

// finish tells of the end of a task, once.
func (r *saving) finish(t *task, err error) {
	if t.over {
		return
	}
	t.over = true
	made := t.backup
	if !t.made {
		made = nil
	}
	r.tell(t.i, made, err)
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

// Stop ends PodVolumeBackups of one backup that nobody waits for any more, and returns them all as they ended.
func (s *Saver) Stop(ctx context.Context, left []velerov1.PodVolumeBackup) []velerov1.PodVolumeBackup {
	r := &saving{Saver: s, tell: func(int, *velerov1.PodVolumeBackup, error) {}, byName: map[string]*task{}, nodes: map[string]*node{}}
	for i := range left {
		t := &task{i: i, backup: &left[i], made: true}
		r.tasks = append(r.tasks, t)
		r.byName[t.backup.Name] = t
		if r.judge(t, false); !t.over {
			r.stop(ctx, t, errAbandoned)
		}
	}
	r.await(ctx)
	out := make([]velerov1.PodVolumeBackup, len(left))
	for i, t := range r.tasks {
		out[i] = *t.backup
	}
	return out
}

var errAbandoned = errors.New("the run that it belonged to has come to nothing")
