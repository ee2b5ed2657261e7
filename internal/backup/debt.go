// SPDX-License-Identifier: Apache-2.0

package backup

import (
	"context"
	"errors"
	"fmt"

	velerov1 "hozon.dev/hozon/api/velero/v1"
	"hozon.dev/hozon/internal/fail"
	"hozon.dev/hozon/internal/hook"
	"hozon.dev/hozon/internal/object"
	"hozon.dev/hozon/internal/perform"
	"hozon.dev/hozon/internal/report"
)

// Pay runs the post hooks that a run of the backup b, which is over, has left undone, and returns what came of them: nothing if nothing
// is owed, or to another cluster. The commands are those of the pods' annotations and of b's spec. An error means that they are owed still.
func (e *Engine) Pay(ctx context.Context, b *velerov1.Backup) ([]report.Hook, error) {
	debt, err := e.Store.Debt(ctx, b.Name)
	if fail.Is(err, fail.NotFound) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	uid, err := e.clusterUID(ctx)
	if err != nil || uid != debt.Cluster {
		return nil, err
	}
	types, _, err := e.Cluster.Types(ctx, false)
	if err != nil {
		return nil, err
	}
	sets, err := hook.ForBackup(b.Spec.Hooks, types)
	if err != nil {
		sets = &hook.Sets{} // those of the annotations are run all the same
	}
	paid := make([][]report.Hook, len(debt.Pods))
	errs := make([]error, len(debt.Pods))
	pay := func(i int) { paid[i], errs[i] = e.payPod(ctx, debt.Pods[i], sets) }
	ordered := min(max(debt.Ordered, 0), len(debt.Pods))
	for i := range ordered {
		pay(i)
	}
	inParallel(len(debt.Pods)-ordered, func(i int) { pay(ordered + i) })
	var out []report.Hook
	for _, results := range paid {
		out = append(out, results...)
	}
	if err := errors.Join(errs...); err != nil {
		return out, fail.Errorf(fail.Transient, "run the post hooks that run %s of backup %s owes: %w", debt.Run, b.Name, err)
	}
	return out, e.Store.DropDebt(ctx, b.Name, debt.Run)
}

func (e *Engine) payPod(ctx context.Context, owed hook.Pod, sets *hook.Sets) ([]report.Hook, error) {
	body, err := e.Cluster.Get(ctx, podType, owed.Namespace, owed.Name)
	if fail.Is(err, fail.NotFound) || fail.Is(err, fail.Invalid) {
		return nil, nil // gone, and what was frozen with it
	}
	if err != nil {
		return nil, err
	}
	p, err := hook.Read(body)
	if err != nil {
		return nil, err
	}
	if p.UID != owed.UID {
		return nil, nil
	}
	var results []report.Hook
	hooks := sets.Of(report.Post, p)
	if p.Finished() {
		for _, h := range hooks {
			results = append(results, perform.Skipped(p, h, fmt.Sprintf("the pod has finished (%s)", p.Phase)))
		}
	} else {
		results, _ = perform.Runner{Exec: e.Cluster, Now: e.Now}.Pod(ctx, p, hooks)
	}
	for i := range results {
		results[i].Late = true
	}
	return results, context.Cause(ctx)
}

// clusterUID tells clusters apart; "" to those who may not read the namespace kube-system.
func (e *Engine) clusterUID(ctx context.Context) (string, error) {
	t := object.Type{Version: "v1", Resource: "namespaces", Kind: "Namespace"}
	body, err := e.Cluster.Get(ctx, t, "", "kube-system")
	if fail.Is(err, fail.Denied) || fail.Is(err, fail.NotFound) {
		return "", nil
	}
	if err != nil {
		return "", err
	}
	head, err := object.Scan(body)
	return head.UID, err
}

// PayAll pays what dead runs of any backup owe in this cluster. find returns the Backup of a name, which has the hooks of its spec, or nil to pass it over.
// paid is told what came of each.
func (e *Engine) PayAll(ctx context.Context, find func(name string) *velerov1.Backup, paid func(backup string, hooks []report.Hook)) error {
	names, err := e.Store.Debtors(ctx)
	if err != nil {
		return err
	}
	var errs []error
	for _, name := range names {
		b := find(name)
		if b == nil {
			continue
		}
		hooks, err := e.Pay(ctx, b)
		if len(hooks) > 0 {
			paid(name, hooks)
		}
		errs = append(errs, err)
	}
	return errors.Join(errs...)
}
