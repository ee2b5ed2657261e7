// SPDX-License-Identifier: Apache-2.0

package restore

import (
	"cmp"
	"context"
	"fmt"

	"github.com/spf13/cobra"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/labels"

	velerov1 "hozon.dev/hozon/api/velero/v1"
	"hozon.dev/hozon/internal/cli/env"
	"hozon.dev/hozon/internal/report"
	"hozon.dev/hozon/internal/store"
	"hozon.dev/hozon/internal/velero"
)

// description is everything that describe shows of one restore; it is what -o json and -o yaml print.
type description struct {
	Restore *velerov1.Restore   `json:"restore"`
	Results *report.Results     `json:"results,omitempty"`
	Items   map[string][]string `json:"resourceList,omitempty"`
	Report  *report.Report      `json:"report,omitempty"`
	Hooks   []report.Hook       `json:"hooks,omitempty"`
	Files   []env.PodVolume     `json:"-"`
	Program string              `json:"-"`
}

// NewDescribe is `hozon restore describe`, and `hozon describe restores` under the other name.
func NewDescribe(e *env.Env, use string) *cobra.Command {
	return noun.Description(e, use, "Say what restores did, object by object with --details", "  hozon restore describe monday-20261120093000 --details --store /srv/backups")
}

// describe reads the side files, of a restore that has ended; what is missing is left out.
func describe(ctx context.Context, p env.Place, r *velerov1.Restore, details bool) (env.Description, error) {
	d := description{Restore: r, Program: p.Program}
	if p.Server != nil && r.Status.CompletionTimestamp == nil {
		var err error
		d.Files, err = underWay(ctx, *p.Server, r)
		return d, err
	}
	read := func(f store.File, v any) (bool, error) { return p.Optional(ctx, store.Restore, r.Name, f, v) }
	var results report.Results
	found, err := read(store.RestoreResults, &results)
	if found {
		d.Results = &results
	}
	if err == nil && p.Server == nil && r.Status.HookStatus != nil {
		_, err = read(store.RestoreHooks, &d.Hooks)
	}
	if err == nil {
		d.Files, err = filled(read)
	}
	if err != nil || !details {
		return d, err
	}
	if _, err := read(store.RestoreResourceList, &d.Items); err != nil {
		return d, err
	}
	var full report.Report
	if found, err = read(store.RestoreReport, &full); found {
		d.Report = &full
	}
	return d, err
}

// underWay are the volumes that are being filled.
func underWay(ctx context.Context, c velero.Client, r *velerov1.Restore) ([]env.PodVolume, error) {
	all, err := velero.VolumeRestores.List(ctx, c, labels.Set{velerov1.LabelRestoreUID: string(r.UID)}.String())
	var out []env.PodVolume
	for _, v := range all {
		out = append(out, env.PodVolume{
			Namespace: v.Spec.Pod.Namespace, Pod: v.Spec.Pod.Name, Volume: v.Spec.Volume, Uploader: v.Spec.UploaderType,
			Phase: string(v.Status.Phase), Done: v.Status.Progress.BytesDone, Total: v.Status.Progress.TotalBytes,
		})
	}
	return out, err
}

// filled are the volumes that were filled, or should have been.
func filled(read func(store.File, any) (bool, error)) ([]env.PodVolume, error) {
	var infos []store.RestoredVolume
	if _, err := read(store.RestoreVolumeInfo, &infos); err != nil {
		return nil, err
	}
	var out []env.PodVolume
	for _, v := range infos {
		if p := v.PodVolume; p != nil {
			phase := cmp.Or(p.Phase, string(velerov1.PodVolumeRestorePhaseCompleted)) // Velero leaves it out
			out = append(out, env.PodVolume{Namespace: p.Namespace, Pod: cmp.Or(p.Pod, v.PVCName), Volume: p.Volume, Uploader: p.Uploader, Phase: phase})
		}
	}
	return out, nil
}

// Text is Velero's layout (contract: describe, restore order).
func (d description) Text(details bool) string {
	r, out := d.Restore, env.NewDescriber()
	out.Head(r)
	d.outcome(out)
	describeSpec(out, r, func() {
		if len(d.Files) > 0 {
			out.PodVolumes(0, "%s Restores", d.Files, details)
			out.Gap()
		}
	})
	out.Hooks(r.Status.HookStatus)
	out.HookResults(d.Hooks, details)
	d.objects(out)
	return out.String()
}

