// SPDX-License-Identifier: Apache-2.0

package collect

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"sync"

	"golang.org/x/sync/errgroup"

	"hozon.dev/hozon/internal/filter"
	"hozon.dev/hozon/internal/object"
	"hozon.dev/hozon/internal/relate"
	"hozon.dev/hozon/internal/report"
)

// run is the state of one Run.
type run struct {
	source  Source
	req     Request
	sink    Sink
	anchor  anchor
	needs   *needs              // nil: everything is taken for its own sake
	buffers chan *object.Buffer // of probes
	served  map[string]bool     // group-resources of the request

	mu     sync.Mutex // guards result while lanes work
	result Result
}

// collect lists the tasks, wave after wave, on the same lanes.
func (r *run) collect(ctx context.Context, waves [][]task) error {
	lanes := make([]*lane, r.req.Parallel)
	for i := range lanes {
		lanes[i] = &lane{run: r, to: r.sink.Lane()}
	}
	for _, tasks := range waves {
		if err := r.wave(ctx, lanes, tasks); err != nil {
			return err
		}
	}
	for tasks := r.late(waves); len(tasks) > 0; tasks = r.late(waves) {
		if err := r.wave(ctx, lanes, tasks); err != nil {
			return err
		}
	}
	for _, l := range lanes {
		r.result.Terminating = append(r.result.Terminating, l.terminating...)
		r.result.Items += l.items
		r.result.Bytes += l.bytes
		if err := l.to.Close(); err != nil {
			return err
		}
	}
	return nil
}

func (r *run) wave(ctx context.Context, lanes []*lane, tasks []task) error {
	queue := make(chan task, len(tasks))
	for _, t := range tasks {
		queue <- t
	}
	close(queue)
	g, ctx := errgroup.WithContext(ctx)
	for _, l := range lanes {
		g.Go(func() error {
			for t := range queue {
				if err := l.kind(ctx, t); err != nil {
					return err
				}
			}
			return nil
		})
	}
	return g.Wait()
}

// waves are the types to be listed, in the order that what they need of each other demands.
func (r *run) waves() [][]object.Type {
	var yes, related []object.Type
	for _, t := range listable(r.req.Types) {
		switch {
		case r.yes(t):
			yes = append(yes, t)
		case r.req.Filter.Type(t) == filter.Related:
			related = append(related, t)
		}
	}
	if len(related) == 0 && (r.req.Filter == nil || !r.req.Filter.HasSelector()) {
		return [][]object.Type{yes}
	}
	r.needs = &needs{set: relate.Set{GroupLabel: r.req.GroupLabel}}
	return relate.Waves(yes, related)
}

// yes says whether objects of a type are taken for their own sake.
func (r *run) yes(t object.Type) bool {
	return r.req.Filter == nil || r.req.Filter.Type(t) == filter.Yes
}

// late lists once more what holds objects that were passed and are needed after all, at the same revision.
func (r *run) late(waves [][]task) []task {
	if r.needs == nil {
		return nil
	}
	wanted := map[string]map[object.Ref]struct{}{}
	for _, ref := range r.needs.late() {
		kind := ref.GroupResource()
		if wanted[kind] == nil {
			wanted[kind] = map[object.Ref]struct{}{}
		}
		wanted[kind][ref] = struct{}{}
	}
	var out []task
	for _, t := range slices.Concat(waves...) {
		if t.only = wanted[t.t.GroupResource()]; t.only != nil {
			t.own = "" // it has been noted
			out = append(out, t)
		}
	}
	return out
}

// takes decides on one object.
func (r *run) takes(it Item, of task) (bool, error) {
	f, yes := r.req.Filter, of.yes
	if f == nil {
		return true, nil
	}
	if of.only != nil {
		_, late := of.only[it.Ref]
		ok, _ := f.Related(it.Ref, it.Head)
		return late && ok, nil
	}
	if yes {
		if ok, _ := f.Object(it.Ref, it.Head); ok {
			return true, nil
		}
	}
	if r.needs == nil {
		return false, nil
	}
	if ok, _ := f.Related(it.Ref, it.Head); !ok {
		return false, nil
	}
	takes, err := r.needs.has(it)
	if err == nil && !takes {
		err = r.needs.pass(it)
	}
	return takes, err
}

// needs is a relate.Set for several lanes.
type needs struct {
	mu  sync.RWMutex
	set relate.Set
}

func (n *needs) has(it Item) (bool, error) {
	n.mu.RLock()
	defer n.mu.RUnlock()
	return n.set.Needed(it.Ref, it.Head, it.Body)
}

// pass takes note of what is not taken, of the kinds of which that counts.
func (n *needs) pass(it Item) error {
	if !relate.Passes(it.Ref) {
		return nil
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.set.Pass(it.Ref, it.Head, it.Body)
}

func (n *needs) late() []object.Ref {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.set.Late()
}

func (n *needs) add(it Item) error {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.set.Add(it.Ref, it.Head, it.Body)
}

func (r *run) problem(namespace string, err error) {
	r.note(namespace, err.Error())
}

func (r *run) note(namespace, text string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.result.Problems = append(r.result.Problems, report.Note{Namespace: namespace, Cluster: namespace == "", Text: text})
}

// listed records the end of one kind, of which whole says whether all could be read.
func (r *run) listed(t task, rv string, items int, whole bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if items > 0 {
		r.result.Counts[gvr(t.t)] += items
	}
	if t.own != "" && (whole || items > 0) {
		r.result.Own = append(r.result.Own, OwnRevision{Type: t.t, ResourceVersion: rv, Reason: t.own})
	}
}

// sort makes the result of the same cluster the same, whichever lane was quicker.
func (r *run) sort() {
	slices.SortFunc(r.result.Problems, func(a, b report.Note) int {
		return cmp.Or(cmp.Compare(a.Namespace, b.Namespace), cmp.Compare(a.Text, b.Text))
	})
	slices.SortFunc(r.result.Own, func(a, b OwnRevision) int {
		return cmp.Or(cmp.Compare(a.Type.GroupResource(), b.Type.GroupResource()), cmp.Compare(a.Type.Version, b.Type.Version))
	})
	slices.SortFunc(r.result.Terminating, object.Compare)
	r.result.Terminating = slices.Compact(r.result.Terminating) // once for all versions
}

// gone reports whether nobody answers any more, after a call that got no answer.
func (r *run) gone(ctx context.Context) error {
	a := r.anchor
	if a.t.Resource == "" {
		a.t = namespaces
	}
	_, err := r.probe(ctx, a.t, a.namespace)
	if answered(err) {
		return nil
	}
	return fmt.Errorf("the API server is gone: %w", err)
}
