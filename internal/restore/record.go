// SPDX-License-Identifier: Apache-2.0

package restore

import (
	"context"
	"encoding/json"
	"io"
	"slices"

	"github.com/klauspost/compress/gzip"

	"hozon.dev/hozon/internal/object"
	"hozon.dev/hozon/internal/report"
	"hozon.dev/hozon/internal/store"
)

// record writes the files of the restore, its commit record last.
func (r *run) record(ctx context.Context, draft *store.Draft) error {
	files := []struct {
		file  store.File
		value any
	}{
		{store.RestoreResults, r.report.Results()},
		{store.RestoreResourceList, resourceList(&r.report)},
		{store.RestoreItemOperations, []any{}},
		{store.RestoreVolumeInfo, []any{}},
	}
	for _, f := range files {
		if _, err := draft.PutJSON(ctx, f.file, f.value); err != nil {
			return err
		}
	}
	report := func(w io.Writer) error { return writeReport(w, &r.report) }
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

// writeReport writes the report as PutJSON does, item by item: the whole text of a large restore would take more memory than the report.
func writeReport(w io.Writer, rep *report.Report) error {
	gz := gzip.NewWriter(w)
	rest := *rep
	rest.Items = nil
	tail, err := json.Marshal(&rest)
	if err != nil {
		return err
	}
	open := `{"Items":[`
	for i := range rep.Items {
		item, err := json.Marshal(&rep.Items[i])
		if err != nil {
			return err
		}
		if _, err := gz.Write(append([]byte(open), item...)); err != nil {
			return err
		}
		open = ","
	}
	if len(rep.Items) > 0 {
		if tail = tail[1:]; len(tail) > 1 {
			tail = append([]byte("],"), tail...)
		} else {
			tail = []byte("]}")
		}
	}
	if _, err := gz.Write(append(tail, '\n')); err != nil {
		return err
	}
	return gz.Close()
}

// resourceList is Velero's list of what was touched: "v1/Pod" to "ns/name(created)". What was there already and equal counts as skipped.
func resourceList(rep *report.Report) map[string][]string {
	list := map[string][]string{}
	for i := range rep.Items {
		it := &rep.Items[i]
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
	for _, names := range list {
		slices.Sort(names)
	}
	return list
}
