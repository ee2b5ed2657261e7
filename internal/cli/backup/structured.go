// SPDX-License-Identifier: Apache-2.0

package backup

import (
	"strings"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	velerov1 "hozon.dev/hozon/api/velero/v1"
	"hozon.dev/hozon/internal/cli/env"
	"hozon.dev/hozon/internal/report"
	"hozon.dev/hozon/internal/store"
)

// fields is an object of JSON. Its keys are Velero's, slips of the pen too, since programs read them.
type fields = map[string]any

// Structured is Velero's form of a description as JSON (contract: describe -o json). What only we know of a backup is under "hozon".
func (d description) Structured(details bool) any {
	b := d.Backup
	out := fields{
		"metadata": fields{"name": b.Name, "namespace": b.Namespace, "labels": b.Labels, "annotations": b.Annotations},
		"phase":    b.Status.Phase,
		"spec":     specFields(b.Spec),
		"status":   d.statusFields(details),
	}
	if p := b.Spec.ResourcePolicy; p != nil {
		out["resourcePolicies"] = fields{"type": p.Kind, "name": p.Name}
	}
	if name := b.Annotations[velerov1.AnnotationGlobalVolumePolicy]; name != "" {
		out["globalVolumePolicies"] = fields{"type": "configmap", "name": name}
	}
	if len(b.Status.ValidationErrors) > 0 {
		out["validationErrors"] = b.Status.ValidationErrors
	}
	if b.Status.Errors+b.Status.Warnings > 0 {
		out["errors"], out["warnings"] = d.outcomeFields()
	}
	if len(d.Deletions) > 0 {
		out["deletionAttempts"] = deletionFields(d.Deletions)
	}
	if d.Manifest != nil || len(d.Hooks) > 0 {
		out["hozon"] = fields{"manifest": d.Manifest, "hooks": d.Hooks}
	}
	return out
}

func specFields(s velerov1.BackupSpec) fields {
	out := fields{
		"namespaces": fields{"included": env.List(s.IncludedNamespaces, "*"), "excluded": env.List(s.ExcludedNamespaces, env.None)},
		"resources": fields{
			"included": env.List(s.IncludedResources, "*"), "excluded": env.List(s.ExcludedResources, env.None),
			"clusterScoped": env.ThreeWay(s.IncludeClusterResources, "included", "excluded"),
		},
		"labelSelector":           selectorText(s.LabelSelector),
		"storageLocation":         s.StorageLocation,
		"veleroNativeSnapshotPVs": env.ThreeWay(s.SnapshotVolumes, "true", "false"),
		"veleroSnapshotMoveData":  env.ThreeWay(s.SnapshotMoveData, "true", "false"),
		"dataMover":               env.List(nonempty(s.DataMover), env.None),
		"TTL":                     s.TTL.String(),
		"CSISnapshotTimeout":      s.CSISnapshotTimeout.String(),
	}
	if len(s.Hooks.Resources) > 0 {
		sets := fields{}
		for _, h := range s.Hooks.Resources {
			sets[h.Name] = hookFields(h)
		}
		out["hooks"] = fields{"resources": sets}
	}
	if s.OrderedResources != nil {
		out["orderedResources"] = s.OrderedResources
	}
	return out
}

func nonempty(text string) []string {
	if text == "" {
		return nil
	}
	return []string{text}
}

func selectorText(s *metav1.LabelSelector) string {
	if s == nil {
		return env.None
	}
	return metav1.FormatLabelSelector(s)
}

func hookFields(h velerov1.BackupResourceHookSpec) fields {
	execs := func(hooks []velerov1.BackupResourceHook) []fields {
		all := []fields{}
		for _, hook := range hooks {
			if e := hook.Exec; e != nil {
				all = append(all, fields{
					"container": e.Container, "command": strings.Join(e.Command, " "), "onError:": e.OnError, "timeout": e.Timeout.String(),
				})
			}
		}
		return all
	}
	return fields{
		"namespaces":    fields{"included": env.List(h.IncludedNamespaces, "*"), "excluded": env.List(h.ExcludedNamespaces, env.None)},
		"resources":     fields{"included": env.List(h.IncludedResources, "*"), "excluded": env.List(h.ExcludedResources, env.None)},
		"labelSelector": selectorText(h.LabelSelector),
		"preExecHook":   execs(h.PreHooks),
		"postExecHook":  execs(h.PostHooks),
	}
}

