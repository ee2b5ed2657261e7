// SPDX-License-Identifier: Apache-2.0

package restore

import (
	"bytes"
	"context"
	"slices"

	"hozon.dev/hozon/internal/apply"
	"hozon.dev/hozon/internal/archive"
	"hozon.dev/hozon/internal/fail"
	"hozon.dev/hozon/internal/object"
	"hozon.dev/hozon/internal/plan"
	"hozon.dev/hozon/internal/report"
)

// feed hands the saved objects of a stage to do: from memory, by the index, or by a pass over the archive.
func (r *run) feed(ctx context.Context, stage *plan.Stage) func(do func(apply.Job) error) error {
	return func(do func(apply.Job) error) error {
		f := &feeder{run: r, do: do, stage: stage}
		for i := range stage.Len() {
			var err error
			switch item := stage.Item(i); {
			case item < 0:
				err = do(apply.Job{Step: stage.Step(i)})
			case r.bodies != nil:
				err = do(f.job(i, r.bodies[item]))
			default:
				f.wanted = append(f.wanted, int32(i))
			}
			if err != nil {
				return err
			}
		}
		if len(f.wanted) == 0 {
			return nil
		}
		f.sort()
		if err := f.read(ctx); err != nil {
			return err
		}
		f.lost()
		return nil
	}
}

// feeder looks for the bodies of a stage.
type feeder struct {
	run    *run
	do     func(apply.Job) error
	stage  *plan.Stage
	wanted []int32 // steps that are looked for, by the names in the backup: a map would be forty times as large
	given  []bool  // of each of wanted
}

func (f *feeder) job(step int, body []byte) apply.Job {
	s := f.stage.Step(step)
	e := f.run.entries.At(s.Item)
	f.run.anew.expect(s, e.Ref)
	return apply.Job{Step: s, Entry: &e, Body: f.run.hooked(s, f.run.waits(s.Target, body))}
}

// sort makes wanted ready to be searched. The steps of a stage mostly are in order.
func (f *feeder) sort() {
	byRef := func(a, b int32) int { return object.Compare(f.ref(a), f.ref(b)) }
	if !slices.IsSortedFunc(f.wanted, byRef) {
		slices.SortFunc(f.wanted, byRef)
	}
	f.given = make([]bool, len(f.wanted))
}

// ref is the name in the backup of what a step is about.
func (f *feeder) ref(step int32) object.Ref { return f.run.entries.Ref(f.stage.Item(int(step))) }

// find returns the place in wanted of an object that has not been given yet.
func (f *feeder) find(ref object.Ref) (int, bool) {
	i, ok := slices.BinarySearchFunc(f.wanted, ref, func(step int32, ref object.Ref) int { return object.Compare(f.ref(step), ref) })
	return i, ok && !f.given[i]
}

// give hands a body on, if it is wanted. The body must stay as it is.
func (f *feeder) give(ref object.Ref, body []byte) error {
	i, ok := f.find(ref)
	if !ok {
		return nil
	}
	f.given[i] = true
	return f.do(f.job(int(f.wanted[i]), body))
}

func (f *feeder) wants(ref object.Ref, version string) bool {
	i, ok := f.find(ref)
	return ok && f.run.entries.Version(f.stage.Item(int(f.wanted[i]))) == version
}

func (f *feeder) read(ctx context.Context) error {
	if f.run.parts() {
		wants := func(e archive.IndexEntry) bool { return f.wants(e.Ref, e.Version) }
		err := f.run.byIndex(ctx, f.between, wants, func(e archive.IndexEntry, body []byte) error { return f.give(e.Ref, body) })
		if !fail.Is(err, fail.NotFound) { // the index is gone, and the archive may still be there
			return err
		}
	}
	return f.run.walk(ctx, func(e archive.Entry) error {
		if e.Err != nil || !f.wants(e.Ref, e.Version) {
			return nil
		}
		return f.give(e.Ref, bytes.Clone(e.Body))
	})
}

// between reports whether anything is wanted from the one name up to the other.
func (f *feeder) between(from, to *object.Ref) bool {
	i, _ := slices.BinarySearchFunc(f.wanted, *from, func(step int32, ref object.Ref) int { return object.Compare(f.ref(step), ref) })
	return i < len(f.wanted) && (to == nil || object.Compare(f.ref(f.wanted[i]), *to) <= 0)
}

// lost reports what the first pass saw and this one did not find.
func (f *feeder) lost() {
	for i, step := range f.wanted {
		if f.given[i] {
			continue
		}
		j := f.job(int(step), nil)
		f.run.item(report.Item{
			Ref: j.Step.Target, Kind: j.Entry.Kind, Version: j.Entry.Version, Action: report.Failed,
			Reason: "it is not in the index, or went from the archive while that was read",
		})
	}
}
