// SPDX-License-Identifier: Apache-2.0

package restore

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	velerov1 "hozon.dev/hozon/api/velero/v1"
	"hozon.dev/hozon/internal/apply"
	"hozon.dev/hozon/internal/cluster"
	"hozon.dev/hozon/internal/fail"
	"hozon.dev/hozon/internal/filter"
	"hozon.dev/hozon/internal/object"
	"hozon.dev/hozon/internal/plan"
	"hozon.dev/hozon/internal/plan/rule"
	"hozon.dev/hozon/internal/report"
)

// work does the restore: reads, plans, applies.
func (r *run) work(ctx context.Context) error {
	types, problems, err := r.Target.Types(ctx, true)
	if err != nil {
		return err
	}
	r.types = types
	for _, p := range problems {
		r.report.Warn("", "%s", p.Err)
	}
	if err := r.findFiles(ctx); err != nil {
		return err
	}
	if err := r.scan(ctx); err != nil {
		return err
	}
	facts := plan.Facts{Types: types}
	if facts.Templates, err = r.templates(ctx); err != nil {
		return err
	}
	if facts.Renames, err = r.renames(ctx); err != nil {
		return err
	}
	facts.Aggregated = r.aggregated(ctx)
	if err := r.findVolumes(ctx); err != nil {
		return err
	}
	r.plan, err = plan.Build(r.entries, plan.Request{
		Spec: r.restore.Spec, Filter: r.filter, Volumes: r.volumes.names(), Clones: r.volumes.clones,
		Anew: r.files.index(r), Versions: r.versions, Priorities: r.o.Priorities,
	}, facts)
	if err != nil {
		return err
	}
	r.skips()
	r.beginHooks(ctx)
	r.beginFiles(ctx)
	err = r.apply(ctx)
	r.endFiles(err)
	if err == nil {
		err = context.Cause(ctx)
	}
	if err == nil {
		err = r.giveBack(ctx)
	}
	r.endHooks()
	r.plan, r.entries, r.bodies = nil, nil, nil // the records need the memory
	return err
}

// skips reports what the plan leaves out.
func (r *run) skips() {
	for s := range r.plan.Skips() {
		e := r.entries.At(s.Item)
		r.item(report.Item{Ref: s.Target, Kind: e.Kind, Version: e.Version, Action: report.Skipped, Reason: s.Reason})
	}
	for _, u := range r.plan.Unserved {
		text := fmt.Sprintf("%d objects of %s in version %s were left out: the target does not serve that kind", u.Objects, u.GroupResource, u.Version)
		if u.Other != "" {
			text += fmt.Sprintf(" in this version, only in %s", u.Other)
		}
		r.report.Warn("", "%s", text)
	}
}

func (r *run) apply(ctx context.Context) error {
	status, err := r.statusFilter()
	if err != nil {
		return err
	}
	var modify func(*unstructured.Unstructured, object.Ref) error
	if r.modifiers != nil {
		modify = r.modifiers.Apply
	}
	a := apply.New(apply.Options{
		Modify: modify,
		Target: r.Target,
		Env: rule.Env{
			Backup: r.backup.Name, Restore: r.restore.Name, Namespaces: r.restore.Spec.NamespaceMapping,
			PreserveNodePorts: r.restore.Spec.PreserveNodePorts != nil && *r.restore.Spec.PreserveNodePorts, Volumes: r.volumes.clones,
			Domains: r.domains(), Classes: r.replace.classes, Images: r.replace.images,
		},
		Provision: r.provision,
		Policy:    r.restore.Spec.ExistingResourcePolicy, Status: status, DryRun: r.o.DryRun, Types: r.types,
		Terminating: r.o.Terminating, Concurrency: r.o.Concurrency, Now: r.Now, Outcome: r.item,
		Warn: func(text string) { r.report.Warn("", "%s", text) },
	})
	for _, stages := range []func() []plan.Stage{
		func() []plan.Stage { return r.plan.Stages },
		func() []plan.Stage { return r.plan.Within(a.Held(ctx)) },
	} {
		if err := r.stages(ctx, a, stages()); err != nil {
			return err
		}
		if err := r.again(ctx, a); err != nil {
			return err
		}
		r.fillClaims(ctx) // those that came late
	}
	for _, w := range a.Finish(ctx) {
		r.report.Warn(w.Ref.Namespace, "%s", w.Text)
	}
	r.idleModifiers()
	return context.Cause(ctx)
}

// stages executes stages in order. Claims are filled as soon as they are there, and before there is anything that could use them.
func (r *run) stages(ctx context.Context, a *apply.Run, stages []plan.Stage) error {
	for i := range stages {
		s := &stages[i]
		if s.Level > plan.Claims {
			r.fillClaims(ctx)
		}
		if s.Level >= plan.Early {
			r.awaitClaims(ctx)
		}
		r.stage(s.Title(), s.Len())
		if err := a.Stage(ctx, s.Level, r.feed(ctx, s)); err != nil {
			return err
		}
	}
	return nil
}

// domains are those of the API groups that the target serves, and of those that the backup brings definitions of.
func (r *run) domains() map[string]bool {
	out := map[string]bool{}
	for _, t := range r.types {
		out[rule.Domain(t.Group)] = true
	}
	for i := range r.entries.Len() {
		if more := r.entries.More(i); more != nil && more.Defines != "" {
			_, group, _ := strings.Cut(more.Defines, ".")
			out[rule.Domain(group)] = true
		}
	}
	return out
}

