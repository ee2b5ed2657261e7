// SPDX-License-Identifier: Apache-2.0

package hostset

import (
	"context"
	"slices"

	"hozon.dev/hozon/internal/fail"
	"hozon.dev/hozon/internal/store"
)

// Delete removes a Set, its Record first: what is left of one that was cut off in the middle is no Set any more, and is removed when Delete is called again.
func Delete(ctx context.Context, st *store.Store, name string) error {
	shelf, err := st.Shelf(store.Hosts, name)
	if err != nil {
		return err
	}
	files, err := shelf.List(ctx)
	if err != nil {
		return err
	}
	if len(files) == 0 {
		return fail.Errorf(fail.NotFound, "host backup %s: there is none in %s", name, st)
	}
	files = slices.DeleteFunc(files, func(f string) bool { return f == recordFile })
	return shelf.Delete(ctx, append([]string{recordFile}, files...)...)
}

// Outdated are the Sets of the same machines as r, r among them, that are older than the newest keep of those that may go. Sets in which a machine is missing do not count as one
// that is kept.
func Outdated(all []Record, r *Record, keep int, may func(Record) bool) []string {
	same := slices.DeleteFunc(slices.Clone(all), func(o Record) bool { return !may(o) || !slices.Equal(o.machines(), r.machines()) })
	slices.SortFunc(same, func(a, b Record) int { return b.Created.Compare(a.Created) })
	var out []string
	whole := 0
	for _, o := range same {
		if whole >= keep {
			out = append(out, o.Name)
		}
		if o.Failed() == 0 {
			whole++
		}
	}
	return out
}

func (r *Record) machines() []string {
	var names []string
	for _, h := range r.Hosts {
		names = append(names, h.Name)
	}
	slices.Sort(names)
	return names
}
