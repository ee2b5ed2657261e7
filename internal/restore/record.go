// SPDX-License-Identifier: Apache-2.0

package restore

import (
	"context"
	"slices"

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
		{store.RestoreReport, &r.report},
	}
	for _, f := range files {
		if _, err := draft.PutJSON(ctx, f.file, f.value); err != nil {
			return err
		}
	}
	if _, err := draft.Put(ctx, store.RestoreLogs, r.log.writeTo); err != nil {
		return err
	}
	return draft.CommitRestore(ctx, r.restore)
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
