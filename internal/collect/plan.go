// SPDX-License-Identifier: Apache-2.0

package collect

import (
	"cmp"
	"context"
	"fmt"
	"slices"

	"hozon.dev/hozon/internal/object"
)

// task is one kind to be listed.
type task struct {
	t          object.Type
	yes        bool                    // its objects are taken for their own sake
	only       map[object.Ref]struct{} // of its objects only these, which were passed before; nil: all
	rv         string                  // read exactly this revision; empty: a consistent list of its own
	own        string                  // the reason for a revision of its own
	namespaces []string                // list these one by one; nil: all at once
	limit      int                     // items in the first page
	weight     int64                   // how long it may take, compared with others
}

// plan finds the revision and how each kind is to be read.
func (r *run) plan(ctx context.Context) ([][]task, error) {
	waves := r.waves()
	types := slices.Concat(waves...)
	from := ""
	if r.req.Exact {
		a, rv, err := r.findAnchor(ctx, types)
		if err != nil {
			return nil, fmt.Errorf("find the revision to read: %w", err)
		}
		r.anchor, from = a, rv
	}
	probes, err := r.probes(ctx, types)
	if err != nil {
		return nil, err
	}
	to := from
	if r.req.Exact {
		if to, err = r.revision(ctx, r.anchor); err != nil {
			return nil, fmt.Errorf("find the revision to read: %w", err)
		}
		r.result.ResourceVersion = from
	}
	return r.tasks(waves, probes, from, to)
}

// tasks turns the waves into tasks. probes are those of all types in the order of the waves.
func (r *run) tasks(waves [][]object.Type, probes []probed, from, to string) ([][]task, error) {
	out := make([][]task, len(waves))
	for i, types := range waves {
		for range types {
			p := probes[0]
			probes = probes[1:]
			if p.err != nil {
				r.problem("", p.err)
				continue
			}
			t, needed, err := r.task(p, from, to)
			if err != nil {
				return nil, err
			}
			if needed {
				out[i] = append(out[i], t)
			}
		}
		// The longest work first, so that no lane is left alone with it at the end.
		slices.SortStableFunc(out[i], func(a, b task) int {
			return cmp.Or(cmp.Compare(r.early(b), r.early(a)), cmp.Compare(b.weight, a.weight))
		})
	}
	return out, nil
}

// early is 1 for what is to be listed first.
func (r *run) early(t task) int {
	if t.t.GroupResource() == r.req.First {
		return 1
	}
	return 0
}

// task says how to read a kind; not at all if its probe was a list of nothing at the revision of the run.
func (r *run) task(p probed, from, to string) (task, bool, error) {
	t := task{t: p.t, yes: r.yes(p.t), namespaces: r.scopes(p), limit: firstLimit(p.first), weight: p.weight()}
	if !r.req.Exact {
		t.own = "each kind was read at a revision of its own"
		return t, true, nil
	}
	if t.own = outside(p.rv, from, to); t.own == "" {
		t.rv = from
		return t, !(p.whole && p.size == 0 && p.rv == from), nil
	}
	if r.req.Consistency == Require {
		return t, false, fmt.Errorf("%w: %s: %s; exclude the kind or do not require consistency", ErrInconsistent, p.t.GroupResource(), t.own)
	}
	return t, true, nil
}

// weight is made of the number of items more than of the first one's size, which may be no measure of the others.
func (p probed) weight() int64 {
	const usual = 4 << 10 // bytes
	return p.size * int64(usual+p.first)
}

// Pages are made to have about pageBytes, which bounds the API server's memory for a page, and the time for which it is busy with nothing else: others'
// calls wait as long on a small one.
const (
	pageBytes = 2 << 20
	minLimit  = 10
	midLimit  = 1000
	maxLimit  = 2000
)

// firstLimit is a guess from the size of one item, in bytes.
func firstLimit(item int) int {
	if item == 0 {
		return midLimit
	}
	return min(max(pageBytes/item, minLimit), midLimit)
}

// nextLimit is made from the page before: its size in bytes and its items.
func nextLimit(bytes int64, items int) int {
	if items == 0 || bytes == 0 {
		return midLimit
	}
	return int(min(max(int64(pageBytes)*int64(items)/bytes, minLimit), maxLimit))
}
