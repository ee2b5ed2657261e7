// SPDX-License-Identifier: Apache-2.0

package backup

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	"k8s.io/apimachinery/pkg/labels"

	velerov1 "hozon.dev/hozon/api/velero/v1"
	"hozon.dev/hozon/internal/cli/env"
	"hozon.dev/hozon/internal/fail"
	"hozon.dev/hozon/internal/report"
	"hozon.dev/hozon/internal/store"
	"hozon.dev/hozon/internal/velero"
)

// description is everything that describe shows of one backup.
type description struct {
	Backup   *velerov1.Backup
	Manifest *store.Manifest // nil if another tool made the backup
	Results  *report.Results
	Volumes  []store.BackedUpVolume
	Files    []env.PodVolume // while the backup is under way; then Volumes has them
	Items    map[string][]string
	Hooks    []report.Hook

	Deletions []*velerov1.DeleteBackupRequest
	Program   string
}

// NewDescribe is `hozon backup describe`, and `hozon describe backups` under the other name.
func NewDescribe(e *env.Env, use string) *cobra.Command {
	return noun.Description(e, use, "Say what backups hold and how they went", `  hozon backup describe monday --store /srv/backups
  hozon backup describe monday --details
  hozon backup describe monday -o json`)
}

// describe reads the side files, of a backup that has ended. Those that are missing are left out; in a store, those that cannot be read
// are an error, and from a server they are named.
func describe(ctx context.Context, p env.Place, b *velerov1.Backup, details bool) (env.Description, error) {
	d := description{Backup: b, Program: p.Program}
	if p.Server != nil {
		var err error
		if d.Deletions, err = deletions(ctx, *p.Server, b); err != nil {
			return d, err
		}
		if b.Status.CompletionTimestamp == nil || b.Status.Phase == velerov1.BackupPhaseFailedValidation {
			d.Files, err = underWay(ctx, *p.Server, b)
			return d, err // it has no files, and its location may not answer
		}
	}
	read := func(f store.File, v any) (bool, error) { return p.Optional(ctx, store.Backup, b.Name, f, v) }
	m, err := p.Manifest(ctx, b.Name)
	if err == nil {
		d.Manifest = m
	} else if !fail.Is(err, fail.NotFound) {
		return d, err
	}
	var results report.Results
	found, err := read(store.Results, &results)
	if found {
		d.Results = &results
	}
	if err == nil {
		_, err = read(store.VolumeInfo, &d.Volumes)
	}
	if err == nil && d.Manifest != nil && d.Manifest.Lists(store.Hooks) {
		_, err = read(store.Hooks, &d.Hooks)
	}
	if err == nil && details {
		_, err = read(store.ResourceList, &d.Items)
	}
	return d, err
}

// underWay are the volumes whose files are being saved.
func underWay(ctx context.Context, c velero.Client, b *velerov1.Backup) ([]env.PodVolume, error) {
	all, err := velero.VolumeBackups.List(ctx, c, labels.Set{velerov1.LabelBackupUID: string(b.UID)}.String())
	var out []env.PodVolume
	for _, v := range all {
		out = append(out, env.PodVolume{
			Namespace: v.Spec.Pod.Namespace, Pod: v.Spec.Pod.Name, Volume: v.Spec.Volume, Uploader: v.Spec.UploaderType,
			Phase: string(v.Status.Phase), Done: v.Status.Progress.BytesDone, Total: v.Status.Progress.TotalBytes, New: v.Status.IncrementalBytes,
		})
	}
	return out, err
}

// files are the volumes that were saved file by file.
func (d description) files() []env.PodVolume {
	out := d.Files
	for _, v := range d.Volumes {
		if p := v.PodVolume; p != nil {
			out = append(out, env.PodVolume{Namespace: p.Namespace, Pod: p.Pod, Volume: p.Volume, Uploader: p.Uploader, Phase: p.Phase, Done: p.Size, Total: p.Size, New: p.New})
		}
	}
	return out
}

// deletions are the requests to delete a backup, oldest first.
func deletions(ctx context.Context, c velero.Client, b *velerov1.Backup) ([]*velerov1.DeleteBackupRequest, error) {
	selector := labels.Set{velerov1.LabelBackupName: velerov1.LabelValue(b.Name), velerov1.LabelBackupUID: string(b.UID)}
	all, err := velero.DeleteRequests.List(ctx, c, selector.String())
	slices.SortStableFunc(all, func(x, y *velerov1.DeleteBackupRequest) int {
		return x.CreationTimestamp.Compare(y.CreationTimestamp.Time)
	})
	return all, err
}

// Text is Velero's layout (contract: describe, plain text), with Consistency added.
func (d description) Text(details bool) string {
	b, out := d.Backup, env.NewDescriber()
	out.Head(b)
	d.outcome(out)
	DescribeSpec(out, b.Spec)
	d.times(out)
	d.contents(out, details)
	if b.Status.HookStatus != nil {
		out.Gap()
	}
	out.Hooks(b.Status.HookStatus)
	out.HookResults(d.Hooks, details)
	describeDeletions(out, d.Deletions)
	return out.String()
}

