// SPDX-License-Identifier: Apache-2.0

package controller

import (
	"cmp"
	"context"
	"errors"
	"slices"
	"strings"

	"github.com/gobwas/glob"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"sigs.k8s.io/controller-runtime/pkg/client"

	velerov1 "hozon.dev/hozon/api/velero/v1"
)

var errDeleted = errors.New("its object was deleted")

// dispatch starts what waits and may start, in order, and numbers the rest. A Backup waits while as many run as may, and while one that
// runs, or waits before it, takes in a namespace of its own; those behind it may overtake it.
func (r *Backups) dispatch(ctx context.Context) error {
	var all velerov1.BackupList
	if err := r.Client.List(ctx, &all, client.InNamespace(r.Namespace), client.UnsafeDisableDeepCopy); err != nil {
		return err
	}
	var busy, waiting []*velerov1.Backup
	for i := range all.Items {
		b := &all.Items[i]
		switch {
		case foreign(b.Status.Phase), b.DeletionTimestamp != nil:
		case b.Status.Phase == velerov1.BackupPhaseInProgress, r.Flights.has(b) && waits(b):
			busy = append(busy, b)
		case waits(b):
			waiting = append(waiting, b)
		}
	}
	slices.SortFunc(waiting, earlier)
	running, position := len(busy), 0
	for _, b := range waiting {
		if cancelled(b) {
			continue // its own event ends it
		}
		var err error
		if running < r.Concurrent && !slices.ContainsFunc(busy, func(o *velerov1.Backup) bool { return overlap(b, o) }) {
			running++
			err = r.start(ctx, b)
		} else {
			position++
			err = r.queue(ctx, b, position)
		}
		busy = append(busy, b)
		if err != nil && !apierrors.IsConflict(err) && !apierrors.IsNotFound(err) {
			return err
		}
	}
	return nil
}

// queue notes the place of a Backup that waits.
func (r *Backups) queue(ctx context.Context, b *velerov1.Backup, position int) error {
	if b.Status.Phase == velerov1.BackupPhaseQueued && b.Status.QueuePosition == position {
		return nil
	}
	b = b.DeepCopy()
	b.Status.Phase, b.Status.QueuePosition = velerov1.BackupPhaseQueued, position
	return r.Client.Update(ctx, b)
}

// earlier orders what waits: first those that were about to start, then by the place in the queue, then by age.
func earlier(a, b *velerov1.Backup) int {
	return cmp.Or(
		cmp.Compare(rank(a), rank(b)),
		cmp.Compare(a.Status.QueuePosition, b.Status.QueuePosition),
		a.CreationTimestamp.Compare(b.CreationTimestamp.Time),
		strings.Compare(a.Name, b.Name),
	)
}

func rank(b *velerov1.Backup) int {
	switch b.Status.Phase {
	case velerov1.BackupPhaseReadyToStart:
		return 0
	case velerov1.BackupPhaseQueued:
		return 1
	}
	return 2
}

// overlap says whether two Backups may take in one namespace. What they exclude is not looked at.
func overlap(a, b *velerov1.Backup) bool {
	return meet(a.Spec.IncludedNamespaces, b.Spec.IncludedNamespaces)
}

// meet says whether two lists of names and patterns may have a name in common. An empty one means all.
func meet(one, other []string) bool {
	if len(one) == 0 || len(other) == 0 {
		return true
	}
	for _, x := range one {
		for _, y := range other {
			if x == y || covers(x, y) || covers(y, x) || isPattern(x) && isPattern(y) {
				return true
			}
		}
	}
	return false
}

func isPattern(s string) bool { return strings.ContainsAny(s, "*?[") }

func covers(pattern, name string) bool {
	if !isPattern(pattern) {
		return false
	}
	g, err := glob.Compile(pattern)
	return err != nil || g.Match(name) // a pattern that cannot be read is refused when its turn comes
}
