// SPDX-License-Identifier: Apache-2.0

package backup

import (
	"hozon.dev/hozon/internal/report"
	"hozon.dev/hozon/internal/store"
)

// record turns what the listing found into the report and the manifest.
func (r *run) record(exact bool) {
	items := int(r.sink.objects.Load())
	r.report.Count(report.Saved, items)
	for _, p := range r.collected.Problems {
		r.report.Errors = append(r.report.Errors, p)
		r.log.err(p.Text)
	}
	for _, ref := range r.collected.Terminating {
		r.report.Add(report.Item{Ref: ref, Action: report.Skipped, Reason: "is being deleted"})
		r.log.info("left out: it is being deleted", "object", ref.String())
	}
	for _, own := range r.collected.Own {
		r.log.info("listed at a revision of its own", "resource", own.Type.GroupResource(), "resourceVersion", own.ResourceVersion, "reason", own.Reason)
	}
	r.manifest = &store.Manifest{
		Format: store.ManifestFormat, Backup: r.backup.Name, UID: string(r.backup.UID), Run: r.options.Run, Tool: r.Tool,
		Started:     r.backup.Status.StartTimestamp.UTC(),
		Cluster:     store.ManifestCluster{UID: r.clusterUID, Version: r.version},
		Consistency: r.consistency(exact),
		Items:       items,
		Archive:     store.ManifestArchive{Blocks: r.sink.summary.Blocks, Uncompressed: r.sink.summary.Uncompressed},
		Index:       []store.ManifestIndexBlock{},
	}
	for _, b := range r.sink.index.Blocks {
		r.manifest.Index = append(r.manifest.Index, store.ManifestIndexBlock{
			Resource: b.First.GroupResource(), Namespace: b.First.Namespace, Name: b.First.Name, Version: b.Version,
			Offset: b.Offset, Length: b.Length, Lines: b.Lines,
		})
	}
	r.log.info("listed", "items", items, "resourceVersion", r.collected.ResourceVersion, "bytes", r.sink.summary.Size)
}

func (r *run) consistency(exact bool) store.Consistency {
	c := store.Consistency{Mode: store.PerKind}
	if exact {
		c = store.Consistency{Mode: store.Exact, ResourceVersion: r.collected.ResourceVersion}
	}
	for _, own := range r.collected.Own {
		c.Own = append(c.Own, store.OwnRevision{Resource: own.Type.GroupResource(), ResourceVersion: own.ResourceVersion, Reason: own.Reason})
	}
	return c
}