func describeDeletions(out *env.Describer, all []*velerov1.DeleteBackupRequest) {
	if len(all) == 0 {
		return
	}
	failed := 0
	for _, r := range all {
		if r.Status.Phase == velerov1.DeleteBackupRequestPhaseProcessed && len(r.Status.Errors) > 0 {
			failed++
		}
	}
	out.Gap()
	out.Text(0, "Deletion Attempts%s:", map[bool]string{true: fmt.Sprintf(" (%d failed)", failed)}[failed > 0])
	for _, r := range all {
		out.Text(1, "%s: %s", r.CreationTimestamp.Local().Format(env.TimeFormat), r.Status.Phase)
		if len(r.Status.Errors) > 0 {
			out.Text(1, "Errors:")
		}
		for _, text := range r.Status.Errors {
			out.Text(2, "%s", text)
		}
	}
}

func (d description) outcome(out *env.Describer) {
	st := d.Backup.Status
	phase := string(st.Phase)
	if st.Phase == velerov1.BackupPhaseFailed || st.Phase == velerov1.BackupPhasePartiallyFailed {
		phase += fmt.Sprintf(" (run `%s backup logs %s` for more information)", d.Program, d.Backup.Name)
	}
	out.Line(0, "Phase:", phase)
	if st.Phase == velerov1.BackupPhaseQueued {
		out.Line(0, "Queue position:", st.QueuePosition)
	}
	out.Gap()
	describePolicies(out, d.Backup)
	out.Refusal(st.FailureReason, st.ValidationErrors)
	out.Gap() // here as in Velero
	out.Outcome(d.Results, st.Errors, st.Warnings)
}

func describePolicies(out *env.Describer, b *velerov1.Backup) {
	if p := b.Spec.ResourcePolicy; p != nil {
		out.Text(0, "Resource policies:")
		out.Line(1, "Type:", p.Kind)
		out.Line(1, "Name:", p.Name)
		out.Gap()
	}
	if name := b.Annotations[velerov1.AnnotationGlobalVolumePolicy]; name != "" {
		out.Text(0, "Global volume policies:")
		out.Line(1, "Type:", "configmap")
		out.Line(1, "Name:", name)
		out.Gap()
	}
	if c := b.Spec.UploaderConfig; c != nil && c.ParallelFilesUpload > 0 {
		out.Text(0, "Uploader config:")
		out.Line(1, "Parallel files upload:", c.ParallelFilesUpload)
		out.Gap()
	}
}

// DescribeSpec adds what a backup takes in and how.
func DescribeSpec(out *env.Describer, s velerov1.BackupSpec) {
	out.Text(0, "Namespaces:")
	out.Line(1, "Included:", env.List(s.IncludedNamespaces, "*"))
	out.Line(1, "Excluded:", env.List(s.ExcludedNamespaces, env.None))
	out.Gap()
	out.Text(0, "Resources:")
	if len(s.IncludedResources)+len(s.ExcludedResources) > 0 || s.IncludeClusterResources != nil {
		out.Line(1, "Included:", env.List(s.IncludedResources, "*"))
		out.Line(1, "Excluded:", env.List(s.ExcludedResources, env.None))
		out.Line(1, "Cluster-scoped:", env.ThreeWay(s.IncludeClusterResources, "included", "excluded"))
	} else {
		out.Line(1, "Included cluster-scoped:", env.List(s.IncludedClusterScopedResources, env.None))
		out.Line(1, "Excluded cluster-scoped:", env.List(s.ExcludedClusterScopedResources, env.None))
		out.Line(1, "Included namespace-scoped:", env.List(s.IncludedNamespaceScopedResources, "*"))
		out.Line(1, "Excluded namespace-scoped:", env.List(s.ExcludedNamespaceScopedResources, env.None))
	}
	out.Gap()
	out.Line(0, "Label selector:", env.Selector(s.LabelSelector, nil))
	out.Gap()
	out.Line(0, "Or label selector:", env.Selector(nil, s.OrLabelSelectors))
	out.Gap()
	out.Line(0, "Storage Location:", s.StorageLocation)
	out.Gap()
	out.Line(0, "Velero-Native Snapshot PVs:", env.ThreeWay(s.SnapshotVolumes, "true", "false"))
	if s.DefaultVolumesToFsBackup != nil {
		out.Line(0, "File System Backup (Default):", *s.DefaultVolumesToFsBackup)
	}
	out.Line(0, "Snapshot Move Data:", env.ThreeWay(s.SnapshotMoveData, "true", "false"))
	out.Line(0, "Data Mover:", cmp.Or(s.DataMover, "velero"))
	out.Gap()
	out.Line(0, "TTL:", s.TTL)
	out.Gap()
	out.Line(0, "CSISnapshotTimeout:", s.CSISnapshotTimeout)
	out.Line(0, "ItemOperationTimeout:", s.ItemOperationTimeout)
	out.Gap()
	describeHooks(out, s.Hooks)
	if len(s.OrderedResources) > 0 {
		out.Text(0, "OrderedResources:")
		for _, kind := range slices.Sorted(maps.Keys(s.OrderedResources)) {
			out.Text(1, "%s: %s", kind, s.OrderedResources[kind])
		}
		out.Gap()
	}
}

