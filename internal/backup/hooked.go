// SPDX-License-Identifier: Apache-2.0

package backup

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"

	"golang.org/x/sync/errgroup"

	"hozon.dev/hozon/internal/cluster"
	"hozon.dev/hozon/internal/fail"
	"hozon.dev/hozon/internal/filter"
	"hozon.dev/hozon/internal/hook"
	"hozon.dev/hozon/internal/object"
	"hozon.dev/hozon/internal/perform"
	"hozon.dev/hozon/internal/report"
)

var podType = object.Type{Version: "v1", Resource: "pods", Kind: "Pod", Namespaced: true}

// hooked is a pod with hooks.
type hooked struct {
	pod       hook.Pod
	pre, post []hook.Hook
	begun     bool // its pre hooks were, or may have been
}

// podPage is how many pods, or claims, are looked at in one request.
const podPage = 1000

// errHooked ends a listing: pods have hooks, and none of them has run.
var errHooked = errors.New("there are pods with hooks")

// findHooked finds the pods that have hooks, before anything is done. What is wrong with the hooks of the spec is fail.Invalid. Where only annotations can
// give a pod hooks, no pod is looked at yet: their metadata are an eighth of all that a backup would read, and the listing comes upon the annotations anyway.
func (r *run) findHooked(ctx context.Context) error {
	var err error
	if r.sets, err = hook.ForBackup(r.backup.Spec.Hooks, r.types); err != nil {
		return err
	}
	if _, err := r.orderedPods(); err != nil {
		return err
	}
	if r.filter.Type(podType) != filter.Yes {
		return nil
	}
	if len(r.backup.Spec.Hooks.Resources) == 0 && !r.filter.HasSelector() {
		r.unlooked = true
		return nil
	}
	return r.lookForHooks(ctx)
}

func (r *run) orderedPods() ([]object.Ref, error) {
	ordered, err := filter.Ordered(r.backup.Spec.OrderedResources, r.types)
	return ordered[podType.GroupResource()], err
}

func (r *run) lookForHooks(ctx context.Context) error {
	r.unlooked = false
	ordered, err := r.orderedPods()
	if err != nil {
		return err
	}
	names, err := r.podsWithHooks(ctx)
	if err != nil {
		return fmt.Errorf("look for hooks: %w", err)
	}
	along, err := r.podsAlong(ctx)
	if err != nil {
		return fmt.Errorf("look for hooks of pods that mount what is saved: %w", err)
	}
	names = append(names, along...)
	if err := r.readHooked(ctx, names); err != nil {
		return fmt.Errorf("look for hooks: %w", err)
	}
	var pods []hook.Pod
	for _, h := range r.hooked {
		pods = append(pods, h.pod)
	}
	if err := r.sets.Unfit(pods); err != nil {
		return err
	}
	r.sortHooked(ordered)
	return nil
}

// sortHooked puts the ordered pods in front, in their order, and the others behind them by their names.
func (r *run) sortHooked(ordered []object.Ref) {
	place := func(h hooked) int {
		if i := slices.Index(ordered, podType.Ref(h.pod.Namespace, h.pod.Name)); i >= 0 {
			return i
		}
		return len(ordered)
	}
	slices.SortFunc(r.hooked, func(a, b hooked) int {
		return cmp.Or(cmp.Compare(place(a), place(b)), cmp.Compare(a.pod.ID(), b.pod.ID()))
	})
	r.ordered, _ = slices.BinarySearchFunc(r.hooked, len(ordered), func(h hooked, n int) int { return cmp.Compare(place(h), n) })
}

// podsWithHooks are the pods of the backup that may have hooks, by their metadata.
func (r *run) podsWithHooks(ctx context.Context) ([]object.Ref, error) {
	var found []object.Ref
	err := r.live(ctx, podType, true, func(ref object.Ref, head object.Head, _ []byte) error {
		if ok, _ := r.filter.Object(ref, head); ok && r.sets.Backup(ref, head) {
			found = append(found, podType.Ref(strings.Clone(ref.Namespace), strings.Clone(ref.Name)))
		}
		return nil
	})
	return found, err
}

// live calls fn with the objects of a kind in the namespaces of the backup, as far as they may be listed: what may not be is not saved either, and that is said.
func (r *run) live(ctx context.Context, t object.Type, metadata bool, fn func(object.Ref, object.Head, []byte) error) error {
	namespaces := []string{""}
	if names := r.filter.Namespaces(); !r.filter.Everywhere() && len(names) > 0 && len(names) <= 10 {
		namespaces = names
	}
	for i := 0; i < len(namespaces); i++ {
		err := r.liveIn(ctx, t, cluster.ListOptions{Namespace: namespaces[i], Limit: podPage, Metadata: metadata}, fn)
		switch {
		case err == nil:
		case !fail.Is(err, fail.Denied):
			return err
		case namespaces[i] == "":
			namespaces = append(namespaces, r.filter.Literals()...)
		}
	}
	return nil
}

func (r *run) liveIn(ctx context.Context, t object.Type, o cluster.ListOptions, fn func(object.Ref, object.Head, []byte) error) error {
	for {
		body, err := r.Cluster.List(ctx, t, o)
		if err != nil {
			return err
		}
		head, err := object.Split(body, nil, func(item []byte) error {
			head, err := object.Scan(item)
			if err != nil {
				return err
			}
			return fn(t.Ref(head.Namespace, head.Name), head, item)
		})
		body.Close()
		if err != nil {
			return err
		}
		if o.Continue = head.Continue; o.Continue == "" {
			return nil
		}
	}
}

// side is how many pods are read, or have hooks run in them, at the same time.
const side = 8

// readHooked reads the pods. The hooks of those that have finished are skipped.
func (r *run) readHooked(ctx context.Context, names []object.Ref) error {
	var mu sync.Mutex
	g, ctx := errgroup.WithContext(ctx)
	g.SetLimit(side)
	for _, ref := range names {
		g.Go(func() error {
			body, err := r.Cluster.Get(ctx, podType, ref.Namespace, ref.Name)
			if fail.Is(err, fail.NotFound) {
				return nil // it is gone, and will not be saved
			}
			if err != nil {
				return err
			}
			p, err := hook.Read(body)
			if err != nil {
				return fmt.Errorf("%s: %w", ref, err)
			}
			mu.Lock()
			defer mu.Unlock()
			r.take(p)
			return nil
		})
	}
	return g.Wait()
}

// take takes note of the hooks of a pod.
func (r *run) take(p hook.Pod) {
	h := hooked{pod: p, pre: r.sets.Of(report.Pre, p), post: r.sets.Of(report.Post, p)}
	if len(h.pre)+len(h.post) == 0 {
		return
	}
	if !p.Finished() {
		r.hooked = append(r.hooked, h)
		return
	}
	for _, one := range slices.Concat(h.pre, h.post) {
		r.results = append(r.results, perform.Skipped(p, one, fmt.Sprintf("the pod has finished (%s)", p.Phase)))
	}
}
