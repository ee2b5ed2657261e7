// SPDX-License-Identifier: Apache-2.0

package restore

import (
	"context"
	"encoding/json"
	"io"
	"maps"
	"slices"

	"github.com/klauspost/compress/gzip"

	"hozon.dev/hozon/internal/object"
	"hozon.dev/hozon/internal/report"
	"hozon.dev/hozon/internal/store"
)

// record writes the files of the restore, its commit record last. What speaks of every object is written piece by piece: as one text it
// would take more memory than all that the run knows.
func (r *run) record(ctx context.Context, draft *store.Draft) error {
	files := []struct {
		file  store.File
		value any
	}{
		{store.RestoreResults, r.report.Results()},
		{store.RestoreItemOperations, []any{}},
		{store.RestoreVolumeInfo, r.volumes.made()},
	}
	for _, f := range files {
		if _, err := draft.PutJSON(ctx, f.file, f.value); err != nil {
			return err
		}
	}
	if len(r.report.Hooks) > 0 {
		if _, err := draft.PutJSON(ctx, store.RestoreHooks, r.report.Hooks); err != nil {
			return err
		}
	}
	list := func(w io.Writer) error {
		return compress(w, func(w io.Writer) error { return writeResourceList(w, &r.report) })
	}
	if _, err := draft.Put(ctx, store.RestoreResourceList, list); err != nil {
		return err
	}
	report := func(w io.Writer) error {
		return compress(w, func(w io.Writer) error { return r.report.Write(w, false) })
	}
	if _, err := draft.Put(ctx, store.RestoreReport, report); err != nil {
		return err
	}
	if _, err := draft.Put(ctx, store.RestoreLogs, r.log.writeTo); err != nil {
		return err
	}
	if r.o.Check != nil {
		if err := r.o.Check(ctx); err != nil {
			return err
		}
	}
	return draft.CommitRestore(ctx, r.restore)
}

func compress(w io.Writer, write func(io.Writer) error) error {
	gz := gzip.NewWriter(w)
	if err := write(gz); err != nil {
		return err
	}
	return gz.Close()
}

// writeResourceList writes Velero's list of what was touched: "v1/Pod" to "ns/name(created)". What was there already and equal
// counts as skipped.
func writeResourceList(w io.Writer, rep *report.Report) error {
	list := map[string][]string{}
	for it := range rep.Items.All() {
		if it.Kind == "" {
			continue // an item that could not be read
		}
		action := it.Action
		if action == report.Unchanged {
			action = report.Skipped
		}
		key := object.Type{Group: it.Ref.Group, Version: it.Version}.GroupVersion() + "/" + it.Kind
		list[key] = append(list[key], it.Ref.ID()+"("+string(action)+")")
	}
	open := "{"
	for _, key := range slices.Sorted(maps.Keys(list)) {
		names := list[key]
		delete(list, key)
		slices.Sort(names)
		part, err := json.Marshal(map[string][]string{key: names})
		if err != nil {
			return err
		}
		if _, err := w.Write(append([]byte(open), part[1:len(part)-1]...)); err != nil {
			return err
		}
		open = ","
	}
	if open == "{" {
		open = "{}"
	} else {
		open = "}"
	}
	_, err := io.WriteString(w, open+"\n")
	return err
}