func describeHooks(out *env.Describer, hooks velerov1.BackupHooks) {
	if len(hooks.Resources) == 0 {
		out.Line(0, "Hooks:", env.None)
		out.Gap()
		return
	}
	out.Text(0, "Hooks:")
	out.Text(1, "Resources:")
	for _, h := range hooks.Resources {
		out.Text(2, "%s:", h.Name)
		out.Line(3, "Namespaces:", env.List(h.IncludedNamespaces, "*"))
		out.Line(3, "Resources:", env.List(h.IncludedResources, "*"))
		out.Line(3, "Label selector:", env.Selector(h.LabelSelector, nil))
		for _, hook := range h.PreHooks {
			describeExec(out, "Pre Exec Hook:", hook.Exec)
		}
		for _, hook := range h.PostHooks {
			describeExec(out, "Post Exec Hook:", hook.Exec)
		}
	}
	out.Gap()
}

func describeExec(out *env.Describer, title string, h *velerov1.ExecHook) {
	if h == nil {
		return
	}
	out.Text(3, "%s", title)
	out.Line(4, "Container:", h.Container)
	out.Line(4, "Command:", strings.Join(h.Command, " "))
	out.Line(4, "On Error:", h.OnError)
	out.Line(4, "Timeout:", h.Timeout)
}

func (d description) times(out *env.Describer) {
	st := d.Backup.Status
	out.Line(0, "Backup Format Version:", st.FormatVersion)
	out.Gap()
	out.Line(0, "Started:", env.TimeText(st.StartTimestamp))
	out.Line(0, "Completed:", env.TimeText(st.CompletionTimestamp))
	out.Gap()
	out.Line(0, "Expiration:", env.TimeText(st.Expiration))
	out.Gap()
	if p := st.Progress; p != nil {
		total, done := "Total items to be backed up:", "Items backed up:"
		if st.Phase == velerov1.BackupPhaseInProgress {
			total, done = "Estimated total items to be backed up:", "Items backed up so far:"
		}
		out.Line(0, total, p.TotalItems)
		out.Line(0, done, p.ItemsBackedUp)
		out.Gap()
	}
	if d.Manifest == nil {
		return
	}
	c := d.Manifest.Consistency
	if c.Mode == store.Exact {
		out.Line(0, "Consistency:", "all kinds at resourceVersion "+c.ResourceVersion)
	} else {
		out.Line(0, "Consistency:", "each kind at a resourceVersion of its own")
	}
	for _, own := range c.Own {
		if c.Mode == store.Exact {
			out.Line(1, own.Resource+":", fmt.Sprintf("at %s: %s", own.ResourceVersion, own.Reason))
		}
	}
	out.Gap()
}

func (d description) contents(out *env.Describer, details bool) {
	if details && len(d.Items) > 0 {
		out.ResourceList(d.Items)
		out.Gap()
	}
	out.Text(0, "Backup Volumes:")
	d.native(out, details)
	out.Gap()
	csi := "<none included>"
	if d.Backup.Status.Phase == velerov1.BackupPhaseFailedValidation {
		csi = "<none included or not detectable>"
	}
	out.Text(1, "CSI Snapshots: %s", csi)
	out.Gap()
	if files := d.files(); len(files) > 0 {
		out.PodVolumes(1, "Pod Volume Backups - %s", files, details)
	} else {
		out.Text(1, "Pod Volume Backups: <none included>")
	}
	for _, v := range d.Volumes {
		if v.Skipped {
			out.Line(1, "Not included:", fmt.Sprintf("%s/%s (%s): %s", v.PVCNamespace, v.PVCName, v.PVName, v.SkippedReason))
		}
	}
}

// native are the snapshots that plugins have taken: how many, and with details each.
func (d description) native(out *env.Describer, details bool) {
	total, done := 0, 0
	for _, v := range d.Volumes {
		if v.Native != nil {
			total++
		}
		if v.Native != nil && v.Result == store.ResultSucceeded {
			done++
		}
	}
	switch {
	case total == 0:
		out.Text(1, "Velero-Native Snapshots: <none included>")
		return
	case !details:
		out.Line(1, "Velero-Native Snapshots:", fmt.Sprintf("%d of %d snapshots completed successfully (specify --details for more information)", done, total))
		return
	}
	out.Line(1, "Velero-Native Snapshots:", fmt.Sprintf("%d of %d snapshots completed successfully", done, total))
	for _, v := range d.Volumes {
		if v.Native == nil {
			continue
		}
		out.Text(2, "%s:", v.PVName)
		out.Line(3, "Snapshot ID:", v.Native.Handle)
		out.Line(3, "Type:", v.Native.Type)
		out.Line(3, "Availability Zone:", v.Native.Zone)
		out.Line(3, "IOPS:", v.Native.IOPS)
		out.Line(3, "Result:", v.Result)
	}
}