func (d description) statusFields(details bool) fields {
	st := d.Backup.Status
	out := fields{
		"backupFormatVersion": st.FormatVersion, "started": timeField(st.StartTimestamp), "completed": timeField(st.CompletionTimestamp),
		"expiration": st.Expiration.String(), "backupVolumes": d.volumeFields(details),
	}
	if p := st.Progress; p != nil {
		total, done := "totalItemsToBeBackedUp", "itemsBackedUp"
		if st.Phase == velerov1.BackupPhaseInProgress {
			total, done = "estimatedTotalItemsToBeBackedUp", "itemsBackedUpSoFar"
		}
		out[total], out[done] = p.TotalItems, p.ItemsBackedUp
	}
	if details && d.Items != nil {
		out["resourceList"] = d.Items
	} else if details {
		out["errorGettingResourceList"] = "<backup resource list not found>"
	}
	if h := st.HookStatus; h != nil {
		out["hooksAttempted"], out["hooksFailed"] = h.HooksAttempted, h.HooksFailed
	}
	return out
}

func timeField(t *metav1.Time) string {
	if t == nil || t.IsZero() {
		return "<n/a>"
	}
	return t.Time.String()
}

func (d description) volumeFields(details bool) fields {
	out := fields{"nativeSnapshots": "<none included>", "csiSnapshots": "<none included>", "podVolumeBackups": "<none included>"}
	if d.Volumes == nil { // Velero then looks into older files
		out["csiSnapshots"] = "<none included or not detectable>"
	}
	native := fields{}
	for _, v := range d.Volumes {
		switch {
		case v.Native == nil || v.BackupMethod != store.MethodNative:
		case details:
			native[v.PVName] = fields{
				"snapshotID": v.Native.Handle, "type": v.Native.Type, "availabilityZone": v.Native.Zone, "IOPS": v.Native.IOPS, "result": v.Result,
			}
		default:
			native[v.PVName] = "specify --details for more information"
		}
	}
	if len(native) > 0 {
		out["nativeSnapshots"] = native
	}
	if files := d.files(); len(files) > 0 {
		groups := fields{}
		for _, g := range env.PodVolumeGroups(files) {
			pods := []map[string]string{}
			for _, p := range g.Pods {
				pods = append(pods, map[string]string{p[0]: p[1]})
			}
			if groups[g.Phase] = any(pods); !details {
				groups[g.Phase] = g.Count
			}
		}
		out["podVolumeBackups"] = fields{"uploderType": files[0].Uploader, "podVolumeBackupsDetails": groups}
	}
	return out
}

func (d description) outcomeFields() (errors, warnings fields) {
	st := d.Backup.Status
	if d.Results == nil {
		return fields{"count": st.Errors}, fields{"count": st.Warnings}
	}
	errors, warnings = fields{}, fields{}
	if st.Errors > 0 {
		errors = resultFields(d.Results.Errors)
	}
	if st.Warnings > 0 {
		warnings = resultFields(d.Results.Warnings)
	}
	return errors, warnings
}

func resultFields(r report.Result) fields {
	list := func(texts []string) []string { return append([]string{}, texts...) }
	out := fields{"velero": list(r.Velero), "cluster": list(r.Cluster), "namespace": []string{}}
	if len(r.Namespaces) > 0 {
		out["namespace"] = r.Namespaces
	}
	return out
}

func deletionFields(all []*velerov1.DeleteBackupRequest) fields {
	out, requests, failed := fields{}, []fields{}, 0
	for _, r := range all {
		request := fields{"creationTimestamp": r.CreationTimestamp.String(), "phase": r.Status.Phase}
		if len(r.Status.Errors) > 0 {
			request["errors"] = r.Status.Errors
			failed++
		}
		requests = append(requests, request)
	}
	if out["deleteBackupRequests"] = requests; failed > 0 {
		out["failed"] = failed
	}
	return out
}
