// SPDX-License-Identifier: Apache-2.0

package export

import (
	"context"
	"slices"
	"strings"
	"time"

	"golang.org/x/sync/errgroup"
	"k8s.io/apimachinery/pkg/types"

	velerov1 "hozon.dev/hozon/api/velero/v1"
	"hozon.dev/hozon/internal/cluster"
	"hozon.dev/hozon/internal/fail"
	"hozon.dev/hozon/internal/filter"
	"hozon.dev/hozon/internal/manifest"
	"hozon.dev/hozon/internal/object"
	"hozon.dev/hozon/internal/plan"
	"hozon.dev/hozon/internal/report"
)

// Target is the cluster that manifests are applied to; *cluster.Client is one.
type Target interface {
	Client
	Create(ctx context.Context, t object.Type, namespace string, body []byte, o cluster.WriteOptions) ([]byte, error)
	Patch(ctx context.Context, t object.Type, namespace, name string, patch types.PatchType, body []byte, o cluster.WriteOptions) ([]byte, error)
}

// ImportOptions say how manifests are applied.
type ImportOptions struct {
	DryRun bool // ask the server, change nothing
	Atomic bool // ask the server about everything first, and change nothing if it refuses anything
	Force  bool // take fields over from other managers
	// Namespaces maps names: from, to. Into is the namespace of manifests that name none.
	Namespaces map[string]string
	Into       string
	Classes    manifest.ClassMap
}

// Importer applies manifests.
type Importer struct {
	Target Target
	// Observe is told what came of each object, one at a time; nil: nobody.
	Observe func(report.Item)
}

// importing is the state of one Run.
type importing struct {
	*Importer
	o       ImportOptions
	types   []object.Type
	jobs    []job
	entries plan.Entries
	plan    *plan.Plan
	absent  map[string]bool // namespaces that do not exist yet
	report  report.Report
}

// parallel is how many calls are under way at once; the client waits where the server says so.
const parallel = 24

// Run applies documents in the order in which they depend on each other. What is wrong with single objects is in the report. The error
// says why nothing was applied: of kind fail.Invalid if manifests cannot be meant.
func (i *Importer) Run(ctx context.Context, docs []manifest.Document, o ImportOptions) (*report.Report, error) {
	r := &importing{Importer: i, o: o, absent: map[string]bool{}}
	all, problems, err := i.Target.Types(ctx, true)
	if err != nil {
		return &r.report, err
	}
	r.types = all
	for _, p := range problems {
		r.report.Warn("", "%s", p.Err)
	}
	if err := r.resolve(docs); err != nil {
		return &r.report, err
	}
	if err := r.decide(); err != nil {
		return &r.report, err
	}
	if err := r.spaces(ctx); err != nil {
		return &r.report, err
	}
	if o.DryRun || o.Atomic {
		items, err := r.ask(ctx)
		if err != nil {
			return &r.report, err
		}
		failed := slices.ContainsFunc(items, func(it report.Item) bool { return it.Action == report.Failed })
		if o.DryRun || failed {
			r.tell(items)
			if o.DryRun {
				return &r.report, nil
			}
			return &r.report, fail.Errorf(fail.Invalid, "nothing was applied: the server refuses %d of %d objects", r.report.Counts[report.Failed], len(r.jobs))
		}
	}
	return &r.report, r.apply(ctx)
}

// decide makes the plan: the stages in which objects are applied.
func (r *importing) decide() error {
	yes := true
	spec := velerov1.RestoreSpec{BackupName: "manifests", IncludeClusterResources: &yes, NamespaceMapping: r.o.Namespaces}
	known := slices.Clone(r.types)
	for _, j := range r.jobs {
		known = append(known, j.t)
	}
	f, err := filter.ForRestore(spec, known)
	if err != nil {
		return err
	}
	if r.plan, err = plan.Build(&r.entries, plan.Request{Spec: spec, Filter: f}, plan.Facts{Types: known}); err != nil {
		return err
	}
	met := map[int]bool{}
	for s := range r.plan.Skips() {
		met[s.Item] = true
		r.add(r.item(s, report.Skipped, s.Reason))
	}
	for i := range r.plan.Stages {
		for s := range r.plan.Stages[i].Steps() {
			met[s.Item] = true
		}
	}
	for n := range r.entries.Len() {
		if !met[n] {
			r.add(r.item(plan.Step{Item: n, Target: r.entries.Ref(n)}, report.Skipped, "objects of this kind belong to one cluster and are not imported"))
		}
	}
	return nil
}

