// SPDX-License-Identifier: Apache-2.0

package backup

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"

	corev1 "k8s.io/api/core/v1"

	velerov1 "hozon.dev/hozon/api/velero/v1"
	"hozon.dev/hozon/internal/cluster"
	"hozon.dev/hozon/internal/collect"
	"hozon.dev/hozon/internal/fail"
	"hozon.dev/hozon/internal/filter"
	"hozon.dev/hozon/internal/object"
	"hozon.dev/hozon/internal/policy"
	"hozon.dev/hozon/internal/report"
	"hozon.dev/hozon/internal/store"
)

// run is the state of one run, in the order in which it is filled.
type run struct {
	*Engine
	options Options
	backup  *velerov1.Backup
	log     runLog

	types      []object.Type
	found      []report.Note // what was wrong before the listing: groups that do not answer, namespaces that do not exist
	doubts     []report.Note // the same, as warnings
	filter     *filter.Filter
	policies   policy.Policies
	version    string
	clusterUID string
	draft      *store.Draft
	source     Source // nil: the cluster
	hooks
	files  files
	taking taking

	// Of the attempt under way:
	report    report.Report
	collected collect.Result
	sink      *sink
	manifest  *store.Manifest
}

func (r *run) reset() {
	r.report = report.Report{Errors: append([]report.Note{}, r.found...), Warnings: append([]report.Note{}, r.doubts...)}
	r.collected, r.sink, r.manifest = collect.Result{}, nil, nil
}

// look asks the cluster what there is, and makes the filter out of the answer.
func (r *run) look(ctx context.Context) error {
	r.found, r.doubts = nil, nil
	for _, text := range r.options.Notes {
		r.doubts = append(r.doubts, report.Note{Text: text})
	}
	info, err := r.Cluster.Version(ctx)
	if err != nil {
		return err
	}
	r.version = info.GitVersion
	r.backup.Annotations = with(r.backup.Annotations, velerov1.AnnotationSourceGitVersion, info.GitVersion)
	r.backup.Annotations[velerov1.AnnotationSourceMajorVersion] = info.Major
	r.backup.Annotations[velerov1.AnnotationSourceMinorVersion] = info.Minor
	types, problems, err := r.Cluster.Types(ctx, r.AllVersions)
	if err != nil {
		return err
	}
	for _, p := range problems {
		r.found = append(r.found, report.Note{Cluster: true, Text: fmt.Sprintf("API group %s: %v", p.GroupVersion(), p.Err)})
	}
	r.types = types
	namespaces, err := r.namespaces(ctx)
	if err != nil {
		return err
	}
	if err := r.readPolicies(ctx); err != nil {
		return err
	}
	spec, err := r.filtered()
	if err != nil {
		return err
	}
	if r.filter, err = filter.ForBackup(spec, types, namespaces); err != nil {
		return err
	}
	if err := r.refine(); err != nil {
		return err
	}
	return r.checkFilter()
}

// checkFilter refuses a filter that cannot match anything, and notes the parts of it that do not.
func (r *run) checkFilter() error {
	for _, name := range r.filter.Missing() {
		r.found = append(r.found, report.Note{Namespace: name, Text: fmt.Sprintf("namespace %q does not exist", name)})
	}
	for _, pattern := range r.filter.Unmatched() {
		r.doubts = append(r.doubts, report.Note{Text: fmt.Sprintf("no namespace matches %q", pattern)})
	}
	for _, name := range r.filter.Unresolved() {
		r.doubts = append(r.doubts, report.Note{Text: fmt.Sprintf("no API of this cluster serves a resource %q", name)})
	}
	if slices.ContainsFunc(r.types, func(t object.Type) bool { return r.filter.Type(t) == filter.Yes }) {
		return nil
	}
	return fail.Errorf(fail.Invalid, "the filters match no resource that this cluster serves%s; see `kubectl api-resources`", texts(append(r.doubts, r.found...)))
}

func texts(notes []report.Note) string {
	out := ""
	for _, n := range notes {
		out += "; " + n.Text
	}
	return out
}

// namespaces lists the names of all namespaces. A user who may not list them gets an empty list; the filter then knows only the literal ones.
func (r *run) namespaces(ctx context.Context) ([]filter.Namespace, error) {
	t, ok := find(r.types, "namespaces")
	if !ok {
		return nil, nil
	}
	body, err := r.Cluster.List(ctx, t, cluster.ListOptions{})
	if fail.Is(err, fail.Denied) {
		r.doubts = append(r.doubts, report.Note{Cluster: true, Text: err.Error()})
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	defer body.Close()
	var all []filter.Namespace
	_, err = object.Split(body, nil, func(item []byte) error {
		var ns corev1.Namespace
		if err := json.Unmarshal(item, &ns); err != nil {
			return fmt.Errorf("read namespace: %w", err)
		}
		if ns.Name == "kube-system" {
			r.clusterUID = string(ns.UID)
		}
		all = append(all, filter.Namespace{Name: ns.Name, Active: ns.Status.Phase == corev1.NamespaceActive, Labels: ns.Labels})
		return nil
	})
	return all, err
}

func find(types []object.Type, groupResource string) (object.Type, bool) {
	for _, t := range types {
		if t.GroupResource() == groupResource && t.Preferred {
			return t, true
		}
	}
	return object.Type{}, false
}

// request is what collect is asked for.
func (r *run) request(exact bool) collect.Request {
	req := collect.Request{Types: r.types, Filter: r.filter, Exact: exact, GroupLabel: r.backup.Spec.VolumeGroupSnapshotLabelKey}
	if r.unlooked {
		req.First = podType.GroupResource()
	}
	if r.options.Consistency == Require {
		req.Consistency = collect.Require
	}
	return req
}