// again tries what failed in a way that may pass, until nothing gets on.
func (r *run) again(ctx context.Context, a *apply.Run) error {
	for again := a.Deferred(); len(again) > 0; again = a.Deferred() {
		s := r.plan.Only(again)
		r.stage("again", s.Len())
		if err := a.Again(ctx, r.feed(ctx, s)); err != nil {
			return err
		}
	}
	return nil
}

// item takes note of what came of an object.
func (r *run) item(i report.Item) {
	r.items.Lock()
	defer r.items.Unlock()
	i = r.told(i)
	r.report.Add(i)
	r.log.item(i)
	r.startHooks(i)
	r.anew.item(i)
	if r.Observe != nil {
		r.Observe.Item(i)
	}
}

// statusFilter is spec.restoreStatus as a question; nil: no status is restored.
func (r *run) statusFilter() (func(group, resource string) bool, error) {
	spec := r.restore.Spec.RestoreStatus
	if spec == nil || len(spec.IncludedResources) == 0 {
		return nil, nil
	}
	f, err := filter.ForRestore(velerov1.RestoreSpec{
		BackupName: r.backup.Name, IncludedResources: spec.IncludedResources, ExcludedResources: spec.ExcludedResources,
	}, r.allTypes())
	if err != nil {
		return nil, fmt.Errorf("restoreStatus: %w", err)
	}
	return f.Resource, nil
}

// renames are the custom resources that the target serves in other versions than the saved ones, and whose versions it does not convert.
func (r *run) renames(ctx context.Context) (map[string]bool, error) {
	served := map[string]map[string]bool{}
	for _, t := range r.types {
		gr := t.GroupResource()
		if served[gr] == nil {
			served[gr] = map[string]bool{}
		}
		served[gr][t.Version] = true
	}
	found := map[string]bool{}
	definitions := object.Type{Group: "apiextensions.k8s.io", Version: "v1", Resource: "customresourcedefinitions"}
	for e := range r.entries.Kinds() {
		gr := e.Ref.GroupResource()
		if _, known := found[gr]; known || len(served[gr]) == 0 || served[gr][e.Version] {
			continue
		}
		body, err := r.Target.Get(ctx, definitions, "", gr)
		if fail.Is(err, fail.NotFound) { // built in, or another server's
			continue
		}
		if err != nil {
			return nil, err
		}
		var crd struct {
			Spec struct {
				Conversion struct{ Strategy string }
			}
		}
		if err := json.Unmarshal(body, &crd); err != nil {
			return nil, fmt.Errorf("read customresourcedefinition %s: %w", gr, err)
		}
		found[gr] = crd.Spec.Conversion.Strategy == "None"
	}
	return found, nil
}

var workloads = []object.Type{
	{Group: "apps", Version: "v1", Resource: "deployments", Kind: "Deployment", Namespaced: true},
	{Group: "apps", Version: "v1", Resource: "statefulsets", Kind: "StatefulSet", Namespaced: true},
	{Group: "apps", Version: "v1", Resource: "daemonsets", Kind: "DaemonSet", Namespaced: true},
}

// templates are the pod templates of the workloads that exist in the target under names of the backup. An empty target costs one call.
func (r *run) templates(ctx context.Context) (map[object.Ref]plan.Template, error) {
	wanted := map[string]map[object.Ref]bool{}
	spaces := map[string]bool{}
	for i := range r.entries.Len() {
		if more := r.entries.More(i); more == nil || more.Template == 0 {
			continue
		}
		ref := r.entries.Ref(i)
		if to, ok := r.restore.Spec.NamespaceMapping[ref.Namespace]; ok {
			ref.Namespace = to
		}
		if wanted[ref.Resource] == nil {
			wanted[ref.Resource] = map[object.Ref]bool{}
		}
		wanted[ref.Resource][ref] = true
		spaces[ref.Namespace] = true
	}
	if len(wanted) == 0 || r.restore.Spec.ExistingResourcePolicy == velerov1.PolicyTypeRecreate {
		return nil, nil
	}
	exists := false
	namespaces := object.Type{Version: "v1", Resource: "namespaces", Kind: "Namespace"}
	err := r.list(ctx, namespaces, func(head object.Head, _ []byte) error {
		exists = exists || spaces[head.Name]
		return nil
	})
	if err != nil || !exists {
		return nil, err
	}
	found := map[object.Ref]plan.Template{}
	for _, t := range workloads {
		if len(wanted[t.Resource]) == 0 {
			continue
		}
		err := r.list(ctx, t, func(head object.Head, body []byte) error {
			if ref := head.Ref(t); wanted[t.Resource][ref] {
				template, selector, err := rule.Workload(body)
				if err != nil {
					return err
				}
				found[words(ref)] = plan.Template{Template: template, Selector: selector}
			}
			return nil
		})
		if err != nil {
			return nil, err
		}
	}
	return found, nil
}

func words(r object.Ref) object.Ref { return interner{}.ref(r) }

// list calls fn with every object of a type in the target, page by page.
func (r *run) list(ctx context.Context, t object.Type, fn func(head object.Head, body []byte) error) error {
	return r.listIn(ctx, t, "", fn)
}

func (r *run) listIn(ctx context.Context, t object.Type, namespace string, fn func(head object.Head, body []byte) error) error {
	o := cluster.ListOptions{Namespace: namespace, Limit: 500}
	for {
		page, err := r.Target.List(ctx, t, o)
		if err != nil {
			return err
		}
		head, err := object.Split(page, nil, func(item []byte) error {
			head, err := object.Scan(item)
			if err != nil {
				return err
			}
			return fn(head, item)
		})
		page.Close()
		if err != nil {
			return fmt.Errorf("list %s: %w", t.GroupResource(), err)
		}
		if o.Continue = head.Continue; o.Continue == "" {
			return nil
		}
	}
}