// item is the outcome of a step.
func (r *importing) item(s plan.Step, action report.Action, reason string) report.Item {
	if s.Item < 0 {
		return report.Item{Ref: s.Target, Kind: "Namespace", Version: "v1", Action: action, Reason: reason}
	}
	t := r.jobs[s.Item].t
	return report.Item{Ref: s.Target, Kind: t.Kind, Version: t.Version, Action: action, Reason: reason}
}

func (r *importing) add(it report.Item) {
	r.report.Add(it)
	if r.Observe != nil {
		r.Observe(it)
	}
}

func (r *importing) tell(items []report.Item) {
	for _, it := range items {
		r.add(it)
	}
}

// spaces finds out which namespaces there are, and refuses those that are being deleted.
func (r *importing) spaces(ctx context.Context) error {
	for i := range r.plan.Stages {
		for s := range r.plan.Stages[i].Steps() {
			ns := s.Target.Namespace
			if _, known := r.absent[ns]; ns == "" || known {
				continue
			}
			body, err := r.Target.Get(ctx, namespaceType, "", ns)
			switch {
			case fail.Is(err, fail.NotFound):
				r.absent[ns] = true
				continue
			case fail.Is(err, fail.Denied): // then it has to be there
			case err != nil:
				return err
			default:
				if head, err := object.Scan(body); err == nil && head.Terminating {
					return fail.Errorf(fail.Busy, "namespace %q is being deleted: wait for its end, or import into another one with --namespace-mappings", ns)
				}
			}
			r.absent[ns] = false
		}
	}
	return nil
}

// apply does it, stage after stage, and tries again what may pass when the rest is there.
func (r *importing) apply(ctx context.Context) error {
	var again []plan.Step
	for i := range r.plan.Stages {
		steps := slices.Collect(r.plan.Stages[i].Steps())
		items, err := r.each(ctx, steps, func(ctx context.Context, s plan.Step) outcome { return r.send(ctx, s, false) })
		if err != nil {
			return err
		}
		again = append(again, r.settle(steps, items, true)...)
		if r.plan.Stages[i].Level == plan.Definitions {
			r.established(ctx, steps)
		}
	}
	const rounds = 5
	pause := 300 * time.Millisecond
	for n := 1; len(again) > 0; n++ {
		if err := sleep(ctx, pause); err != nil {
			return err
		}
		steps := again
		items, err := r.each(ctx, steps, func(ctx context.Context, s plan.Step) outcome { return r.send(ctx, s, false) })
		if err != nil {
			return err
		}
		again = r.settle(steps, items, n < rounds)
		pause *= 2
	}
	return nil
}

// outcome is what came of a step, and whether it may go better later.
type outcome struct {
	item    report.Item
	passing bool
	silent  bool // nothing to report
}

// settle reports outcomes and returns the steps to be tried again.
func (r *importing) settle(steps []plan.Step, outcomes []outcome, more bool) []plan.Step {
	var again []plan.Step
	for n, o := range outcomes {
		switch {
		case o.silent:
		case o.item.Action == report.Failed && o.passing && more:
			again = append(again, steps[n])
		default:
			r.add(o.item)
		}
	}
	return again
}

// each does the steps side by side; the outcomes are in their order.
func (r *importing) each(ctx context.Context, steps []plan.Step, do func(context.Context, plan.Step) outcome) ([]outcome, error) {
	out := make([]outcome, len(steps))
	var g errgroup.Group
	g.SetLimit(parallel)
	for n, s := range steps {
		if ctx.Err() != nil {
			break
		}
		g.Go(func() error {
			out[n] = do(ctx, s)
			return nil
		})
	}
	_ = g.Wait() // no function returns an error
	return out, context.Cause(ctx)
}

// established waits until the kinds that were just defined are served; what is not in time fails by itself, and is tried again.
func (r *importing) established(ctx context.Context, steps []plan.Step) {
	for range 60 {
		all, _, err := r.Target.Types(ctx, true)
		if err == nil && !slices.ContainsFunc(steps, func(s plan.Step) bool {
			return !slices.ContainsFunc(all, func(t object.Type) bool { return t.GroupResource() == s.Target.Name })
		}) {
			return
		}
		if sleep(ctx, 500*time.Millisecond) != nil {
			return
		}
	}
}

func sleep(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// where names the manifest of a step, for messages.
func (r *importing) where(s plan.Step) string {
	if s.Item < 0 {
		return ""
	}
	return r.jobs[s.Item].doc.Where() + ": "
}

func isNamespace(ref object.Ref) bool {
	return ref.Group == "" && strings.EqualFold(ref.Resource, "namespaces")
}