func (d description) outcome(out *env.Describer) {
	st := d.Restore.Status
	phase := string(st.Phase)
	if st.Phase == velerov1.RestorePhaseFailed || st.Phase == velerov1.RestorePhasePartiallyFailed {
		phase += fmt.Sprintf(" (run `%s restore logs %s` for more information)", d.Program, d.Restore.Name)
	}
	out.Line(0, "Phase:", phase)
	if p := st.Progress; p != nil {
		out.Line(0, "Total items to be restored:", p.TotalItems)
		out.Line(0, "Items restored:", p.ItemsRestored)
	}
	out.Gap()
	out.Line(0, "Started:", env.TimeText(st.StartTimestamp))
	out.Line(0, "Completed:", env.TimeText(st.CompletionTimestamp))
	out.Gap()
	out.Refusal(st.FailureReason, st.ValidationErrors)
	out.Outcome(d.Results, st.Errors, st.Warnings)
}

// describeSpec has volumes in the place where Velero tells of them.
func describeSpec(out *env.Describer, r *velerov1.Restore, volumes func()) {
	s := r.Spec
	out.Line(0, "Backup:", s.BackupName)
	out.Gap()
	out.Text(0, "Namespaces:")
	included := env.List(s.IncludedNamespaces, "*")
	if included == "*" {
		included = "all namespaces found in the backup"
	}
	out.Line(1, "Included:", included)
	out.Line(1, "Excluded:", env.List(s.ExcludedNamespaces, env.None))
	out.Gap()
	out.Text(0, "Resources:")
	out.Line(1, "Included:", env.List(s.IncludedResources, "*"))
	out.Line(1, "Excluded:", env.List(s.ExcludedResources, env.None))
	out.Line(1, "Cluster-scoped:", env.ThreeWay(s.IncludeClusterResources, "included", "excluded"))
	out.Gap()
	out.Map("Namespace mappings:", s.NamespaceMapping)
	out.Gap()
	out.Line(0, "Label selector:", env.Selector(s.LabelSelector, nil))
	out.Gap()
	out.Line(0, "Or label selector:", env.Selector(nil, s.OrLabelSelectors))
	out.Gap()
	out.Line(0, "Restore PVs:", env.ThreeWay(s.RestorePVs, "true", "false"))
	out.Gap()
	volumes()
	if r.Status.Phase != velerov1.RestorePhaseFailedValidation { // else it has no files
		out.Text(0, "CSI Snapshot Restores: <none included>")
		out.Gap()
	}
	policy := string(s.ExistingResourcePolicy)
	if policy == "" {
		policy = env.None
	}
	out.Line(0, "Existing Resource Policy: ", policy)
	out.Line(0, "ItemOperationTimeout: ", s.ItemOperationTimeout)
	out.Gap()
	out.Line(0, "Preserve Service NodePorts:", env.ThreeWay(s.PreserveNodePorts, "true", "false"))
	out.Gap()
	describeRef(out, "Resource modifier:", s.ResourceModifier)
	describeRef(out, "Resource policies:", s.ResourcePolicy)
	describeUploader(out, s.UploaderConfig)
}

// describeRef shows the ConfigMap that a Restore names, if it names one.
func describeRef(out *env.Describer, title string, ref *corev1.TypedLocalObjectReference) {
	if ref == nil {
		return
	}
	out.Text(0, "%s", title)
	out.Line(1, "Type:", ref.Kind)
	out.Line(1, "Name:", ref.Name)
	out.Gap()
}

func describeUploader(out *env.Describer, c *velerov1.UploaderConfigForRestore) {
	if c == nil {
		return
	}
	out.Text(0, "Uploader config:")
	if c.WriteSparseFiles != nil {
		out.Line(1, "Write Sparse Files:", *c.WriteSparseFiles)
	}
	if c.ParallelFilesDownload > 0 {
		out.Line(1, "Parallel Restore:", c.ParallelFilesDownload)
	}
	out.Gap()
}

func (d description) objects(out *env.Describer) {
	if len(d.Items) > 0 {
		out.Gap()
		out.ResourceList(d.Items)
	}
	if d.Report == nil {
		return
	}
	out.Gap()
	out.Text(0, "Not restored, and why:")
	recreated := false
	for it := range d.Report.Items.All() {
		recreated = recreated || it.Reason != "" && it.Action == report.Updated
		if it.Reason != "" && it.Action != report.Updated && it.Action != report.Created {
			out.Line(1, fmt.Sprintf("%s %s", it.Action, it.Ref), it.Reason)
		}
	}
	if !recreated {
		return
	}
	out.Gap()
	out.Text(0, "Made anew, and why:")
	for it := range d.Report.Items.All() {
		if it.Reason != "" && it.Action == report.Updated {
			out.Line(1, it.Ref.String(), it.Reason)
		}
	}
}
