// SPDX-License-Identifier: Apache-2.0

package export

import (
	"context"
	"slices"
	"sync"

	"hozon.dev/hozon/internal/collect"
	"hozon.dev/hozon/internal/fail"
	"hozon.dev/hozon/internal/object"
	"hozon.dev/hozon/internal/report"
)

// Snapshot is a Source that reads what was saved of a control plane.
type Snapshot struct {
	// Read hands every object to the sink, and can be called again. The notes are warnings about the whole.
	Read func(context.Context, collect.Sink) (collect.Result, []report.Note, error)

	definitions definitionTable
}

// Objects reads the whole snapshot. What cannot be decoded in it is a problem.
func (s *Snapshot) Objects(ctx context.Context, scope Scope, fn func(Item) error) (Origin, error) {
	var mu sync.Mutex
	seen := map[string]bool{}
	found, warnings, err := s.Read(ctx, sink{func(it Item) error {
		gr, ns := it.Ref.GroupResource(), it.Ref.Namespace
		if gr == namespaceType.Resource {
			mu.Lock()
			seen[it.Ref.Name] = true
			mu.Unlock()
		}
		if ns == "" || view(gr) || len(scope.Namespaces) > 0 && !slices.Contains(scope.Namespaces, ns) {
			return nil
		}
		return fn(it)
	}})
	origin := Origin{ResourceVersion: found.ResourceVersion, Problems: found.Problems}
	for _, ref := range found.Terminating {
		if len(scope.Namespaces) == 0 || slices.Contains(scope.Namespaces, ref.Namespace) {
			origin.Terminating = append(origin.Terminating, ref)
		}
	}
	for _, w := range warnings {
		origin.Notes = append(origin.Notes, w.Text)
	}
	for _, ns := range scope.Namespaces {
		if err == nil && !seen[ns] {
			err = fail.Errorf(fail.NotFound, "the snapshot holds no namespace %q", ns)
		}
	}
	return origin, err
}

// Cluster reads the snapshot once more.
func (s *Snapshot) Cluster(ctx context.Context, groupResources []string, fn func(Item) error) ([]report.Note, error) {
	var mu sync.Mutex
	return nil, s.each(ctx, func(it Item) error {
		if it.Ref.Namespace != "" || !slices.Contains(groupResources, it.Ref.GroupResource()) {
			return nil
		}
		mu.Lock()
		defer mu.Unlock()
		return fn(it)
	})
}

// Definition reads the snapshot once more, for the first one.
func (s *Snapshot) Definition(ctx context.Context, t object.Type) ([]byte, error) {
	return s.definitions.get(t, func(fn func(Item) error) error { return s.each(ctx, fn) })
}

func (s *Snapshot) each(ctx context.Context, fn func(Item) error) error {
	_, _, err := s.Read(ctx, sink{fn})
	return err
}
