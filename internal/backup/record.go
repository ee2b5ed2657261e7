// SPDX-License-Identifier: Apache-2.0

package backup

import (
	"cmp"
	"slices"

	"hozon.dev/hozon/internal/report"
	"hozon.dev/hozon/internal/store"
)

// notSaved is the reason given for every claim, until volumes can be saved.
const notSaved = "only objects are saved; the bytes in the volume are not"

// volumeInfo is Velero's BackupVolumeInfo (contract: volumeinfo), as far as it is needed for volumes that are left out.
type volumeInfo struct {
	PVCName               string  `json:"pvcName,omitempty"`
	PVCNamespace          string  `json:"pvcNamespace,omitempty"`
	PVName                string  `json:"pvName,omitempty"`
	SnapshotDataMoved     bool    `json:"snapshotDataMoved"`
	PreserveLocalSnapshot bool    `json:"preserveLocalSnapshot"`
	Skipped               bool    `json:"skipped"`
	SkippedReason         string  `json:"skippedReason,omitempty"`
	PVInfo                *pvInfo `json:"pvInfo,omitempty"`
}

type pvInfo struct {
	ReclaimPolicy string            `json:"reclaimPolicy,omitempty"`
	Labels        map[string]string `json:"labels,omitempty"`
}

// volumeInfos has a record for each volume that a claim is bound to.
func (r *run) volumeInfos() []volumeInfo {
	infos := []volumeInfo{}
	for _, v := range r.sink.volumes {
		if v.Spec.ClaimRef == nil {
			continue
		}
		infos = append(infos, volumeInfo{
			PVCName: v.Spec.ClaimRef.Name, PVCNamespace: v.Spec.ClaimRef.Namespace, PVName: v.Metadata.Name,
			Skipped: true, SkippedReason: notSaved,
			PVInfo: &pvInfo{ReclaimPolicy: v.Spec.ReclaimPolicy, Labels: v.Metadata.Labels},
		})
	}
	slices.SortFunc(infos, func(a, b volumeInfo) int {
		return cmp.Or(cmp.Compare(a.PVCNamespace, b.PVCNamespace), cmp.Compare(a.PVCName, b.PVCName))
	})
	return infos
}

// record turns what the listing found into the report and the manifest.
func (r *run) record(exact bool) {
	items := r.sink.summary.Items
	r.report.Count(report.Saved, items)
	for _, p := range r.collected.Problems {
		r.report.Errors = append(r.report.Errors, p)
		r.log.err(p.Text)
	}
	for _, ref := range r.collected.Terminating {
		r.report.Add(report.Item{Ref: ref, Action: report.Skipped, Reason: "is being deleted"})
		r.log.info("left out: it is being deleted", "object", ref.String())
	}
	if r.backup.Spec.SnapshotVolumes == nil || *r.backup.Spec.SnapshotVolumes {
		for _, v := range r.volumeInfos() {
			r.report.Warn(v.PVCNamespace, "PersistentVolumeClaim %s (volume %s): %s", v.PVCName, v.PVName, notSaved)
		}
	}
	for _, own := range r.collected.Own {
		r.log.info("listed at a revision of its own", "resource", own.Type.GroupResource(), "resourceVersion", own.ResourceVersion, "reason", own.Reason)
	}
	for _, n := range r.report.Warnings {
		r.log.warn(n.Text)
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
